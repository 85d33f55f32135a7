/*
 * Reads or sets extended attributes of files below a directory of the host, since Node has no call for that. It uses no library.
 * `node packages/docker-runtime/lane/build.mjs` compiles it.
 *
 *   attributes read    standard input: paths, each with a NUL at its end
 *   attributes write   standard input: for each path itself with a NUL, a number of attributes, and these
 *
 * The directory is open as number 3; itself it is the path `.`. An attribute is its name with a NUL, the size of its value, the value; numbers have 32 bits, the
 * lowest first. Standard output: of each path of which there is something to say which one it is, counted from 0, a size, and so many bytes:
 * its attributes when they are read. The size -1 says that it went wrong; then comes the number of the error.
 *
 * Writing makes the attributes equal to those that are given. Neither looks through a symbolic link: whoever may write the directory
 * can put one in the place of what was found there.
 */
#include "../../docker-runtime/layer/memory.h"

enum { LONGEST = 65536, NO_MODE = -1 };
enum { KIND = 0170000, LINK = 0120000 };

static struct store input, output;
static char value[LONGEST], names[LONGEST];
static long parent = -1;
enum { ROOT = 3 };
static char parent_path[8192];

/* What of a file is the user's own. Labels of security modules and what only the kernel's own parts set belong to the host. */
static int is_kept(const char *name) {
  return begins(name, "user.") || same(name, "system.posix_acl_access", 24) || same(name, "system.posix_acl_default", 25) ||
    same(name, "security.capability", 20);
}

static void add_word(struct store *to, unsigned n) { add_bytes(to, (char *)&n, 4); }

static unsigned word_in(const char *at) { unsigned n; copy((char *)&n, at, 4); return n; }

static void flush(void) { write_out(1, output.at, output.size, 0); output.size = 0; }

static void fail(unsigned path, long error) {
  add_word(&output, path);
  add_word(&output, -1);
  add_word(&output, -error);
}

/* Makes the directory that a path lies in the working directory. Returns the last part of the path in `name`. */
static long enter(const char *path, const char **name) {
  long size = 0, from = 0;
  for (long n = 0; path[n]; n++) if (path[n] == '/') size = n;
  *name = size ? path + size + 1 : path;
  if (size >= (long)sizeof parent_path) return -ENAMETOOLONG;
  if (parent >= 0 && same(path, parent_path, size) && !parent_path[size]) return 0;
  close_file(parent);
  parent = sys(openat, ROOT, ".", O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
  copy(parent_path, path, size);
  parent_path[size] = 0;
  while (parent >= 0 && from < size) {
    char *part = parent_path + from, *end = part;
    while (*end && *end != '/') end++;
    char after = *end;
    *end = 0;
    long inner = sys(openat, parent, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
    *end = after;
    close_file(parent);
    parent = inner;
    from = end - parent_path + 1;
  }
  return parent < 0 ? parent : sys(fchdir, parent, 0, 0, 0);
}

static long names_of(const char *name) {
  long size = sys(llistxattr, name, names, sizeof names, 0);
  return size == -EOPNOTSUPP ? 0 : size;
}

static void read_one(unsigned path, const char *name) {
  long size = names_of(name), from = output.size;
  if (size < 0) return fail(path, size);
  for (const char *one = names; one < names + size; one += length(one) + 1) {
    if (!is_kept(one)) continue;
    long bytes = sys(lgetxattr, name, one, value, sizeof value);
    if (bytes == -ENODATA) continue;
    if (bytes < 0) {
      output.size = from;
      return fail(path, bytes);
    }
    if (output.size == from) add_word(&output, path), add_word(&output, 0);
    add_bytes(&output, one, length(one) + 1);
    add_word(&output, bytes);
    add_bytes(&output, value, bytes);
  }
  unsigned added = output.size - from;
  if (added) added -= 8, copy(output.at + from + 4, (char *)&added, 4);
}

/* Who owns a file may have to let himself write to it. Returns the mode to give back. */
static long widen(const char *name, char *opened) {
  struct statx f;
  long file = sys(openat, AT_FDCWD, name, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0);
  if (file < 0) return NO_MODE;
  put_number(put_text(opened, "/proc/self/fd/"), file);
  if (sys6(__NR_statx, file, (long)"", AT_EMPTY_PATH, STATX_BASIC_STATS, (long)&f, 0) || (f.stx_mode & KIND) == LINK ||
      sys(fchmodat, AT_FDCWD, opened, (f.stx_mode & 07777) | 0600, 0)) {
    close_file(file);
    return NO_MODE;
  }
  return f.stx_mode & 07777;
}

static long change(const char *name, const char *attribute, const char *bytes, long size) { /* a size of -1 removes */
  if (size < 0) {
    long result = sys(lremovexattr, name, attribute, 0, 0);
    return result == -ENODATA ? 0 : result;
  }
  long now = sys(lgetxattr, name, attribute, value, sizeof value);
  if (now == size && same(value, bytes, size)) return 0;
  return sys6(__NR_lsetxattr, (long)name, (long)attribute, (long)bytes, size, 0, 0);
}

static long change_surely(const char *name, const char *attribute, const char *bytes, long size) {
  char opened[64];
  long result = change(name, attribute, bytes, size);
  if (result != -EACCES) return result;
  long mode = widen(name, opened);
  if (mode == NO_MODE) return result;
  result = change(name, attribute, bytes, size);
  sys(fchmodat, AT_FDCWD, opened, mode, 0);
  close_file(one_number(opened + 14));
  return result;
}

static int is_wanted(const char *attribute, const char *wanted, unsigned count) {
  for (; count > 0; count--) {
    long size = length(wanted);
    if (same(attribute, wanted, size + 1)) return 1;
    wanted += size + 5 + word_in(wanted + size + 1);
  }
  return 0;
}

static void write_one(unsigned path, const char *name, const char *wanted, unsigned count) {
  long size = names_of(name), failed = size < 0 ? size : 0;
  for (const char *one = names; one < names + size; one += length(one) + 1)
    if (is_kept(one) && !is_wanted(one, wanted, count)) {
      long result = change_surely(name, one, 0, -1);
      if (result < 0) failed = result;
    }
  for (unsigned n = 0; n < count; n++) {
    const char *at = wanted + length(wanted) + 1;
    long bytes = word_in(at), result = is_kept(wanted) ? change_surely(name, wanted, at + 4, bytes) : -EPERM;
    if (result < 0) failed = result;
    wanted = at + 4 + bytes;
  }
  if (failed) fail(path, failed);
}

static void serve(int writes) {
  unsigned path = 0;
  for (const char *at = input.at, *end = input.at + input.size; at < end; path++) {
    const char *name, *rest = at + length(at) + 1;
    long entered = enter(at, &name);
    if (writes) {
      unsigned count = word_in(rest);
      if (entered < 0) fail(path, entered);
      else write_one(path, name, rest + 4, count);
      for (rest += 4; count > 0; count--) rest += length(rest) + 1, rest += 4 + word_in(rest);
    } else if (entered < 0) fail(path, entered);
    else read_one(path, name);
    at = rest;
    if (output.size > STEP) flush();
  }
  flush();
}

__attribute__((used)) void begin(long *stack) {
  char **words = (char **)(stack + 1);
  if (stack[0] != 2) stop("one word is needed", 0, 0);
  for (;;) {
    char *into = more(&input, STEP);
    long got = read_some(0, into, STEP, 0);
    input.size -= STEP - got;
    if (got == 0) break;
  }
  if (input.size > 0) serve(words[1][0] == 'w');
  leave(0);
}
