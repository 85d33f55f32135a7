/*
 * Processes of commands carry a mark: a limit of resident memory, which kernels do not enforce, impossibly large, made of token (above
 * 20 bits) and execution (the lower 20 bits), in KiB. It is inherited, survives setsid, exec and a cleared environment, can be lowered
 * but never raised, and can be read of any process without special rights.
 */
#pragma once
#include "fence.h"

#define MARK_BASE 4503599627370496ul
#define EXECUTION(mark) ((mark) & 1048575ul)

enum { UNMARKED = 0, MARKED = 1 };

static int mark_of(const char *id, number *mark) {
  char path[64], text[2048];
  put_text(put_text(put_text(path, "/proc/"), id), "/limits");
  if (read_file(path, text, sizeof text) <= 0) return UNMARKED;
  for (const char *s = text; *s; s++) {
    if (!begins(s, "Max resident set")) continue;
    s += length("Max resident set");
    while (*s == ' ') s++;
    while (*s && *s != ' ') s++;
    while (*s == ' ') s++;
    if (!is_digit(*s)) return UNMARKED;
    number bytes = 0;
    while (is_digit(*s)) bytes = bytes * 10 + (*s++ - '0');
    *mark = bytes / 1024;
    return MARKED;
  }
  return UNMARKED;
}

static int take_mark(number mark) {
  number limit[2] = { mark * 1024, mark * 1024 };
  return sys(prlimit64, 0, 5, limit, 0) == 0;
}

static char *put_in_place(char *to, const char *name, number n) { /* a file of ours */
  return put_number(put_text(put_text(to, PLACE), name), n);
}

static int is_cut(number execution) {
  char path[64];
  put_in_place(path, "x.", execution);
  return exists(path);
}

/* A mark of a command that runs on some lane, or of one that ended and left processes behind. */
static number asked_mark, asked_execution;
static int found_mark, found_execution;
static long found_process;

static void look_at_lane(const char *name) {
  char path[64], text[64];
  const char *at = text;
  if (!begins(name, "lane.")) return;
  put_text(put_text(path, PLACE), name);
  if (read_file(path, text, sizeof text) <= 0 || !is_digit(*text)) return;
  number mark = number_at(&at);
  if (mark == asked_mark) found_mark = 1;
  if (EXECUTION(mark) == asked_execution) { found_execution = 1; found_process = one_number(at); }
}

static int runs(number execution) { /* on some lane; then `found_process` is its first process */
  asked_execution = execution;
  asked_mark = 0;
  found_execution = 0;
  each_entry(PLACE, look_at_lane);
  return found_execution;
}

static int known(number mark) {
  static char part[4096];
  asked_mark = mark;
  asked_execution = 1ul << 32;
  found_mark = 0;
  each_entry(PLACE, look_at_lane);
  if (found_mark) return 1;
  long file = open_file(PLACE "left", O_RDONLY, 0), size;
  number value = 0;
  if (file < 0) return 0;
  while ((size = sys(read, file, part, sizeof part, 0)) > 0)
    for (long n = 0; n < size; n++) {
      if (is_digit(part[n])) { value = value * 10 + (part[n] - '0'); continue; }
      if (value == mark) found_mark = 1;
      value = 0;
    }
  close_file(file);
  return found_mark;
}

static void note_left(number mark) {
  char text[32];
  put_text(put_number(text, mark), "\n");
  write_file(PLACE "left", text, O_APPEND, 0644);
}

/* What is to be ended: everything marked; what a fence excludes; an execution; or what a shell began since it took up a command. */
enum scope { ALL, FENCE, ONE, SHELL };
static struct { enum scope scope; number execution; long shell, since; } ending;
static long count_ended;
static int hit, fresh, rounds;
static number seen[4194304 / 64]; /* by process */

static long began(const char *id) { /* in hundredths of a second since the machine started */
  char path[64], text[1024], *at = 0;
  put_text(put_text(put_text(path, "/proc/"), id), "/stat");
  if (read_file(path, text, sizeof text) <= 0) return 0;
  for (char *s = text; *s; s++) if (*s == ')') at = s;
  for (int field = 0; at && field < 20; field++) { at++; while (*at && *at != ' ') at++; }
  return at ? one_number(at) : 0;
}

static int spared(const char *id, number mark) {
  switch (ending.scope) {
    case FENCE: return mark >= MARK_BASE && allowed((mark - MARK_BASE) >> 20) && known(mark);
    case ONE: return EXECUTION(mark) != ending.execution && known(mark);
    case SHELL:
      if (EXECUTION(mark) != ending.execution) return known(mark);
      return one_number(id) == ending.shell || began(id) < ending.since;
    default: return 0;
  }
}

static void end_process(const char *id) {
  number mark;
  long process = one_number(id);
  if (process <= 1 || process >= 4194304 || mark_of(id, &mark) == UNMARKED) return;
  number *word = &seen[process / 64], bit = 1ul << process % 64;
  if (spared(id, mark)) {
    if (*word & bit) sys(kill, process, SIGCONT, 0, 0);
    return;
  }
  if (dead(id)) return;
  hit = 1;
  if (!(*word & bit)) {
    *word |= bit;
    fresh = 1;
    count_ended++;
    sys(kill, process, SIGSTOP, 0, 0);
  }
}

static void kill_process(const char *id) {
  long process = one_number(id);
  number mark;
  if (process <= 1 || process >= 4194304 || !(seen[process / 64] & 1ul << process % 64)) return;
  if (mark_of(id, &mark) == MARKED && !spared(id, mark)) sys(kill, process, SIGKILL, 0, 0);
}

static int end_marked(void) { /* stops what is to be ended until a listing shows nothing new, then kills; false when some live on */
  count_ended = 0;
  for (number n = 0; n < sizeof seen / sizeof *seen; n++) if (seen[n]) seen[n] = 0;
  for (rounds = 0; rounds < 400; rounds++) {
    hit = fresh = 0;
    each_entry("/proc", end_process);
    if (!hit) return 1;
    if (!fresh || rounds >= 40) each_entry("/proc", kill_process);
    if (rounds > 20) nap(20);
  }
  return 0;
}

static int end_scope(enum scope scope) { ending.scope = scope; return end_marked(); }

static int end_execution(number execution) { ending.execution = execution; return end_scope(ONE); }

static long processes_marked, signal_for_all;

static void signal_marked(const char *id) {
  number mark;
  long process = one_number(id);
  if (process <= 1 || mark_of(id, &mark) == UNMARKED || dead(id)) return;
  processes_marked++;
  if (signal_for_all > 0) sys(kill, process, signal_for_all, 0, 0);
}

/* Ends what an execution runs in a shell, and the shell as well unless that comes back. */
static void halt_in_shell(number execution) {
  char path[64], text[128], id[24];
  put_in_place(path, "sh.", execution);
  for (int round = 0; read_file(path, text, sizeof text) > 0; round++) {
    const char *at = text;
    number mark, shell = number_at(&at);
    long process = number_at(&at), since = number_at(&at);
    if (process <= 1 || since < 0) return;
    put_number(id, process);
    if (mark_of(id, &mark) == UNMARKED || EXECUTION(mark) != shell) return;
    if (round >= 15) { end_execution(shell); return; }
    sys(kill, process, SIGURG, 0, 0);
    ending.execution = shell;
    ending.shell = process;
    ending.since = since;
    end_scope(SHELL);
    nap(20);
  }
}

static int stop_execution(number execution) { /* one that has not begun will not */
  char path[64];
  put_in_place(path, "x.", execution);
  write_file(path, "", 0, 0644);
  halt_in_shell(execution);
  return end_execution(execution);
}
