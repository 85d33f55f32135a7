/*
 * The supervisor at the far end of a lane. It runs as root without any capability but to change user and to send signals, reads
 * requests, and starts each command as the sandbox's user. `node build.mjs` compiles it; what it is for is in
 * docs/decisions/2026-11-29-lanes-by-a-program.md.
 *
 *   oct-lane UID GID first             the main process of a container: idles when its stream ends
 *   oct-lane UID GID lane              any other lane
 *   oct-lane UID GID spool SECONDS     as a lane that was asked to `keep SECONDS`; versions before that was known ask so
 *   oct-lane become TOKEN MARK DIRECTORY PROGRAM…   as the commands' user: takes the mark, asks the fence, and is the program
 *   oct-lane feed EXECUTION            as the commands' user: writes what it reads to the input of a command in the background
 *   oct-lane mounts                    prints what is mounted where
 *
 * - A command takes its mark first and compares the fence second. Whoever fences writes the fence first and lists marks second, so that
 *   nothing can slip between the two.
 * - A result is the nonce of the request on both streams. Commands cannot read it: they run under another user.
 * - A request that is cut off by the death of its sender is never carried out, and its running command is ended.
 * - Nothing that is needed to end processes makes one.
 */
#include "output.h"
#include "shell.h"

static long signals;
static int first, gone;
/* What is left of the lane's input goes to the command. */
static struct { long file; int on; char bytes[BLOCK]; long from, to; } pump;

static void leave_lane(void) {
  close_file(pump.file); /* whatever the command left behind may read until the end of its input */
  sys(unlinkat, AT_FDCWD, lane_path, 0, 0);
  place_file(empty_file, 0);
  place_file(empty_file, 1);
  place_file(empty_file, 2);
  handle_signal(SIGCHLD, 1);
  for (int n = 0; n < 2; n++) let_go_of(&outputs[n]);
  while (first || outputs[0].file >= 0 || outputs[1].file >= 0) {
    struct waited files[3] = { { guard, POLLIN, 0 }, { outputs[0].file, POLLIN, 0 }, { outputs[1].file, POLLIN, 0 } };
    wait_for(files, 3, -1);
    if (files[0].seen) clock_was_set();
    if (files[1].seen || files[2].seen) drop_outputs();
  }
  leave(0);
}

static void ask_shell(void) { /* writes down what is wanted of a shell, before what stands for it can say so */
  char path[64];
  put_in_place(path, "ask.", EXECUTION(asked.words[1]));
  long file = open_file(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  say(file, asked.flags + 1);
  say(file, "\n");
  write_all(file, asked.fields, asked.fields_size);
  close_file(file);
}

static void in_shell(void) { /* what became of the command that was to run there */
  static const char *const files[] = { "ask.", "sh.", "r." };
  char path[96], text[64];
  put_in_place(path, "r.", command.execution);
  long size = read_file(path, text, sizeof text);
  const char *at = text;
  if (note[0] == 'c' || note[0] == 'f') size = 0;
  else if (size > 0 && begins(text, "gone ")) {
    int killed = text[5] == 's';
    long how = one_number(text + 5 + killed);
    status = killed ? how & 127 : how << 8;
    note = "gone";
  } else if (size > 0 && begins(text, "none")) {
    status = 0;
    note = "none";
  } else if (size > 0 && is_digit(*text)) {
    status = (number_at(&at) & 255) << 8;
    left = one_number(at);
  } else {
    halt_in_shell(command.execution);
    put_text(put_in_place(path, "bg.", one_number(command.flags + 1)), "/in");
    status = exists(path) ? SIGKILL : 0;
    if (!exists(path)) note = "none";
  }
  for (int n = 0; n < 3; n++) { put_in_place(path, files[n], command.execution); remove_file(path); }
}

static void report(void) {
  char text[64];
  conclude();
  if (in_a_shell()) in_shell();
  put_result(text);
  end_outputs(command.nonce, left != 0);
  says(command.nonce, text);
  if (pump.on) leave_lane();
}

static void run(void) {
  struct streams streams = { empty_file, -1, -1, -1, -1 };
  if (!allowed(asked.words[0])) { says(asked.nonce, "refused"); return; }
  pump.on = asked.flags[0] == 'i';
  if (pump.on) {
    two_ends(&streams.in, &pump.file);
    sys(fcntl, pump.file, F_SETFL, O_NONBLOCK, 0);
  }
  if (asked.flags[0] == 's') ask_shell();
  int begun = open_outputs(&streams) && begin_command(streams);
  if (pump.on) close_file(streams.in);
  if (!begun) { says(asked.nonce, "lost"); if (pump.on) leave_lane(); }
}

static void answer_end(int done) { answer(done ? "ok" : "left", count_ended); }

static void fence(void) {
  if (asked.count == 0) leave_lane();
  if (would_lower(asked.words, asked.count)) { answer("lower", highest); return; }
  append_fence(asked.words, asked.count);
  answer_end(end_scope(FENCE));
}

static void initialise(void) {
  if (!exists(fence_file) && asked.count > 0) append_fence(asked.words, asked.count);
  answer("ok", 0);
}

static void cut(void) {
  char path[64];
  int done = stop_execution(asked.words[0]);
  if (!runs(asked.words[0])) { put_in_place(path, "x.", asked.words[0]); remove_file(path); }
  answer_end(done);
}

static void all(void) { /* signal: 9 ends, others are sent once, 0 counts */
  if (asked.words[0] == SIGKILL) { answer_end(end_scope(ALL)); return; }
  processes_marked = 0;
  signal_for_all = asked.words[0];
  each_entry("/proc", signal_marked);
  answer("ok", processes_marked);
}

static void admit(void) {
  int is_allowed = allowed(asked.words[0]);
  if (is_allowed) note_left(asked.words[1]);
  answer(is_allowed ? "ok" : "lower", 0);
}

static void send_signal(void) {
  int there = runs(asked.words[0]) && found_process > 1;
  if (there && sys(kill, -found_process, asked.words[1], 0, 0) < 0 && sys(kill, found_process, asked.words[1], 0, 0) < 0) there = 0;
  answer("ok", there);
}

static void keep_one(long limit_seconds) { /* a command for the background, or a shell, is the next and the last */
  while (!input.over) {
    enum taken taken = take_request();
    if (taken == NOTHING) { read_input(); continue; }
    if (taken == REQUEST && same(asked.verb, "run", 4)) {
      if (!allowed(asked.words[0])) says(asked.nonce, "refused");
      else if (asked.flags[0] == 's') host_shell(signals);
      else keep_in_spool(limit_seconds, signals);
    }
    break;
  }
  leave_lane();
}

static void keep(void) {
  answer(first ? "left" : "ok", 0);
  if (!first) keep_one(asked.words[0]);
}

static void carry_out(void) {
  static const struct { const char *verb; void (*carry)(void); } verbs[] = {
    { "run", run }, { "init", initialise }, { "fence", fence }, { "cut", cut }, { "all", all }, { "admit", admit }, { "keep", keep }, { "look", look },
    { "pull", pull }, { "signal", send_signal }, { "eof", end_input }, { "forget", forget },
    { "made", made }, { "mark", mark }, { "seal", seal }, { "same", same_root } };
  if (same(asked.verb, "end", 4)) { stop_execution(asked.words[0]); return; }
  put_in_place(spool_path, "bg.", asked.words[0]);
  for (unsigned n = 0; n < sizeof verbs / sizeof *verbs; n++)
    if (same(asked.verb, verbs[n].verb, length(verbs[n].verb) + 1)) { verbs[n].carry(); return; }
  answer(same(asked.verb, "hello", 6) ? "ok" : "unknown", 0);
}

static void hear_requests(void) { /* while a command runs, only that some execution is to end */
  for (;;) {
    if (pump.on || (command.process && !begins(input.bytes + input.from, "end "))) return;
    enum taken taken = take_request();
    if (taken == NOTHING) return;
    if (taken == BROKEN_OFF) { gone = 1; return; }
    carry_out();
  }
}

static void pump_input(int readable, int writable) {
  if (pump.from == pump.to && input.from < input.to) { /* what came with the request */
    long size = input.to - input.from < BLOCK ? input.to - input.from : BLOCK;
    copy(pump.bytes, input.bytes + input.from, size);
    input.from += size;
    pump.from = 0;
    pump.to = size;
  } else if (pump.from == pump.to && readable && !gone) {
    long got = sys(read, 0, pump.bytes, BLOCK, 0);
    pump.from = 0;
    pump.to = got > 0 ? got : 0;
    if (got <= 0 && got != INTERRUPTED && got != AGAIN) gone = 1;
  }
  if (pump.from < pump.to && writable) {
    long done = sys(write, pump.file, pump.bytes + pump.from, pump.to - pump.from, 0);
    if (done > 0) pump.from += done;
    else if (done != AGAIN && done != INTERRUPTED) { close_file(pump.file); pump.file = -1; }
  }
  if (gone && pump.from == pump.to && input.from == input.to) { close_file(pump.file); pump.file = -1; }
}

static void serve(void) {
  for (;;) {
    hear_requests();
    if (gone && !command.process) leave_lane();
    int pending = pump.on && (pump.from < pump.to || input.from < input.to);
    int pumping = pump.on && pump.file >= 0;
    struct waited files[6] = {
      { signals, POLLIN, 0 },
      { gone || (pump.on && (pending || !pumping)) ? -1 : 0, POLLIN, 0 },
      { pumping && pending ? pump.file : -1, POLLOUT, 0 },
      { guard, POLLIN, 0 },
      { outputs[0].file, POLLIN, 0 },
      { outputs[1].file, POLLIN, 0 } };
    wait_for(files, 6, -1);
    if (files[3].seen) clock_was_set();
    if (files[0].seen && take_signals(signals) && take_ended()) { report(); continue; }
    if (pumping) pump_input(files[1].seen, pending ? files[2].seen : 1);
    else if (files[1].seen) {
      read_input();
      if (input.over) gone = 1;
      if (gone && command.process) stop_execution(command.execution);
    }
    for (int n = 0; n < 2; n++)
      if (files[n + 4].seen && command.process) send_output(&outputs[n], command.nonce);
      else if (files[n + 4].seen) drop_outputs();
  }
}

static void pour(long from, long to) {
  static char bytes[BLOCK];
  long size;
  while ((size = sys(read, from, bytes, sizeof bytes, 0)) > 0 || size == INTERRUPTED)
    if (size > 0) write_all(to, bytes, size);
}

static void copy_itself(void) { /* where no shell wrote the program to its place, it is in a volume */
  long file = open_file(PLACE ".oct-lane", O_WRONLY | O_CREAT | O_TRUNC, 0755);
  pour(open_file("/proc/self/exe", O_RDONLY, 0), file);
  close_file(file);
}

static void feed(const char *execution) {
  char path[64];
  struct stat facts;
  put_text(put_in_place(path, "bg.", one_number(execution)), "/in");
  if (sys(newfstatat, AT_FDCWD, path, &facts, 0) < 0 || !S_ISFIFO(facts.st_mode)) leave(3);
  long file = open_file(path, O_WRONLY, 0);
  if (file < 0) leave(3);
  pour(0, file);
  leave(0);
}

static void prepare(void) { /* what an image may lack */
  struct stat facts;
  char text[16];
  sys(umask, 022, 0, 0, 0);
  handle_signal(SIGPIPE, 1);
  signals = signals_file();
  pump.file = -1;
  empty_file = open_file("/dev/null", O_RDWR, 0);
  sys(prctl, 36, 1, 0, 0); /* PR_SET_CHILD_SUBREAPER */
  sys(prctl, 15, "oct-lane", 0, 0); /* PR_SET_NAME */
  for (long file = 1; file <= 2; file++)
    if (sys(fstat, file, &facts, 0, 0) == 0 && S_ISFIFO(facts.st_mode)) sys(fchmod, file, 0622, 0, 0);
  memory_file = open_file("/sys/fs/cgroup/memory.events", O_RDONLY, 0);
  if (memory_file < 0) memory_file = open_file("/sys/fs/cgroup/memory/memory.oom_control", O_RDONLY, 0);
  put_in_place(lane_path, "lane.", sys(getpid, 0, 0, 0, 0));
  lane_file = open_file(lane_path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  guard = -1;
  if (!first) return;
  if (!exists(PLACE ".oct-lane")) copy_itself();
  sys(renameat2, AT_FDCWD, PLACE ".oct-lane", AT_FDCWD, PLACE "oct-lane");
  if (sys(newfstatat, AT_FDCWD, "/tmp", &facts, 0) == 0 && !(facts.st_mode & S_ISVTX)) sys(fchmodat, AT_FDCWD, "/tmp", 01777, 0);
  if (read_file("/etc/hosts", text, sizeof text) <= 0)
    write_file("/etc/hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n", O_TRUNC, 0644);
  guard_clock(); /* the youngest of what is made here */
}

__attribute__((used)) void begin(long *stack) {
  long count = *stack;
  char **words = (char **)(stack + 1);
  own_variables = words + count + 1;
  if (count > 5 && same(words[1], "become", 7)) {
    number mark = one_number(words[3]);
    if (!take_mark(mark) || !allowed(one_number(words[2])) || is_cut(EXECUTION(mark))) leave(NOT_BEGUN);
    enter(words[4], words + 5, own_variables, 0, 0);
  }
  if (count > 2 && same(words[1], "feed", 5)) feed(words[2]);
  if (count > 1 && same(words[1], "mounts", 7)) { pour(open_file("/proc/self/mountinfo", O_RDONLY, 0), 1); leave(0); }
  if (count < 4) leave(5);
  user = one_number(words[1]);
  group = one_number(words[2]);
  if (user <= 0 || group <= 0) leave(5);
  first = words[3][0] == 'f';
  prepare();
  if (words[3][0] == 's') keep_one(count > 4 ? one_number(words[4]) : 1);
  serve();
}
