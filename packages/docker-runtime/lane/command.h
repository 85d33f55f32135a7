/* The command of a supervisor, from before it begins to the word of how it ended. */
#pragma once
#include "child.h"

static char **own_variables;
static char lane_path[64];
static long lane_file, memory_file, empty_file; /* no variable begins with a value: a program without such is a page shorter */

static struct {
  long process; /* 0 when none runs */
  number token, mark, execution;
  char nonce[NONCE + 1], flags[24];
  long kills; /* for want of memory, before it began */
} command;

/* How the command ended: what it left behind is 1 for processes that live on, 3 for some that could not be ended. */
static const char *note;
static long left;

static long memory_kills(void) {
  static char text[4096];
  long size = memory_file < 0 ? 0 : sys(pread64, memory_file, text, sizeof text - 1, 0);
  if (size <= 0) return 0;
  text[size] = 0;
  for (const char *s = text; *s; s++)
    if ((s == text || s[-1] == '\n') && begins(s, "oom_kill ")) return one_number(s + 9);
  return 0;
}

static void note_lane(number mark, long process) { /* the command that this supervisor has, and its first process */
  char text[64], *to = text;
  if (process > 0) { to = put_number(to, mark); *to++ = ' '; to = put_number(to, process); to = put_text(to, "\n"); }
  else to = put_text(to, "done\n");
  while (to < text + 48) *to++ = '\n';
  sys(pwrite64, lane_file, text, to - text, 0);
}

static void says(const char *nonce, const char *what) { /* the word on both streams that what was asked for is over */
  char text[128];
  long size = put_text(put_text(put_text(put_text(put_text(text, "\036"), nonce), " "), what), "\n") - text;
  write_all(1, text, size);
  write_all(2, text, size);
}

static void answer(const char *outcome, number count) {
  char text[64];
  put_number(put_text(put_text(text, outcome), " "), count);
  says(asked.nonce, text);
}

/* Whatever its flags: with a process it is known by its mark before it can do anything that matters. */
static int begin_command(struct streams streams) {
  command.token = asked.words[0];
  command.mark = asked.words[1];
  command.execution = EXECUTION(command.mark);
  copy(command.nonce, asked.nonce, sizeof command.nonce);
  copy(command.flags, asked.flags, sizeof command.flags);
  command.kills = memory_kills();
  note_lane(command.mark, 1);
  long process = start_command(streams, own_variables);
  if (process > 0) note_lane(command.mark, process);
  else note_lane(0, 0);
  command.process = process > 0 ? process : 0;
  return process > 0;
}

/* Takes in what ended; true when the command did, whose status is then in `status`. What a command leaves behind becomes ours. */
static int ended, status, others;
enum { NO_WAIT = 1, ALL_KINDS = 0x40000000 };

static int take_ended(void) {
  int what;
  long process;
  while ((process = sys(wait4, -1, &what, NO_WAIT | ALL_KINDS, 0)) > 0)
    if (process == command.process) { ended = 1; status = what; }
  others = process == 0;
  return ended;
}

static int in_a_shell(void) { return command.flags[0] == 's' && is_digit(command.flags[1]); }

/* Finds out what became of the command that ended. */
static void conclude(void) {
  char path[64];
  put_in_place(path, "x.", command.execution);
  note = "-";
  left = 0;
  if (status != 0 && memory_kills() != command.kills) note = "oom";
  if (exists(path)) note = "cut";
  else if (!allowed(command.token)) note = "fenced";
  if (note[0] == 'c' || note[0] == 'f') {
    if (!end_execution(command.execution)) left = 3;
    if (note[0] == 'c') remove_file(path);
  } else if (others && !in_a_shell()) {
    left = 1;
    note_left(command.mark);
  }
  note_lane(0, 0);
  command.process = 0;
  ended = 0;
}

static char *put_result(char *to) { /* as a lane says it: `s` and a signal or an exit code, what is left, the note */
  long signal = status & 127;
  if (signal) to = put_text(to, "s");
  to = put_text(put_number(to, signal ? signal : (status >> 8) & 255), " ");
  return put_text(put_text(put_number(to, left), " "), note);
}
