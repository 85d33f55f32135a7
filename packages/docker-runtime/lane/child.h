/* What becomes a command: it takes the command's mark, compares the fence, changes user, and is the program. */
#pragma once
#include "become.h"
#include "marks.h"
#include "request.h"

static long user, group;
/* By it the first program of a container gets ours. No command sees it. */
static const char hidden[] = "OCT_LANE=";

static int same_name(const char *a, const char *b) { /* of two variables */
  while (*a && *a == *b && *a != '=') a++, b++;
  return *a == '=' && *b == '=';
}

/* The variables of the container, and those that a command is given in their place. */
static char **environment(char **own, char **given, long count, char *directory) {
  long size = 0, there = 0;
  while (own[size]) size++;
  char **all = new_memory((size + count + 2) * sizeof *all);
  all[there++] = directory;
  for (long n = 0; n < size + count; n++) {
    char *one = n < size ? own[n] : given[n - size];
    long at = 0;
    if (begins(one, hidden)) continue;
    while (at < there && !same_name(all[at], one)) at++;
    all[at] = one;
    if (at == there) there++;
  }
  return all;
}

static void enter(char *directory, char **words, char **own, char **given, long count) {
  char *variable = new_memory(length(directory) + 5);
  put_text(put_text(variable, "PWD="), directory);
  if (sys(chdir, directory, 0, 0, 0) < 0) fail(directory, NOT_RUN, ": cannot be the working directory\n");
  become(words, environment(own, given, count, variable));
}

static void change_user(void) { /* from then on there is no capability, nor a way back */
  struct { unsigned version; int process; } header = { 0x20080522, 0 };
  struct { unsigned effective, permitted, inheritable; } sets[2] = { { 0, 0, 0 }, { 0, 0, 0 } };
  struct { unsigned effective, permitted, inheritable; } now[2];
  if (sys(capget, &header, now, 0, 0) < 0) leave(NOT_BEGUN);
  now[0].inheritable = now[1].inheritable = 0;
  if (sys(capset, &header, now, 0, 0) < 0) leave(NOT_BEGUN);
  if (sys(setgroups, 0, 0, 0, 0) < 0 || sys(setresgid, group, group, group, 0) < 0) leave(NOT_BEGUN);
  if (sys(setresuid, user, user, user, 0) < 0 || sys(capset, &header, sets, 0, 0) < 0) leave(NOT_BEGUN);
}

static void place_file(long file, long at) { /* where a program expects it */
  if (file != at) sys(dup3, file, at, 0, 0);
  else sys(fcntl, file, F_SETFD, 0, 0);
}

struct streams { long in, out, error, commands, answers; };

/* Starts what was asked for; its process, or what went wrong. */
static long start_command(struct streams streams, char **own) {
  long process = sys(clone, SIGCHLD, 0, 0, 0), count, variables = 0;
  if (process != 0) return process;
  for (int n = 0; n < NONCE; n++) asked.nonce[n] = 0;
  sys(setsid, 0, 0, 0, 0);
  handle_signal(SIGPIPE, 0);
  number none = 0, token = asked.words[0], mark = asked.words[1];
  sys(rt_sigprocmask, 2, &none, 0, 8);
  place_file(streams.in, 0);
  place_file(streams.out, 1);
  place_file(streams.error, 2);
  if (streams.commands >= 0) { place_file(streams.commands, 6); place_file(streams.answers, 7); }
  if (!take_mark(mark) || !allowed(token) || is_cut(EXECUTION(mark))) leave(NOT_BEGUN);
  change_user();
  char **words = take_apart(&count);
  while (variables < count && words[variables][0] != '/') variables++;
  if (count - variables < 2) leave(NOT_BEGUN);
  enter(words[variables], words + variables + 1, own, words, variables);
  return 0;
}
