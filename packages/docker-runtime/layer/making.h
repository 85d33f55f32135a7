/* Names of a new layer, made under the working directory by what a tar says of each. No link is followed on the way to any of them. */
#pragma once
#include "pack.h"

enum { NO_LINK = AT_SYMLINK_NOFOLLOW, OF_THE_FILE = AT_EMPTY_PATH };

static long tree_of_layer, parent = -1;
static struct store parent_name;
static int *differs; /* set where the file system did not keep what a name was given */

/* The directory that a name is in, open until the next call; then the name's own part. */
static long parent_of(const char *name, const char **own) {
  const char *end = name;
  for (const char *c = name; *c; c++) if (*c == '/' && c[1]) end = c + 1;
  *own = end;
  if (same(end, "..", 3) || same(end, "../", 4)) stop("leads out of the layer", name, 0);
  if (parent >= 0 && parent_name.size == end - name && same(parent_name.at, name, end - name)) return parent;
  close_file(parent);
  parent = sure(sys(openat, tree_of_layer, ".", O_PATH | O_DIRECTORY | O_CLOEXEC, 0), "cannot enter", name);
  for (const char *c = name; c < end; c++) {
    char part[256];
    long size = 0;
    for (; *c != '/'; c++) {
      if (size == sizeof part - 1) stop("has a name that is too long", name, 0);
      part[size++] = *c;
    }
    part[size] = 0;
    if (size == 0 || same(part, ".", 2)) continue;
    if (same(part, "..", 3)) stop("leads out of the layer", name, 0);
    long inner = sure(sys(openat, parent, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0), "cannot enter", name);
    close_file(parent);
    parent = inner;
  }
  parent_name.size = 0;
  add_bytes(&parent_name, name, end - name);
  return parent;
}

static void check_kept(long directory, const char *own, long flags, const facts *f, const char *name) {
  facts is;
  sure(sys6(__NR_statx, directory, (long)own, flags, STATX_BASIC_STATS, (long)&is, 0), "cannot look at", name);
  int time = is.stx_mtime.tv_sec == f->stx_mtime.tv_sec && is.stx_mtime.tv_nsec == f->stx_mtime.tv_nsec;
  int mode = kind_of(&is) == LINK || (is.stx_mode & 07777) == (f->stx_mode & 07777);
  int size = kind_of(&is) != FILE_KIND || is.stx_size == f->stx_size;
  if (!time || !mode || !size || is.stx_uid != f->stx_uid || is.stx_gid != f->stx_gid) *differs = 1;
}

static void give(long directory, const char *own, long flags, const facts *f, const char *name) {
  sure(sys6(__NR_fchownat, directory, (long)own, f->stx_uid, f->stx_gid, flags, 0), "cannot give", name);
}

static void date(long directory, const char *own, long flags, const facts *f, const char *name) {
  const long times[4] = { 0, OMIT, f->stx_mtime.tv_sec, f->stx_mtime.tv_nsec };
  sure(sys(utimensat, directory, own, times, flags), "cannot set the time of", name);
}

/* What the file system cannot have is left out. */
static void set_extended(long file, const char *at, long of_all, const char *name) {
  for (const char *end = at + of_all; at < end; ) {
    long size;
    const char *key = at, *value = at + length(at) + 1 + sizeof size;
    copy((char *)&size, value - sizeof size, sizeof size);
    long done = sys6(__NR_fsetxattr, file, (long)key, (long)value, size, 0, 0);
    if (done < 0 && done != -EOPNOTSUPP) stop("cannot set an attribute", name, done);
    at = value + size;
  }
}

static long begin_file(const struct member *m) {
  const char *own;
  long directory = parent_of(m->name.at, &own), flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  return sure(sys(openat, directory, own, flags, m->facts.stx_mode & 0777), "cannot make", m->name.at);
}

static void end_file(const struct member *m, long file) { /* a new owner takes bits of the mode away */
  const char *name = m->name.at;
  give(file, "", OF_THE_FILE, &m->facts, name);
  if (m->facts.stx_mode & 07000) sure(sys(fchmod, file, m->facts.stx_mode & 07777, 0, 0), "cannot set the mode of", name);
  set_extended(file, m->attributes.at, m->attributes.size, name);
  date(file, 0, 0, &m->facts, name);
  check_kept(file, "", OF_THE_FILE, &m->facts, name);
  sure(sys(close, file, 0, 0, 0), "cannot write", name);
}

static void make_whole(const struct member *m, const char *content) { /* a file, or a symbolic link */
  const char *own, *name = m->name.at;
  if (m->type == '0') {
    long file = begin_file(m);
    write_out(file, content, m->facts.stx_size, name);
    end_file(m, file);
    return;
  }
  long directory = parent_of(name, &own);
  sure(sys(symlinkat, m->target.at, directory, own, 0), "cannot make", name);
  give(directory, own, NO_LINK, &m->facts, name);
  date(directory, own, NO_LINK, &m->facts, name);
  check_kept(directory, own, NO_LINK, &m->facts, name);
}

static struct store linking; /* further names of files: each a name and a target, made when all files are there */

static void make_links(void) {
  for (const char *at = linking.at, *end = at + linking.size; at < end; ) {
    const char *name = at, *target = name + length(name) + 1, *own, *there;
    at = target + length(target) + 1;
    long from = sure(sys(dup, parent_of(target, &there), 0, 0, 0), "cannot enter", target), into = parent_of(name, &own);
    sure(sys6(__NR_linkat, from, (long)there, into, (long)own, 0, 0), "cannot link", name);
    close_file(from);
  }
}

/* A directory can be entered by us alone, until all is in it. */
static void make_directory(const struct member *m) {
  const char *own;
  long directory = parent_of(m->name.at, &own);
  if (!same(own, ".", 2) && !same(own, "./", 3)) sure(sys(mkdirat, directory, own, 0700, 0), "cannot make", m->name.at);
  struct made *one = aligned(&made_memory, sizeof *one);
  char *kept = more(&made_memory, m->name.size + m->attributes.size);
  copy(kept, m->name.at, m->name.size);
  copy(kept + m->name.size, m->attributes.at, m->attributes.size);
  *one = (struct made){ made, kept, m->facts, m->attributes.size };
  made = one;
}

static void end_directories(void) {
  for (; made; made = made->before) {
    const char *own;
    long directory = parent_of(made->name, &own);
    give(directory, own, NO_LINK, &made->facts, made->name);
    sure(sys(fchmodat, directory, own, made->facts.stx_mode & 07777, 0), "cannot set the mode of", made->name);
    if (made->marks > 0) {
      long file = sure(sys(openat, directory, own, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0), "cannot open", made->name);
      set_extended(file, made->name + length(made->name) + 1, made->marks, made->name);
      close_file(file);
    }
    date(directory, own, NO_LINK, &made->facts, made->name);
    check_kept(directory, own, NO_LINK, &made->facts, made->name);
  }
}
