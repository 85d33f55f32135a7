/* Directories as they are, their names in order, and attributes of what is in them. The working directory goes along. */
#pragma once
#include "memory.h"

typedef struct statx facts;
enum { KIND = 0170000, FILE_KIND = 0100000, DIRECTORY = 0040000, LINK = 0120000, CHARACTERS = 0020000, BLOCKS = 0060000, PIPE = 0010000, SOCKET = 0140000 };

static int kind_of(const facts *f) { return f->stx_mode & KIND; }

static long look(long directory, const char *name, facts *f) {
  return sys6(__NR_statx, directory, (long)name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, (long)f, 0);
}

static struct store names; /* those of all directories that are being walked */

struct entries { struct text *all; long count, end; };

static struct entries entries_of(long directory, const char *path) {
  static char block[65536] __attribute__((aligned(8)));
  struct entries found = { 0, 0, names.size };
  long from = names.size, size;
  while ((size = sure(sys(getdents64, directory, block, sizeof block, 0), "cannot list", path)) > 0)
    for (long at = 0; at < size; at += *(unsigned short *)(block + at + 16)) {
      const char *name = block + at + 19;
      if (name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]))) continue;
      add_bytes(&names, name, length(name) + 1);
      found.count++;
    }
  const char *name = names.at + from;
  found.all = aligned(&names, 2 * found.count * sizeof *found.all);
  for (long n = 0; n < found.count; n++) {
    found.all[n] = (struct text){ name, length(name) };
    name += found.all[n].size + 1;
  }
  sort(found.all, found.all + found.count, found.count);
  return found;
}

static struct store path; /* of what is being looked at, from the top on, a NUL at its end */

static void enter_path(const char *name) {
  path.size--;
  if (path.size > 0) add_text(&path, "/");
  add_bytes(&path, name, length(name) + 1);
}

static void begin_path(const char *name) { path.size = 0; add_bytes(&path, name, length(name) + 1); }

/*
 * The kernel takes no path of 4,096 bytes, and names can lie deeper. What is below such a path can be seen, and neither be copied nor put anywhere
 * else by its path, so a walk that is told a longest path leaves it out, and says so. Keep with `longestPathBytes` of core.
 */
enum { LONGEST_PATH = 3840, NO_LONGEST = 0 };
static struct { long longest, count; char first[256]; } deep;

static int is_too_deep(void) {
  if (deep.longest == NO_LONGEST || path.size - 1 <= deep.longest) return 0;
  if (deep.count++ == 0) copy(deep.first, path.at, sizeof deep.first - 1);
  return 1;
}

/* Visits what is below the working directory: a directory first, then what is in it. */
static void walk(long directory, void (*visit)(const char *name, const facts *f)) {
  struct entries found = entries_of(directory, path.at);
  for (long n = 0, before = path.size; n < found.count; n++) {
    const char *name = found.all[n].at;
    facts f;
    enter_path(name);
    int is_left_out = is_too_deep();
    if (!is_left_out) {
      sure(look(AT_FDCWD, name, &f), "cannot look at", path.at);
      visit(name, &f);
    }
    if (!is_left_out && kind_of(&f) == DIRECTORY) {
      long inner = sure(open_file(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0), "cannot open", path.at);
      sure(sys(fchdir, inner, 0, 0, 0), "cannot enter", path.at);
      walk(inner, visit);
      close_file(inner);
      sure(sys(fchdir, directory, 0, 0, 0), "cannot enter", path.at);
    }
    path.size = before;
    path.at[before - 1] = 0;
  }
  names.size = found.end;
}

static long open_quietly(const char *name, const char *about) { /* so that nobody sees that it was read, where that may be */
  long file = open_file(name, O_RDONLY | O_NOFOLLOW | O_NOATIME, 0);
  return sure(file == -EPERM ? open_file(name, O_RDONLY | O_NOFOLLOW, 0) : file, "cannot open", about);
}

static long go(const char *directory) { /* it becomes the working directory; open as well */
  long file = sure(open_file(directory, O_RDONLY | O_DIRECTORY, 0), "cannot open", directory);
  sure(sys(fchdir, file, 0, 0, 0), "cannot enter", directory);
  return file;
}

static char attribute_names[65536], attribute[65536];

static long list_attributes(const char *name, const char *about) { /* into attribute_names; how many bytes */
  long size = sys(llistxattr, name, attribute_names, sizeof attribute_names, 0);
  return size == -EOPNOTSUPP ? 0 : sure(size, "cannot list attributes", about);
}

static long get_attribute(const char *name, const char *key, const char *about) { /* into attribute; its size, or -ENODATA */
  long size = sys(lgetxattr, name, key, attribute, sizeof attribute);
  return size == -ENODATA ? size : sure(size, "cannot read an attribute", about);
}

static int is_marked(const char *key) { return begins(key, "trusted.overlay."); }

/* Files with several names: whoever comes later is told the first. */
struct linked { struct linked *next; unsigned long inode, device; const char *first; };
static struct store linked_memory;
static struct linked *linked_by[4096];

static const char *first_name(const facts *f, const char *name) { /* null for the first */
  if (f->stx_nlink < 2) return 0;
  unsigned long device = (unsigned long)f->stx_dev_major << 32 | f->stx_dev_minor;
  struct linked **list = &linked_by[f->stx_ino % 4096];
  for (struct linked *one = *list; one; one = one->next)
    if (one->inode == f->stx_ino && one->device == device) return one->first;
  long size = length(name) + 1;
  struct linked *one = aligned(&linked_memory, sizeof *one);
  char *kept = more(&linked_memory, size);
  copy(kept, name, size);
  *one = (struct linked){ *list, f->stx_ino, device, kept };
  *list = one;
  return 0;
}
