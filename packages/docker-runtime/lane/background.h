/* The supervisor of one command in the background, or of one shell: nobody needs to listen to it. */
#pragma once
#include "untouched.h"

struct waited { int file; short events, seen; };

static long wait_for(struct waited *files, long count, long milliseconds) { /* below 0 without end */
  long time[2] = { milliseconds / 1000, milliseconds % 1000 * 1000000 };
  for (long n = 0; n < count; n++) files[n].seen = 0;
  return sys6(__NR_ppoll, (long)files, count, milliseconds < 0 ? 0 : (long)time, 0, 0, 0);
}

enum { CHILD_ENDED = 1, INPUT_ENDED = 2, ROOM_MADE = 4 };

static long signals_file(void) { /* signals that matter come as something to read */
  number these = 1ul << (SIGCHLD - 1) | 1ul << (SIGUSR1 - 1) | 1ul << (SIGUSR2 - 1);
  sys(rt_sigprocmask, 0, &these, 0, 8);
  return sys(signalfd4, -1, &these, 8, O_CLOEXEC | O_NONBLOCK);
}

static int take_signals(long file) {
  static unsigned one[32];
  int which = 0;
  while (sys(read, file, one, sizeof one, 0) == sizeof one) which |= one[0] == SIGUSR1 ? INPUT_ENDED : one[0] == SIGUSR2 ? ROOM_MADE : CHILD_ENDED;
  return which;
}

static void two_ends(long *reads, long *writes) {
  int ends[2] = { -1, -1 };
  if (sys(pipe2, ends, O_CLOEXEC, 0, 0) < 0) leave(NOT_BEGUN);
  *reads = ends[0];
  *writes = ends[1];
}

static long be_alone(void) { /* says that it took the command, and who keeps it from now on; when it did */
  char text[32];
  put_text(put_number(text, sys(getpid, 0, 0, 0, 0)), "\n");
  write_spool("keeper", text);
  note_lane(asked.words[1], 1); /* whoever ends it from now on finds one that may begin */
  says(asked.nonce, "ok");
  place_file(empty_file, 0);
  place_file(empty_file, 1);
  place_file(empty_file, 2);
  return now();
}

static void keep_in_spool(long limit_seconds, long signals) {
  char path[96];
  struct kept outputs[2] = { { .name = 'o', .piece = -1 }, { .name = 'e', .piece = -1 } };
  long out, error, in = empty_file, held_open = -1, with_input = asked.flags[0] == 'i';
  const char *why = new_spool(EXECUTION(asked.words[1]));
  if (!why && !named_pipe("in")) why = "lost";
  if (why) { says(asked.nonce, why); return; }
  long from = be_alone(), until = from + limit_seconds * 100, told = 0, given = 0;
  two_ends(&outputs[0].file, &out);
  two_ends(&outputs[1].file, &error);
  if (with_input) {
    put_spool(path, "in");
    long both = open_file(path, O_RDWR, 0);
    in = open_file(path, O_RDONLY, 0);
    held_open = open_file(path, O_WRONLY, 0);
    close_file(both);
  }
  if (!begin_command((struct streams){ in, out, error, -1, -1 })) { ended = 1; status = NOT_BEGUN << 8; }
  close_file(out);
  close_file(error);
  if (with_input) close_file(in);
  while (!told || outputs[0].file >= 0 || outputs[1].file >= 0) {
    struct waited files[3] = { { signals, POLLIN, 0 }, { -1, POLLIN, 0 }, { -1, POLLIN, 0 } };
    int full = 0;
    for (int n = 0; n < 2; n++) {
      if (outputs[n].full) outputs[n].full = !has_room(&outputs[n]);
      if (outputs[n].full) full = 1;
      else files[n + 1].file = outputs[n].file;
    }
    /* What still holds the outputs of a command that has ended may go on for long: of it comes what is there soon. */
    long last = ended ? given + (others ? 20 : 500) : until, rest = last > now() ? (last - now()) * 10 : 0;
    if (told) rest = -1;
    if (full && (rest < 0 || rest > 50)) rest = 50;
    wait_for(files, 3, rest);
    if (files[0].seen && take_signals(signals) & INPUT_ENDED) { close_file(held_open); held_open = -1; }
    for (int n = 0; n < 2; n++) if (files[n + 1].seen && files[n + 1].file >= 0) keep_more(&outputs[n]);
    if (!ended && take_ended()) given = now();
    if (told) continue;
    if (!ended && now() >= until) {
      write_spool("time", "");
      stop_execution(command.execution);
    }
    if (!ended) continue;
    int all = outputs[0].file < 0 && outputs[1].file < 0;
    if (!all && ((full && !others) || now() < given + (others ? 20 : 500))) continue;
    conclude();
    put_spool(path, "time");
    if (exists(path)) note = "time";
    remove_spool("in");
    close_file(held_open);
    held_open = -1;
    tell_end(from);
    told = 1;
  }
}
