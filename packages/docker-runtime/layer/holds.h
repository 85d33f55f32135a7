/*
 * How many entries and bytes a stack holds: what the stack below a new layer holds is known, so only what the layer changes is looked for below. A file
 * with several names is so many entries, and its bytes are counted once.
 */
#pragma once
#include "stack.h"

/* How often names of one file came to be seen, less how often they were hidden. */
struct names_of_one { struct names_of_one *next; struct seen file; long change; };
static struct store names_memory;
static struct names_of_one *names_by[4096];

struct holding { long entries, bytes; int is_unsure; };
static struct holding counted;

static void count_name(const struct seen *s, long change) {
  counted.entries += change;
  if (s->kind != FILE_KIND) return;
  if (s->links < 2) { counted.bytes += change * (long)s->size; return; }
  struct names_of_one **list = &names_by[s->inode % 4096], *one = *list;
  while (one && (one->file.inode != s->inode || one->file.layer != s->layer)) one = one->next;
  if (!one) {
    one = aligned(&names_memory, sizeof *one);
    *one = (struct names_of_one){ *list, *s, 0 };
    *list = one;
  }
  one->change += change;
}

static void count_linked(int is_all) { /* where only some names of a file were hidden, only all of the stack tells */
  for (long n = 0; n < 4096; n++)
    for (const struct names_of_one *one = names_by[n]; one; one = one->next) {
      long change = one->change, size = one->file.size;
      if (change == one->file.links || (is_all && change > 0)) counted.bytes += size;
      else if (change == -one->file.links) counted.bytes -= size;
      else if (change != 0) counted.is_unsure = 1;
    }
}

static int is_higher(struct merged where, long before, const char *name) {
  static struct store path_there;
  struct seen s;
  for (long n = 0; n < before; n++) {
    const struct place *at = &where.at[n];
    path_there.size = 0;
    if (*at->path) { add_text(&path_there, at->path); add_text(&path_there, "/"); }
    add_bytes(&path_there, name, length(name) + 1);
    if (look_in(at->layer, path_there.at, &s)) return 1;
  }
  return 0;
}

static void count_below(struct merged where, long change) {
  for (long n = 0; n < where.count; n++) {
    struct entries found = children_of(&where.at[n]);
    for (long each = 0; each < found.count; each++) {
      struct seen s;
      struct merged inner;
      long before = places.size;
      const char *name = found.all[each].at;
      if (!is_higher(where, n, name) && find((struct merged){ where.count - n, where.at + n }, name, &s, &inner)) {
        count_name(&s, change);
        if (s.kind == DIRECTORY) count_below(inner, change);
      }
      places.size = before;
    }
    names.size = found.end;
  }
}

static void count_all(const char *layers) {
  counted = (struct holding){ 1, 0, 0 };
  begin_stack(layers);
  count_below(top, 1);
  count_linked(1);
}

/* Which directory below a directory of the layer is over, and how much of `places` is its. */
struct level { struct merged below; long places; };
static struct store levels;

static void hide_found(const struct seen *s, struct merged below) {
  count_name(s, -1);
  if (s->kind == DIRECTORY) count_below(below, -1);
}

static struct merged count_directory(const char *name, int has_marks, struct merged above, int is_found, const struct seen *s, struct merged below) {
  const struct merged nothing = { 0, 0 };
  struct marks marks = has_marks ? marks_at(name) : (struct marks){ 0, 0 };
  if (!marks.is_opaque && !marks.moved && is_found && s->kind == DIRECTORY) return below;
  struct seen there;
  if (is_found) hide_found(s, below);
  counted.entries++;
  if (marks.is_opaque || !marks.moved) return nothing;
  marks = marks_at(name); /* what was hidden may have had some */
  if (!find(above, marks.moved, &there, &below) || there.kind != DIRECTORY) return nothing;
  count_below(below, 1);
  return below;
}

/* What the items of a new layer change, in the order of a walk; they lie in the working directory. */
static void count_items(const char *items, const char *end, int has_sockets) {
  for (; items < end; items += length(items) + 1) {
    const char *name = items + 1, *own = name;
    long depth = 0;
    facts f = { .stx_mode = CHARACTERS };
    for (const char *c = name; *c; c++) if (*c == '/') { own = c + 1; depth++; }
    if (*items != 'g') sure(look(AT_FDCWD, name, &f), "cannot look at", name);
    if (kind_of(&f) == SOCKET && !has_sockets) continue;
    levels.size = depth * sizeof(struct level);
    struct level *level = aligned(&levels, sizeof *level);
    if (depth == 0) { *level = (struct level){ top, places.size }; continue; }
    struct merged above = level[-1].below, below;
    struct seen s, is = as_seen(&f, -1);
    places.size = level[-1].places;
    int is_found = find(above, own, &s, &below);
    if (is.kind == DIRECTORY) {
      below = count_directory(name, *items == 'c', above, is_found, &s, below);
      *level = (struct level){ below, places.size };
      continue;
    }
    if (is_found) hide_found(&s, below);
    if (is.kind == HIDDEN) continue;
    counted.entries++;
    if (is.kind == FILE_KIND && !first_name(&f, name)) counted.bytes += is.size;
  }
  count_linked(0);
}

/* The stack that a new layer goes on top of, none where it stands alone; what that holds, where it is known; who counts what changes, and where to. */
static struct { const char *layers, *held; long process; struct holding *change; } on_top;

static void all_as_items(void) { /* of the working directory */
  long file = sure(open_file(".", O_RDONLY | O_DIRECTORY, 0), "cannot open", ".");
  add_bytes(&all_items, "c.", 3);
  begin_path("");
  walk(file, add_item);
  close_file(file);
}

/* Counts in a process beside this one. @param items of the tree of an upper or a layer; null for all of it */
static void begin_to_count(const char *of, const char *items, const char *end) {
  if (!*on_top.layers || !*on_top.held) return;
  on_top.change = (struct holding *)sys6(__NR_mmap, 0, sizeof counted, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if ((long)on_top.change < 0 && (long)on_top.change > -4096) stop("no memory", 0, (long)on_top.change);
  on_top.process = sure(sys(clone, SIGCHLD, 0, 0, 0), "cannot begin a process", 0);
  if (on_top.process != 0) return;
  begin_stack(on_top.layers);
  where_we_are = go(place_in(of, "d"));
  if (items) count_items(items, end, 0);
  else {
    all_as_items();
    count_items(all_items.at, all_items.at + all_items.size, 1);
  }
  *on_top.change = counted;
  leave(0);
}

/* What the stack with the layer holds, once that is whole. */
static struct holding end_count(const char *layer, number entries, number bytes) {
  static struct store all;
  if (!*on_top.layers) return (struct holding){ entries, bytes, 0 };
  const char *number_of = on_top.held;
  if (on_top.process && !on_top.change->is_unsure) {
    long before = number_at(&number_of);
    return (struct holding){ before + on_top.change->entries, one_number(number_of) + on_top.change->bytes, 0 };
  }
  add_text(&all, layer);
  add_text(&all, ",");
  add_bytes(&all, on_top.layers, length(on_top.layers) + 1);
  count_all(all.at);
  return counted;
}
