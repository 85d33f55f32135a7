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

#if defined(__x86_64__)
enum { READ = 0, WRITE = 1, OPENAT = 257, RENAMEAT = 264, GETDENTS = 217, EXECVE = 59, EXIT = 231, KILL = 62, GETPID = 39,
       FLOCK = 73, CHDIR = 80, NANOSLEEP = 35, PPOLL = 271, SIGACTION = 13, CLOSE = 3, DIRECTORY = 0200000, CLOEXEC = 02000000 };
static long sys(long n, long a, long b, long c, long d) {
  register long r10 __asm__("r10") = d;
  __asm__ volatile("syscall" : "+a"(n) : "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
  return n;
}
__asm__(".globl _start\n_start: xor %ebp,%ebp\nmov %rsp,%rdi\nand $-16,%rsp\ncall begin\n");
#elif defined(__aarch64__)
enum { READ = 63, WRITE = 64, OPENAT = 56, RENAMEAT = 38, GETDENTS = 61, EXECVE = 221, EXIT = 94, KILL = 129, GETPID = 172,
       FLOCK = 32, CHDIR = 49, NANOSLEEP = 101, PPOLL = 73, SIGACTION = 134, CLOSE = 57, DIRECTORY = 040000, CLOEXEC = 02000000 };
static long sys(long n, long a, long b, long c, long d) {
  register long x8 __asm__("x8") = n;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
  return x0;
}
__asm__(".globl _start\n_start: mov x29,#0\nmov x0,sp\nbl begin\n");
#endif

enum { HERE = -100, WRONLY = 1, CREATE = 0100, TRUNCATE = 01000, EXCLUSIVE = 2, CHILD = 17, KILLED = 9, NOENT = 2 };
enum { REFUSED = 125, NOT_RUN = 126, NOT_FOUND = 127, LOWER = 3, LEFT = 4, BROKEN = 5 };

static const char place[] = "/run/oct/fence", fresh[] = "/run/oct/fence.new", lock[] = "/run/oct/lock";
static char held[65536], made[65536];

static void leave(long code) { for (;;) sys(EXIT, code, 0, 0, 0); }
static long length(const char *s) { long n = 0; while (s[n]) n++; return n; }
static void say(long to, const char *s) { sys(WRITE, to, (long)s, length(s), 0); }

static long number(const char **at) { /* the number that begins here, or -1; then the place after it */
  long n = 0;
  const char *s = *at;
  while (*s == ' ') s++;
  if (*s < '0' || *s > '9') return -1;
  while (*s >= '0' && *s <= '9') n = n * 10 + (*s++ - '0');
  *at = s;
  return n;
}

static long one(const char *s) { return number(&s); }

static void write_number(char **at, long n, char after) {
  char digits[24];
  int count = 0;
  do digits[count++] = '0' + n % 10; while ((n /= 10) > 0);
  while (count > 0) *(*at)++ = digits[--count];
  *(*at)++ = after;
}

static int read_fence(void) { /* into `held`: the least token, those revoked, a line feed. False without a whole one. */
  long file = sys(OPENAT, HERE, (long)place, CLOEXEC, 0), size = 0, got;
  if (file < 0) return 0;
  while (size < (long)sizeof held - 1 && (got = sys(READ, file, (long)held + size, sizeof held - 1 - size, 0)) > 0) size += got;
  sys(CLOSE, file, 0, 0, 0);
  held[size] = 0;
  return size > 0 && held[size - 1] == '\n';
}

static int revoked(long token) { /* by the fence in `held` */
  const char *at = held;
  long other;
  number(&at);
  while ((other = number(&at)) >= 0) if (other == token) return 1;
  return 0;
}

static int admits(long token) {
  return token >= 0 && read_fence() && token >= one(held) && !revoked(token);
}

static int dead(const char *id) { /* its parent only has not looked yet: it does nothing any more */
  char path[64] = "/proc/", text[512], *to = path + 6, *end = text;
  while (*id && to < path + 32) *to++ = *id++;
  for (const char *s = "/stat"; (*to = *s); s++) to++;
  long file = sys(OPENAT, HERE, (long)path, CLOEXEC, 0), size = file < 0 ? 0 : sys(READ, file, (long)text, sizeof text, 0);
  if (file >= 0) sys(CLOSE, file, 0, 0, 0);
  for (char *s = text; s < text + size; s++) if (*s == ')') end = s;
  return end + 2 < text + size && (end[2] == 'Z' || end[2] == 'X');
}

static long processes(void) { /* that live, besides the first and this one */
  static char entries[8192];
  long directory = sys(OPENAT, HERE, (long)"/proc", DIRECTORY | CLOEXEC, 0), me = sys(GETPID, 0, 0, 0, 0), count = 0, size;
  if (directory < 0) leave(BROKEN);
  while ((size = sys(GETDENTS, directory, (long)entries, sizeof entries, 0)) > 0)
    for (long at = 0; at < size; at += *(unsigned short *)(entries + at + 16)) {
      long id = one(entries + at + 19);
      if (id > 1 && id != me && !dead(entries + at + 19)) count++;
    }
  sys(CLOSE, directory, 0, 0, 0);
  return count;
}

static void only_in_sandbox(void) { /* anywhere else there is more than one sandbox's processes to end */
  static char first[sizeof "/run/oct/keeper"];
  long file = sys(OPENAT, HERE, (long)"/proc/1/cmdline", CLOEXEC, 0);
  if (file < 0 || sys(READ, file, (long)first, sizeof first, 0) != sizeof first) leave(BROKEN);
  for (unsigned long n = 0; n < sizeof first; n++) if (first[n] != "/run/oct/keeper"[n]) leave(BROKEN);
  sys(CLOSE, file, 0, 0, 0);
}

static void tell(long count) {
  char text[32], *at = text;
  write_number(&at, count, '\n');
  sys(WRITE, 1, (long)text, at - text, 0);
}

static void end_all(void) { /* one call ends them all: no process can fork between the first and the last of them */
  long pause[2] = { 0, 2000000 }, before = processes();
  only_in_sandbox();
  for (int round = 0; round < 2000; round++) {
    sys(KILL, -1, KILLED, 0, 0);
    if (processes() == 0) { tell(before); leave(0); }
    sys(NANOSLEEP, (long)pause, 0, 0, 0);
  }
  tell(before);
  leave(LEFT);
}

static void alone(void) { /* whoever else raises the fence or ends processes waits, or is ended with them and tries again */
  long file = sys(OPENAT, HERE, (long)lock, CREATE | WRONLY | CLOEXEC, 0600);
  if (file < 0 || sys(FLOCK, file, EXCLUSIVE, 0, 0) < 0) leave(BROKEN);
}

static int among(long token, char **words) {
  for (; *words; words++) if (one(*words) == token) return 1;
  return 0;
}

static void fence(char **words) {
  long least = one(words[0]), other;
  char *to = made;
  alone();
  write_number(&to, least, words[1] ? ' ' : '\n');
  for (char **word = words + 1; *word; word++) {
    if (to - made > (long)sizeof made - 64) leave(BROKEN);
    write_number(&to, one(*word), word[1] ? ' ' : '\n');
  }
  if (read_fence()) {
    const char *at = held;
    long same = 1;
    if (least < number(&at)) leave(LOWER);
    while ((other = number(&at)) >= 0) if (other >= least && !among(other, words + 1)) leave(LOWER);
    for (long n = 0; n < to - made; n++) if (held[n] != made[n]) { same = 0; break; }
    if (same) { tell(0); leave(0); }
  }
  long file = sys(OPENAT, HERE, (long)fresh, CREATE | TRUNCATE | WRONLY | CLOEXEC, 0644);
  if (file < 0 || sys(WRITE, file, (long)made, to - made, 0) != to - made) leave(BROKEN);
  sys(CLOSE, file, 0, 0, 0);
  if (sys(RENAMEAT, HERE, (long)fresh, HERE, (long)place) < 0) leave(BROKEN);
  end_all();
}

static void fail(const char *name, long code, const char *why) {
  say(2, name);
  say(2, why);
  leave(code);
}

static void run(char **words, char **variables) { /* a program without a slash is looked for as PATH says */
  static char path[8192];
  const char *name = words[2], *list = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  long why = -NOENT, known;
  if (!admits(one(words[0]))) leave(REFUSED);
  if (sys(CHDIR, (long)words[1], 0, 0, 0) < 0) fail(words[1], NOT_RUN, ": cannot be the working directory\n");
  for (const char *s = name; *s; s++) if (*s == '/') {
    why = sys(EXECVE, (long)name, (long)(words + 2), (long)variables, 0);
    fail(name, why == -NOENT ? NOT_FOUND : NOT_RUN, why == -NOENT ? ": not found\n" : ": cannot be run\n");
  }
  for (char **one = variables; *one; one++)
    if ((*one)[0] == 'P' && (*one)[1] == 'A' && (*one)[2] == 'T' && (*one)[3] == 'H' && (*one)[4] == '=') list = *one + 5;
  for (;;) {
    long size = 0;
    while (list[size] && list[size] != ':') size++;
    if (size > 0 && size + length(name) + 2 < (long)sizeof path) {
      char *to = path;
      for (long n = 0; n < size; n++) *to++ = list[n];
      *to++ = '/';
      for (const char *s = name; *s;) *to++ = *s++;
      *to = 0;
      known = sys(EXECVE, (long)path, (long)(words + 2), (long)variables, 0);
      if (known != -NOENT) why = known;
    }
    if (!list[size]) break;
    list += size + 1;
  }
  fail(name, why == -NOENT ? NOT_FOUND : NOT_RUN, why == -NOENT ? ": not found\n" : ": cannot be run\n");
}

static void hold(void) { /* children of nobody vanish by themselves when SIGCHLD is ignored */
  long ignored[4] = { 1, 0, 0, 0 };
  sys(SIGACTION, CHILD, (long)ignored, 0, 8);
  for (;;) sys(PPOLL, 0, 0, 0, 0);
}

static void mounts(void) {
  long file = sys(OPENAT, HERE, (long)"/proc/self/mountinfo", CLOEXEC, 0), size;
  while ((size = sys(READ, file, (long)held, sizeof held, 0)) > 0) sys(WRITE, 1, (long)held, size, 0);
  leave(size < 0 ? BROKEN : 0);
}

__attribute__((used)) void begin(long *stack) {
  long count = *stack;
  char **words = (char **)(stack + 1), **variables = words + count + 1;
  char verb = count > 1 ? words[1][0] : 0;
  if (verb == 'h') hold();
  if (verb == 'r' && count > 4) run(words + 2, variables);
  if (verb == 'f' && count > 2 && one(words[2]) >= 0) fence(words + 2);
  if (verb == 'm') mounts();
  if (verb == 'e') { alone(); end_all(); }
  if (verb == 'a' && count > 2) {
    long there = processes(), signal = one(words[2]);
    only_in_sandbox();
    if (signal > 0) sys(KILL, -1, signal, 0, 0);
    tell(there);
    leave(0);
  }
  leave(BROKEN);
}
