/*
 * Whether the root file system is as it was at a mark, proven by times that only the kernel gives: each name that is made, removed or
 * renamed changes its directory, and so does the first change of a file that an image brought, for an overlay then makes a file of its
 * own for it. So no directory is as young as the mark where nothing happened since. A mark that was set later looks at all files
 * as well: the overlay may have some of its own by then.
 *
 * A clock that is set back would make what is new look old. The main process waits for that, and takes the marks away; and the distance
 * of the two clocks is compared, for it may not have come to it yet.
 */
#pragma once
#include "spool.h"

#define OVERLAY 0x794c7630ul
enum { REAL_TIME = 0, TIME_WITH_SLEEP = 7, AT_A_TIME = 1, CANCEL_WHEN_SET = 2, SOME_MILLISECONDS = 20, MOST_DEEP = 250 };

static const char guard_file[] = PLACE "clock", mark_file[] = PLACE "root";
static long guard; /* what waits for the clock to be set; of the main process alone */

static long milliseconds_of(long clock) {
  long time[2];
  sys(clock_gettime, clock, time, 0, 0);
  return time[0] * 1000 + time[1] / 1000000;
}

static long clock_distance(void) { /* in milliseconds; no rate that a clock is brought to changes it */
  long since = 0, now = 0;
  for (int round = 0; round < 20; round++) { /* until nothing else ran in between */
    since = milliseconds_of(TIME_WITH_SLEEP);
    now = milliseconds_of(REAL_TIME);
    if (milliseconds_of(TIME_WITH_SLEEP) - since < SOME_MILLISECONDS / 2) break;
  }
  return now - since;
}

static void guard_clock(void) {
  static const long far[4] = { 0, 0, 1l << 40, 0 };
  if (guard < 0) guard = sys(timerfd_create, REAL_TIME, O_NONBLOCK | O_CLOEXEC, 0, 0);
  if (guard >= 0 && sys(timerfd_settime, guard, AT_A_TIME | CANCEL_WHEN_SET, far, 0) < 0) { close_file(guard); guard = -1; }
  if (guard >= 0) write_file(guard_file, "", 0, 0600);
}

static void remove_new_mark(const char *name) {
  char path[64];
  if (!begins(name, "root.") || length(name) > 40) return;
  put_text(put_text(path, PLACE), name);
  remove_file(path);
}

static void clock_was_set(void) {
  long times;
  remove_file(guard_file);
  remove_file(mark_file);
  each_entry(PLACE, remove_new_mark);
  sys(read, guard, &times, sizeof times, 0);
  guard_clock();
}

static int is_younger_than_guard(const char *path) {
  struct stat one, other;
  if (sys(newfstatat, AT_FDCWD, path, &one, 0) < 0 || sys(newfstatat, AT_FDCWD, guard_file, &other, 0) < 0) return 0;
  return one.st_mtime > other.st_mtime || (one.st_mtime == other.st_mtime && one.st_mtime_nsec > other.st_mtime_nsec);
}

/* Of a container that was only just made, which has nothing but its image; or a new mark, for when it turns out that nothing changed before. */
static int set_mark(const char *path, int is_made) {
  long facts[16];
  char text[48];
  if (sys(statfs, "/", facts, 0, 0) < 0 || (number)facts[0] != OVERLAY || !exists(guard_file)) return 0;
  each_entry(PLACE, remove_new_mark);
  put_text(put_number(put_text(put_number(text, clock_distance()), " "), !is_made), "\n");
  for (int round = 0; round < 50; round++) { /* until the clock of files has ticked, so that what came before it is older */
    if (write_file(path, text, O_TRUNC, 0600) < 0) return 0;
    if (!is_made || is_younger_than_guard(path)) return 1;
    if (round > 0) nap(1);
  }
  return 0;
}

static struct { long seconds, nanoseconds; number device; int all_files; } marked;

static int is_older(const struct stat *facts) {
  long seconds = facts->st_ctime;
  if (facts->st_ctime_nsec == 0) return seconds < marked.seconds; /* perhaps the file system has times in whole seconds */
  return seconds < marked.seconds || (seconds == marked.seconds && (long)facts->st_ctime_nsec < marked.nanoseconds);
}

static int all_older(long directory, long owner, int deep) { /* what is below it, mounts left out; read as whom it lets in */
  char entries[4096] __attribute__((aligned(8)));
  struct stat facts;
  long size;
  if (deep > MOST_DEEP) return 0;
  while ((size = sys(getdents64, directory, entries, sizeof entries, 0)) > 0)
    for (long at = 0; at < size; at += *(unsigned short *)(entries + at + 16)) {
      const char *name = entries + at + 19;
      int kind = entries[at + 18];
      if (name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]))) continue;
      if (kind != 4 && kind != 0 && !marked.all_files) continue; /* DT_DIR, DT_UNKNOWN */
      if (sys(newfstatat, directory, name, &facts, AT_SYMLINK_NOFOLLOW) < 0) return 0;
      int inner_directory = S_ISDIR(facts.st_mode);
      if (inner_directory ? facts.st_dev != marked.device : !marked.all_files) continue;
      if (!is_older(&facts)) return 0;
      if (!inner_directory) continue;
      long how = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, inner = sys(openat, directory, name, how, 0), as = owner;
      if (inner == -13) { /* EACCES */
        as = facts.st_uid;
        sys(setfsuid, as, 0, 0, 0);
        inner = sys(openat, directory, name, how, 0);
      }
      int older = inner >= 0 && all_older(inner, as, deep + 1);
      close_file(inner);
      if (as != owner) sys(setfsuid, owner, 0, 0, 0);
      if (!older) return 0;
    }
  /* What was moved away before it was looked at made this young. */
  return size == 0 && sys(fstat, directory, &facts, 0, 0) == 0 && is_older(&facts);
}

static int root_is_untouched(void) {
  char text[48];
  const char *at = text;
  struct stat facts, top;
  if (!exists(guard_file) || read_file(mark_file, text, sizeof text) <= 0 || sys(newfstatat, AT_FDCWD, mark_file, &facts, 0) < 0) return 0;
  long apart = number_at(&at) - clock_distance();
  marked.all_files = number_at(&at) != 0;
  marked.seconds = facts.st_mtime;
  marked.nanoseconds = facts.st_mtime_nsec;
  long root = open_file("/", O_RDONLY | O_DIRECTORY, 0);
  if (root < 0 || sys(fstat, root, &top, 0, 0) < 0) { close_file(root); return 0; }
  marked.device = top.st_dev;
  int older = is_older(&top) && all_older(root, 0, 0);
  close_file(root);
  if (!older || apart > SOME_MILLISECONDS || apart < -SOME_MILLISECONDS) return 0;
  return exists(guard_file) && exists(mark_file);
}

/* No command can have run without a fence: whoever comes late, when another has taken the container over, marks nothing. */
static void made(void) { answer(!exists(fence_file) && set_mark(mark_file, 1) ? "ok" : "left", 0); }

static void mark(void) {
  char path[64];
  answer(set_mark((put_in_place(path, "root.", asked.words[0]), path), 0) ? "ok" : "left", 0);
}

static void seal(void) {
  char path[64];
  put_in_place(path, "root.", asked.words[0]);
  answer(sys(renameat2, AT_FDCWD, path, AT_FDCWD, mark_file) == 0 ? "ok" : "left", 0);
}

static void same_root(void) { answer(root_is_untouched() ? "ok" : "left", 0); }
