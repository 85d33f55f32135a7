/*
 * The supervisor of a shell that stays. It hands to the shell, one at a time, what lanes ask for, and writes down how each ended. A lane
 * asks by a process that stands for the command, which says who it is and has stopped itself; files that commands cannot write do the rest:
 *
 *   ask.X  the shell that execution X wants, and its command, as requests have it
 *   sh.X   the shell that runs X, its process, and since when
 *   r.X    how X ended in its shell, or that there is none
 */
#pragma once
#include "background.h"

struct lines { char text[4096]; long size; };

static struct {
  number execution;
  long to, from, in;
  char process[24]; /* empty until the shell has said it */
  number asking; /* the execution that runs in it */
  char waiting[24], secret[NONCE + 1]; /* the process that stands for it, and what the shell knows it by */
  number before;
  struct lines asks, answers;
} shell;

static int take_line(struct lines *lines, long file, char *line, long room) { /* one that is there already, or of what came */
  for (int again = 0; again < 2; again++) {
    for (long n = 0; n < lines->size; n++) {
      if (lines->text[n] != '\n') continue;
      long size = n < room - 1 ? n : 0;
      copy(line, lines->text, size);
      line[size] = 0;
      for (long m = n + 1; m < lines->size; m++) lines->text[m - n - 1] = lines->text[m];
      lines->size -= n + 1;
      return 1;
    }
    if (lines->size == sizeof lines->text) lines->size = 0;
    long got = again ? 0 : sys(read, file, lines->text + lines->size, sizeof lines->text - lines->size, 0);
    if (got > 0) lines->size += got;
  }
  return 0;
}

static number mixed(number before, const char *path) {
  static char text[65536];
  long size = read_file(path, text, sizeof text);
  for (long n = 0; n < size; n++) before = (before ^ (number)text[n]) * 1099511628211ul;
  return before;
}

static number offspring(void) { /* of the shell, and ours, among which is whatever a command leaves behind */
  char path[96], me[24];
  take_ended();
  put_text(put_text(put_text(put_text(put_text(path, "/proc/"), shell.process), "/task/"), shell.process), "/children");
  number found = mixed(14695981039346656037ul, path);
  put_number(me, sys(getpid, 0, 0, 0, 0));
  put_text(put_text(put_text(put_text(put_text(path, "/proc/"), me), "/task/"), me), "/children");
  return mixed(found, path);
}

static int names_shell(const char *path) { /* whether a note is about this shell */
  static char text[64];
  long file = open_file(path, O_RDONLY, 0), size = file < 0 ? 0 : sys(read, file, text, sizeof text - 1, 0);
  close_file(file);
  text[size > 0 ? size : 0] = 0;
  return is_digit(*text) && (number)one_number(text) == shell.execution;
}

static void write_result(number execution, const char *text) {
  char path[64];
  put_in_place(path, "r.", execution);
  write_file(path, text, O_TRUNC, 0644);
}

static void hand_over(const char *line) { /* what a lane asks for, if it does */
  static char text[65536];
  char path[64], note[96], *to = note;
  number mark, execution;
  if (begins(line, "close")) { say(shell.to, "x\n"); return; }
  for (const char *s = line; *s; s++) if (!is_digit(*s)) return;
  if (!*line || length(line) > 20 || mark_of(line, &mark) == UNMARKED) return;
  execution = EXECUTION(mark);
  put_in_place(path, "ask.", execution);
  if (!names_shell(path)) return;
  to = put_text(put_number(to, shell.execution), " ");
  put_text(put_number(put_text(put_text(to, shell.process), " "), now()), "\n");
  put_in_place(path, "sh.", execution);
  write_file(path, note, O_TRUNC, 0644);
  if (is_cut(execution) || dead(line)) { write_file(path, "", O_TRUNC, 0644); return; }
  unsigned char chance[NONCE / 2];
  sys(getrandom, chance, sizeof chance, 0, 0);
  for (int n = 0; n < NONCE; n++) shell.secret[n] = "0123456789abcdef"[chance[n / 2] >> n % 2 * 4 & 15];
  put_text(shell.waiting, line);
  shell.before = offspring();
  put_text(put_text(put_text(put_text(note, shell.secret), " "), line), "\n");
  say(shell.to, note);
  put_in_place(path, "ask.", execution);
  long file = open_file(path, O_RDONLY, 0), size, header = 1;
  while ((size = sys(read, file, text, sizeof text, 0)) > 0) {
    long at = 0;
    while (header && at < size) if (text[at++] == '\n') header = 0;
    write_all(shell.to, text + at, size - at);
  }
  close_file(file);
  say(shell.to, ".\n");
  write_file(path, "", O_TRUNC, 0644);
  shell.asking = execution;
}

static void hear(const char *line) { /* the shell itself, or whoever it lets write */
  char path[64], text[64];
  if (!*shell.process) { if (length(line) < (long)sizeof shell.process) put_text(shell.process, line); return; }
  if (!*shell.waiting || !same(line, shell.secret, NONCE) || line[NONCE] != ' ') return;
  const char *at = line + NONCE;
  long how = number_at(&at);
  if (how >= 0 && !*at) {
    put_text(put_text(put_number(text, how), offspring() == shell.before ? " 0" : " 1"), "\n");
    write_result(shell.asking, text);
  }
  put_in_place(path, "sh.", shell.asking);
  write_file(path, "", O_TRUNC, 0644);
  sys(kill, one_number(shell.waiting), SIGKILL, 0, 0);
  *shell.waiting = 0;
}

static void let_go(const char *name) { /* the shell is gone: whoever waits for it hears so */
  char path[64], text[64];
  int running = begins(name, "sh.");
  if (!running && !begins(name, "ask.")) return;
  put_text(put_text(path, PLACE), name);
  if (!names_shell(path)) return;
  number execution = one_number(name + (running ? 3 : 4));
  char *to = put_text(text, running ? "gone " : "none");
  if (running && status & 127) to = put_text(to, "s");
  if (running) to = put_number(to, status & 127 ? status & 127 : (status >> 8) & 255);
  put_text(to, "\n");
  write_result(execution, text);
  write_file(path, "", O_TRUNC, 0644);
  end_execution(execution);
}

static void host_shell(long signals) {
  char path[96], line[512];
  long commands, answers;
  const char *why = new_spool(EXECUTION(asked.words[1]));
  if (!why && !named_pipe("in")) why = "lost";
  if (why) { says(asked.nonce, why); return; }
  put_spool(path, "in");
  shell.in = open_file(path, O_RDWR | O_NONBLOCK, 0);
  write_spool("shell", "");
  shell.execution = EXECUTION(asked.words[1]);
  long from = be_alone();
  two_ends(&commands, &shell.to);
  two_ends(&shell.from, &answers);
  sys(fcntl, shell.from, F_SETFL, O_NONBLOCK, 0);
  if (!begin_command((struct streams){ empty_file, empty_file, empty_file, commands, answers })) {
    ended = 1;
    status = NOT_BEGUN << 8;
  }
  close_file(commands);
  close_file(answers);
  while (!ended) {
    int busy = *shell.waiting || !*shell.process;
    if (!busy && take_line(&shell.asks, shell.in, line, sizeof line)) { hand_over(line); continue; }
    if (take_line(&shell.answers, shell.from, line, sizeof line)) { hear(line); continue; }
    struct waited files[3] = {
      { signals, POLLIN, 0 }, { shell.from, POLLIN, 0 }, { busy ? -1 : shell.in, POLLIN, 0 } };
    wait_for(files, 3, -1);
    take_signals(signals);
    take_ended();
  }
  remove_spool("in");
  conclude();
  tell_end(from);
  each_entry(PLACE, let_go);
}
