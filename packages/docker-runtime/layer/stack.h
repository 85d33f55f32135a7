/*
 * What a stack of frozen layers shows, read where the layers lie, be they trees or packed. The rules are those of the kernel's overlay: of one name the
 * highest is seen, directories of one name are one, down to a mark that hides what is below, and a mark says where a directory that was moved lies below.
 */
#pragma once
#include "pack.h"

enum { HIDDEN = 1 }; /* the kind of a name that hides those below */

/* One name of one layer. What has the same layer and inode is one file, of so many names. */
struct seen { int kind; long layer, links; number size, inode; };

struct packed_name { const char *path, *moved; struct seen seen; int is_opaque; };

struct frozen { long tree, count; const struct packed_name *names; }; /* the names where there is no tree, in the order of a walk */
static struct store all_frozen, packed_names, packed_text;
static long frozen_count;
static long where_we_are = AT_FDCWD; /* which directory to come back to */

static struct frozen *frozen_at(long n) { return (struct frozen *)all_frozen.at + n; }

static unsigned in_walk(char c) { return c == 0 ? 0 : c == '/' ? 1 : 1 + (unsigned char)c; }

static int walk_order(const char *a, const char *b) {
  while (*a && *a == *b) a++, b++;
  return (int)in_walk(*a) - (int)in_walk(*b);
}

static struct packed_name *packed_at(const struct packed_name *names, long count, const char *path) {
  long from = 0, end = count;
  while (from < end) {
    long middle = (from + end) / 2;
    int is = walk_order(names[middle].path, path);
    if (is == 0) return (struct packed_name *)names + middle;
    if (is < 0) from = middle + 1;
    else end = middle;
  }
  return 0;
}

static const char *plain_path(const char *name) { /* as a tar says it; kept without its beginning and its end */
  long size = length(name), skipped = size > 1 ? 2 : 1;
  if (size > 2 && name[size - 1] == '/') size--;
  char *kept = more(&packed_text, size - skipped + 1);
  copy(kept, name + skipped, size - skipped);
  kept[size - skipped] = 0;
  return kept;
}

static const char *kept_mark(const char *value, long size) {
  char *kept = more(&packed_text, size + 1);
  copy(kept, value, size);
  kept[size] = 0;
  return kept;
}

static void take_marks(struct packed_name *name, const struct store *attributes) {
  for (const char *key = attributes->at, *end = key + attributes->size; key < end; ) {
    long size;
    const char *value = key + length(key) + 1 + sizeof size;
    copy((char *)&size, value - sizeof size, sizeof size);
    if (same(key, "trusted.overlay.opaque", 23)) name->is_opaque = size > 0 && *value == 'y';
    if (same(key, "trusted.overlay.redirect", 25)) name->moved = kept_mark(value, size);
    key = value + size;
  }
}

static int packed_kind(const struct member *m) {
  int is_mark = m->facts.stx_rdev_major == 0 && m->facts.stx_rdev_minor == 0;
  switch (m->type) {
    case '0': return FILE_KIND;
    case '2': return LINK;
    case '3': return is_mark ? HIDDEN : CHARACTERS;
    case '4': return BLOCKS;
    case '5': return DIRECTORY;
    default: return PIPE;
  }
}

static void open_packed(struct frozen *layer, long file, long n) {
  static struct member m;
  long size = sure(sys(lseek, file, 0, END, 0), "cannot read", "a packed layer");
  const char *at = (const char *)sys6(__NR_mmap, 0, size, PROT_READ, MAP_PRIVATE, file, 0);
  if ((long)at < 0 && (long)at > -4096) stop("cannot read", "a packed layer", (long)at);
  struct packed_name *names = aligned(&packed_names, 0);
  for (const char *end = at + size; take_member(&m, &at, end); layer->count++) {
    struct packed_name *name = aligned(&packed_names, sizeof *name);
    *name = (struct packed_name){ plain_path(m.name.at), 0, { packed_kind(&m), n, 1, 0, layer->count + 1 }, 0 };
    take_marks(name, &m.attributes);
    if (m.type == '0') {
      name->seen.size = m.facts.stx_size;
      at += (m.facts.stx_size + BLOCK - 1) / BLOCK * BLOCK;
    } else if (m.type == '1') {
      struct packed_name *first = packed_at(names, layer->count, plain_path(m.target.at));
      if (!first) stop("leads to nothing", m.name.at, 0);
      first->seen.links++;
      name->seen = first->seen;
    }
  }
  for (long each = 0; each < layer->count; each++) names[each].seen.links = names[names[each].seen.inode - 1].seen.links;
  layer->names = names;
}

/* Names with commas between. One that is gone shows nothing. */
static void open_frozen(const char *layers) {
  static struct store name;
  while (*layers) {
    struct frozen *layer = aligned(&all_frozen, sizeof *layer);
    *layer = (struct frozen){ NOT_THERE, 0, 0 };
    name.size = 0;
    while (*layers && *layers != ',') *more(&name, 1) = *layers++;
    *more(&name, 1) = 0;
    if (*layers) layers++;
    for (int again = 0; again < 2 && layer->tree == NOT_THERE && !layer->names; again++) { /* it may be unpacked meanwhile */
      layer->tree = open_file(place_in(name.at, "d"), O_RDONLY | O_DIRECTORY, 0);
      if (layer->tree != NOT_THERE) sure(layer->tree, "cannot open", name.at);
      long file = layer->tree == NOT_THERE ? open_file(place_in(name.at, "tar"), O_RDONLY | O_NOFOLLOW, 0) : NOT_THERE;
      if (file >= 0) open_packed(layer, file, frozen_count);
      close_file(file);
    }
    frozen_count++;
  }
}

static struct seen as_seen(const facts *f, long layer) {
  int kind = kind_of(f);
  if (kind == CHARACTERS && f->stx_rdev_major == 0 && f->stx_rdev_minor == 0) kind = HIDDEN;
  return (struct seen){ kind, layer, f->stx_nlink, f->stx_size, f->stx_ino };
}

static int look_in(long n, const char *path, struct seen *s) {
  const struct frozen *layer = frozen_at(n);
  facts f;
  if (layer->tree < 0) {
    const struct packed_name *name = packed_at(layer->names, layer->count, path);
    if (name) *s = name->seen;
    return name != 0;
  }
  long done = look(layer->tree, *path ? path : ".", &f);
  if (done == NOT_THERE || done == -ENOTDIR || done == -ENAMETOOLONG) return 0;
  sure(done, "cannot look at", path);
  *s = as_seen(&f, n);
  return 1;
}

struct marks { int is_opaque; const char *moved; }; /* until the next call */

static struct marks marks_at(const char *name) {
  struct marks found = { 0, 0 };
  long size = list_attributes(name, name), value;
  for (const char *key = attribute_names; key < attribute_names + size; key += length(key) + 1) {
    int is_opaque = same(key, "trusted.overlay.opaque", 23);
    if (!is_opaque && !same(key, "trusted.overlay.redirect", 25)) continue;
    if ((value = get_attribute(name, key, name)) <= 0) continue;
    if (is_opaque) { found.is_opaque = *attribute == 'y'; continue; }
    static char moved[sizeof attribute + 1];
    copy(moved, attribute, value);
    moved[value] = 0;
    found.moved = moved;
  }
  return found;
}

static struct marks marks_in(long n, const char *path) {
  const struct frozen *layer = frozen_at(n);
  if (layer->tree < 0) {
    const struct packed_name *name = packed_at(layer->names, layer->count, path);
    return name ? (struct marks){ name->is_opaque, name->moved } : (struct marks){ 0, 0 };
  }
  sure(sys(fchdir, layer->tree, 0, 0, 0), "cannot enter", "a layer");
  struct marks found = marks_at(*path ? path : ".");
  if (where_we_are != AT_FDCWD) sure(sys(fchdir, where_we_are, 0, 0, 0), "cannot enter", ".");
  return found;
}

/* A directory as it is seen: of which places it is made, the highest first. */
struct place { long layer; const char *path; };
struct merged { long count; const struct place *at; };
static struct store places; /* as far as they are needed: whoever is done with some cuts it back */
static struct merged top;

static void begin_stack(const char *layers) {
  open_frozen(layers);
  struct place *at = aligned(&places, frozen_count * sizeof *at);
  for (long n = 0; n < frozen_count; n++) at[n] = (struct place){ n, "" };
  top = (struct merged){ frozen_count, at };
}

/* What is looked for: a name, or from the top on a path that a mark said, and what was found out about it. */
static struct { struct store wanted, path; int is_over, is_directory; } search;

static void want_instead(long before, const char *moved, long rest) { /* keeps so much of the end */
  static struct store now;
  now.size = 0;
  if (*moved == '/') search.is_over = 0;
  else add_bytes(&now, search.wanted.at, before);
  add_text(&now, moved);
  add_bytes(&now, search.wanted.at + search.wanted.size - 1 - rest, rest + 1);
  search.wanted.size = 0;
  add_bytes(&search.wanted, now.at, now.size);
}

static int search_in(const struct place *from, struct seen *s) { /* search.path is where it was found */
  search.path.size = 0;
  add_bytes(&search.path, from->path, length(from->path) + 1);
  for (long rest = search.wanted.size - 1 - (*search.wanted.at == '/');;) {
    const char *part = search.wanted.at + search.wanted.size - 1 - rest;
    long size = 0;
    while (part[size] && part[size] != '/') size++;
    int is_last = size == rest;
    search.path.size--;
    if (search.path.size > 0) add_text(&search.path, "/");
    add_bytes(&search.path, part, size);
    *more(&search.path, 1) = 0;
    if (!look_in(from->layer, search.path.at, s)) return 0;
    if (s->kind != DIRECTORY) {
      search.is_over = 1;
      return s->kind != HIDDEN && is_last && !search.is_directory;
    }
    if (is_last) search.is_directory = 1;
    if (from->layer < frozen_count - 1) {
      struct marks marks = marks_in(from->layer, search.path.at);
      if (marks.is_opaque) search.is_over = 1;
      else if (marks.moved) want_instead(part - search.wanted.at, marks.moved, rest - size);
    }
    if (is_last) return 1;
    rest -= size + 1;
  }
}

/* What a name of a directory is, or a path from the top on. @returns 0 for nothing */
static int find(struct merged where, const char *name, struct seen *highest, struct merged *into) {
  int is_found = 0;
  struct place *at = aligned(&places, frozen_count * sizeof *at);
  *into = (struct merged){ 0, at };
  search.wanted.size = search.is_over = search.is_directory = 0;
  add_bytes(&search.wanted, name, length(name) + 1);
  if (*name == '/') where = top;
  for (long n = 0; n < where.count && !search.is_over; n++) {
    struct seen s;
    long layer = where.at[n].layer;
    if (!search_in(&where.at[n], &s)) continue;
    if (!is_found++) *highest = s;
    if (s.kind == DIRECTORY) {
      char *kept = more(&places, search.path.size);
      copy(kept, search.path.at, search.path.size);
      at[into->count++] = (struct place){ layer, kept };
    }
    if (*search.wanted.at == '/' && where.at != top.at) {
      where = top;
      n = layer;
    }
  }
  return is_found;
}

static struct entries children_of(const struct place *of) { /* their names; the caller cuts `names` back to its end */
  const struct frozen *layer = frozen_at(of->layer);
  if (layer->tree >= 0) {
    long flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    long file = sure(sys(openat, layer->tree, *of->path ? of->path : ".", flags, 0), "cannot open", of->path);
    struct entries found = entries_of(file, of->path);
    close_file(file);
    return found;
  }
  struct entries found = { aligned(&names, 0), 0, names.size };
  const struct packed_name *end = layer->names + layer->count, *at = packed_at(layer->names, layer->count, of->path);
  long size = length(of->path);
  for (at = at ? at + 1 : end; at < end && same(at->path, of->path, size) && (size == 0 || at->path[size] == '/'); at++) {
    const char *name = at->path + size + (size > 0), *c = name;
    while (*c && *c != '/') c++;
    if (*c) continue;
    struct text *child = aligned(&names, sizeof *child);
    *child = (struct text){ name, c - name };
    found.count++;
  }
  return found;
}
