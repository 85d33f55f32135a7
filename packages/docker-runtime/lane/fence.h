/* The fence: a file that only grows. Each line is the least token and those that are revoked; what any of them refuses is refused. */
#pragma once
#include "system.h"

#define PLACE "/run/oct/"

static const char fence_file[] = PLACE "fence";

/* Goes through all numbers of the fence; `first` is true for the least token of a line. False when there is none. */
static int each_of_fence(void (*take)(number one, int first)) {
  static char part[4096];
  long file = open_file(fence_file, O_RDONLY, 0), size;
  number value = 0;
  int digits = 0, first = 1, any = 0;
  if (file < 0) return 0;
  while ((size = sys(read, file, part, sizeof part, 0)) > 0)
    for (long n = 0; n < size; n++) {
      if (is_digit(part[n])) { value = value * 10 + (part[n] - '0'); digits = 1; continue; }
      if (digits) { take(value, first); any = 1; first = 0; }
      if (part[n] == '\n') first = 1;
      digits = value = 0;
    }
  close_file(file);
  return any;
}

static number asked_token;
static int refused;

static void compare_token(number one, int first) {
  if (first ? asked_token < one : asked_token == one) refused = 1;
}

static int allowed(number token) {
  asked_token = token;
  refused = 0;
  return each_of_fence(compare_token) && !refused;
}

static number *new_fence;
static long new_count;
static int lower;
static number highest;

static void compare_fence(number one, int first) { /* what is revoked stays so, or is below the least token */
  if (one > highest) highest = one;
  if (first) { if (new_fence[0] < one) lower = 1; return; }
  if (one < new_fence[0]) return;
  for (long n = 1; n < new_count; n++) if (new_fence[n] == one) return;
  lower = 1;
}

static void append_fence(number *words, long count) { /* in one write, so that no line is joined to another's */
  char *text = new_memory(count * 24), *to = text;
  for (long n = 0; n < count; n++) { to = put_number(to, words[n]); *to++ = n + 1 < count ? ' ' : '\n'; }
  *to = 0;
  write_file(fence_file, text, O_APPEND, 0644);
  sys(munmap, text, count * 24, 0, 0);
}

static int would_lower(number *words, long count) {
  new_fence = words;
  new_count = count;
  highest = lower = 0;
  each_of_fence(compare_fence);
  return lower;
}
