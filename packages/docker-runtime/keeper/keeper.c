/*
 * The only program of ours in a sandbox whose image has no shell. It needs no library, and no file but those in /run/oct,
 * which root alone can write. `node build.mjs` compiles it; what it is for is in docs/decisions/2026-11-29-images-without-a-shell.md.
 *
 *   keeper hold UID GID                  the main process: waits, and takes in what others leave behind
 *   keeper run TOKEN DIRECTORY PROGRAM…  as the commands' user: becomes the program, if the fence lets the token pass
 *   keeper fence MIN REVOKED…            as root: raises the fence, then ends every process but the first
 *   keeper mounts                        prints where what is mounted
 *   keeper end                           as root: ends every process but the first
 *   keeper ask SIGNAL                    as root: sends the signal to every process but the first; 0 only counts them
 *
 * `fence`, `end` and `ask` print how many processes there were.
 */

#define KEEPER
#include "become.h"
#include "fence.h"

enum { REFUSED = 125, LOWER = 3, LEFT = 4, BROKEN = 5 };

static const char lock[] = PLACE "lock";

static long count_of_processes;

static void count_process(const char *id) {
  long process = one_number(id);
  if (process > 1 && process != sys(getpid, 0, 0, 0, 0) && !dead(id)) count_of_processes++;
}

static long processes(void) { /* that live, besides the first and this one */
  count_of_processes = 0;
  if (each_entry("/proc", count_process) < 0) leave(BROKEN);
  return count_of_processes;
}

static void only_in_sandbox(void) { /* anywhere else there is more than one sandbox's processes to end */
  static const char keeper[] = "/run/oct/keeper";
  char first[sizeof keeper];
  long file = open_file("/proc/1/cmdline", O_RDONLY, 0);
  if (file < 0 || sys(read, file, first, sizeof first, 0) != sizeof first) leave(BROKEN);
  if (!same(first, keeper, sizeof keeper)) leave(BROKEN);
  close_file(file);
}

static void tell(long count) {
  char text[32];
  put_text(put_number(text, count), "\n");
  say(1, text);
}

static void end_all(void) { /* one call ends them all: no process can fork between the first and the last of them */
  long before = processes();
  only_in_sandbox();
  for (int round = 0; round < 2000; round++) {
    sys(kill, -1, SIGKILL, 0, 0);
    if (processes() == 0) { tell(before); leave(0); }
    nap(2);
  }
  tell(before);
  leave(LEFT);
}

static void alone(void) { /* whoever else raises the fence or ends processes waits, or is ended with them and tries again */
  long file = open_file(lock, O_CREAT | O_WRONLY, 0600);
  if (file < 0 || sys(flock, file, 2, 0, 0) < 0) leave(BROKEN);
}

static void fence(char **words) {
  static number tokens[4096];
  long count = 0, new = 0;
  alone();
  for (; words[count]; count++) {
    if (count == sizeof tokens / sizeof *tokens) leave(BROKEN);
    tokens[count] = one_number(words[count]);
  }
  if (would_lower(tokens, count)) leave(LOWER);
  for (long n = 1; n < count; n++) if (tokens[n] >= tokens[0] && allowed(tokens[n])) new = 1;
  if (least_known && !new) { tell(0); leave(0); }
  append_fence(tokens, count);
  end_all();
}

static void run(char **words, char **variables) {
  if (!allowed(one_number(words[0]))) leave(REFUSED);
  if (sys(chdir, words[1], 0, 0, 0) < 0) fail(words[1], NOT_RUN, ": cannot be the working directory\n");
  become(words + 2, variables);
}

static void hold(void) { /* children of nobody vanish by themselves when SIGCHLD is ignored */
  handle_signal(SIGCHLD, 1);
  for (;;) sys(ppoll, 0, 0, 0, 0);
}

static void mounts(void) {
  static char held[65536];
  long file = open_file("/proc/self/mountinfo", O_RDONLY, 0), size;
  while ((size = sys(read, file, held, sizeof held, 0)) > 0) write_all(1, held, size);
  leave(size < 0 ? BROKEN : 0);
}

__attribute__((used)) void begin(long *stack) {
  long count = *stack;
  char **words = (char **)(stack + 1), **variables = words + count + 1;
  char verb = count > 1 ? words[1][0] : 0;
  if (verb == 'h') hold();
  if (verb == 'r' && count > 4) run(words + 2, variables);
  if (verb == 'f' && count > 2 && one_number(words[2]) >= 0) fence(words + 2);
  if (verb == 'm') mounts();
  if (verb == 'e') { alone(); end_all(); }
  if (verb == 'a' && count > 2) {
    long there = processes(), signal = one_number(words[2]);
    only_in_sandbox();
    if (signal > 0) sys(kill, -1, signal, 0, 0);
    tell(there);
    leave(0);
  }
  leave(BROKEN);
}
