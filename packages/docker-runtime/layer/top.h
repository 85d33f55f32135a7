/* Extended attributes of the top directory of a tree, which no directory below an upper gives it: those of its user, but for marks and labels. */
#pragma once
#include "sha256.h"
#include "walk.h"

static int is_of_user(const char *key) { return !is_marked(key) && !begins(key, "security."); }

/* Names them all by 16 digits, in whatever order they are, after some text. @returns 0 when there are none, and nothing was added */
static int add_attributes_of_top(struct store *to, const char *before, const char *name) {
  long size = list_attributes(name, name);
  number all = 0;
  int some = 0;
  for (const char *key = attribute_names; key < attribute_names + size; key += length(key) + 1) {
    if (!is_of_user(key)) continue;
    long value = get_attribute(name, key, name);
    if (value < 0) stop("an attribute went away", name, value);
    char text[65];
    number one = 0;
    begin_sum();
    add_to_sum(key, length(key) + 1);
    add_to_sum(attribute, value);
    end_sum(text);
    for (int n = 0; n < 16; n++) one = one << 4 | (text[n] <= '9' ? text[n] - '0' : text[n] - 'a' + 10);
    all += one;
    some = 1;
  }
  if (some) add_text(to, before);
  for (int n = 60; some && n >= 0; n -= 4) *more(to, 1) = "0123456789abcdef"[all >> n & 15];
  return some;
}

static void copy_attributes_of_top(const char *from, const char *into) {
  long size = list_attributes(from, from);
  for (const char *key = attribute_names; key < attribute_names + size; key += length(key) + 1) {
    if (!is_of_user(key)) continue;
    long value = get_attribute(from, key, from);
    if (value < 0) stop("an attribute went away", from, value);
    sure(sys6(__NR_lsetxattr, (long)into, (long)key, (long)attribute, value, 0, 0), "cannot set an attribute", into);
  }
}
