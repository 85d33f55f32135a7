/* Becoming a program, as a shell would look for it. */
#pragma once
#include "system.h"

enum { NOT_BEGUN = 125, NOT_RUN = 126, NOT_FOUND = 127 };

static void fail(const char *name, long code, const char *why) {
  say(2, name);
  say(2, why);
  leave(code);
}

static long try_program(const char *path, char **words, char **variables) { /* a text without a first line that names one is for sh */
  long why = sys(execve, path, words, variables, 0), count = 0;
  if (why != NO_PROGRAM_FORM) return why;
  while (words[count]) count++;
  char **through = new_memory((count + 3) * sizeof *through);
  through[0] = "/bin/sh";
  through[1] = (char *)path;
  for (long n = 1; n <= count; n++) through[n + 1] = words[n];
  sys(execve, "/bin/sh", through, variables, 0);
  return why;
}

static void become(char **words, char **variables) { /* a program without a slash is looked for as PATH says */
  static char path[8192];
  const char *name = words[0], *list = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  long why = NOT_THERE, known, with_slash = 0;
  for (const char *s = name; *s; s++) if (*s == '/') with_slash = 1;
  for (char **one = variables; *one; one++) if (begins(*one, "PATH=")) list = *one + 5;
  if (with_slash) why = try_program(name, words, variables);
  else for (;;) {
    long size = 0;
    while (list[size] && list[size] != ':') size++;
    if (size + length(name) + 3 < (long)sizeof path) {
      copy(path, list, size);
      put_text(put_text(path + size, size > 0 ? "/" : "./"), name);
      known = try_program(path, words, variables);
      if (known != NOT_THERE && known != -20) why = known;
    }
    if (!list[size]) break;
    list += size + 1;
  }
  if (why == NOT_THERE) fail(name, NOT_FOUND, ": not found\n");
  fail(name, NOT_RUN, why == -7 ? ": argument list too long\n" : ": cannot be run\n");
}
