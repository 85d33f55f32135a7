/* Puts entries of an upper into a new layer, as they are. */
#pragma once
#include "walk.h"

static long from_tree, into_tree;

struct made { struct made *before; const char *name; facts facts; long marks; }; /* marks: whether, or bytes of attributes after the name */
static struct store made_memory;
static struct made *made;

/* What a security module keeps may be its own affair. */
static int may_miss(const char *key, long error) {
  return begins(key, "security.") && !begins(key, "security.capability") && (error == -EPERM || error == -EACCES || error == -EOPNOTSUPP);
}

static void copy_attributes(const char *name, int marks) { /* the working directory is the upper's tree */
  long size = list_attributes(name, name);
  static struct { char list[sizeof attribute_names]; } kept;
  if (size == 0) return;
  copy(kept.list, attribute_names, size);
  for (const char *key = kept.list; key < kept.list + size; key += length(key) + 1) {
    if (!marks && is_marked(key)) continue;
    long value = get_attribute(name, key, name);
    if (value < 0) stop("an attribute went away", name, value);
    sure(sys(fchdir, into_tree, 0, 0, 0), "cannot enter", "a layer");
    long done = sys6(__NR_lsetxattr, (long)name, (long)key, (long)attribute, value, 0, 0);
    if (done < 0 && !may_miss(key, done)) stop("cannot set an attribute", name, done);
    sure(sys(fchdir, from_tree, 0, 0, 0), "cannot enter", "an upper");
  }
}

/* The order is that of need: a new owner takes away bits of the mode and capabilities. */
static void finish_one(const char *name, const facts *f, int marks) {
  sure(sys6(__NR_fchownat, into_tree, (long)name, f->stx_uid, f->stx_gid, AT_SYMLINK_NOFOLLOW, 0), "cannot give", name);
  if (kind_of(f) != LINK) sure(sys(fchmodat, into_tree, name, f->stx_mode & 07777, 0), "cannot set the mode of", name);
  copy_attributes(name, marks);
  long times[4] = { f->stx_atime.tv_sec, f->stx_atime.tv_nsec, f->stx_mtime.tv_sec, f->stx_mtime.tv_nsec };
  sure(sys(utimensat, into_tree, name, times, AT_SYMLINK_NOFOLLOW), "cannot set the time of", name);
}

static void copy_piece(long from, long into, long at, long end, const char *name) {
  static char block[1 << 17];
  static int by_kernel = 1;
  long in = at, out = at;
  while (by_kernel && in < end) {
    long done = sys6(__NR_copy_file_range, from, (long)&in, into, (long)&out, end - in, 0);
    if (done == INTERRUPTED) continue;
    if (done <= 0) { by_kernel = done == 0; break; }
  }
  if (in >= end) return;
  sure(sys(lseek, from, in, 0, 0), "cannot read", name);
  sure(sys(lseek, into, in, 0, 0), "cannot write", name);
  while (in < end) {
    long got = read_some(from, block, end - in < (long)sizeof block ? end - in : (long)sizeof block, name);
    if (got == 0) stop("shrank while it was copied", name, 0);
    write_out(into, block, got, name);
    in += got;
  }
}

static void copy_file(const char *name, const facts *f) {
  enum { DATA = 3, HOLE = 4 };
  long from = open_quietly(name, name);
  long flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, size = f->stx_size, at = 0;
  long into = sure(sys(openat, into_tree, name, flags, 0600), "cannot make", name);
  if ((long)f->stx_blocks * 512 >= size) copy_piece(from, into, 0, size, name);
  else {
    while (at < size) {
      long data = sys(lseek, from, at, DATA, 0);
      if (data == -ENXIO) break;
      long hole = sure(sys(lseek, from, sure(data, "cannot read", name), HOLE, 0), "cannot read", name);
      if (hole > size) hole = size;
      copy_piece(from, into, data, hole, name);
      at = hole;
    }
    sure(sys(ftruncate, into, size, 0, 0), "cannot write", name);
  }
  sure(sys(close, into, 0, 0, 0), "cannot write", name);
  close_file(from);
}

static void copy_link(const char *name) {
  static char target[4097];
  long size = sure(sys(readlinkat, AT_FDCWD, name, target, 4096), "cannot read", name);
  target[size] = 0;
  sure(sys(symlinkat, target, into_tree, name, 0), "cannot make", name);
}

static void copy_entry(const char *name, int marks) {
  facts f;
  sure(look(AT_FDCWD, name, &f), "cannot look at", name);
  int kind = kind_of(&f);
  if (kind == DIRECTORY) {
    /* It gets its times when all is in it. */
    if (name[1]) sure(sys(mkdirat, into_tree, name, 0700, 0), "cannot make", name);
    struct made *one = aligned(&made_memory, sizeof *one);
    *one = (struct made){ made, name, f, marks };
    made = one;
    return;
  }
  if (kind == SOCKET) return;
  const char *first = kind == FILE_KIND || kind == LINK ? first_name(&f, name) : 0;
  if (first) { sure(sys6(__NR_linkat, into_tree, (long)first, into_tree, (long)name, 0, 0), "cannot link", name); return; }
  if (kind == FILE_KIND) copy_file(name, &f);
  else if (kind == LINK) copy_link(name);
  else {
    unsigned major = f.stx_rdev_major, minor = f.stx_rdev_minor;
    unsigned long device = (minor & 0xff) | (major & 0xfff) << 8 | (unsigned long)(minor & ~0xffu) << 12;
    sure(sys(mknodat, into_tree, name, kind | 0600, device), "cannot make", name);
  }
  finish_one(name, &f, marks);
}

static void hide(const char *name) { /* the mark of an overlay for a name that is no more */
  static const long times[4];
  sure(sys(mknodat, into_tree, name, CHARACTERS, 0), "cannot hide", name);
  sure(sys(utimensat, into_tree, name, times, AT_SYMLINK_NOFOLLOW), "cannot set the time of", name);
}

static void begin_layer(const char *from, const char *layer) {
  from_tree = sure(open_file(from, O_RDONLY | O_DIRECTORY, 0), "cannot open", from);
  sure(sys(mkdirat, AT_FDCWD, place_in(layer, "d"), 0755, 0), "cannot make", layer);
  into_tree = sure(open_file(place_in(layer, "d"), O_RDONLY | O_DIRECTORY, 0), "cannot open", layer);
  sure(sys(fchdir, from_tree, 0, 0, 0), "cannot enter", "an upper");
}

/* Each item is a letter and a path that begins with a dot, parents first: c to copy, a for a directory that stays, g for what is gone. */
static void copy_items(const char *items, const char *end) {
  for (; items < end; items += length(items) + 1) {
    if (*items == 'g') hide(items + 1);
    else copy_entry(items + 1, *items == 'c');
  }
  for (; made; made = made->before) finish_one(made->name, &made->facts, made->marks);
}

static struct store all_items;

static void add_item(const char *name, const facts *f) {
  (void)name, (void)f;
  add_text(&all_items, "c./");
  add_bytes(&all_items, path.at, length(path.at) + 1);
}

/* Makes a layer of all of a tree but for what lies too deep. */
static void copy_all(const char *tree, const char *layer) {
  begin_layer(tree, layer);
  add_bytes(&all_items, "c.", 3);
  begin_path("");
  deep.longest = LONGEST_PATH;
  walk(from_tree, add_item);
  deep.longest = NO_LONGEST;
  copy_items(all_items.at, all_items.at + all_items.size);
}
