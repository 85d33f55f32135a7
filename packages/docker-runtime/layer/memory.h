/* Memory that grows where it is, what goes wrong, and order. */
#pragma once
#include "../lane/system.h"
#include <linux/errno.h>

static void say_number(long to, number n) { char text[24]; put_number(text, n); say(to, text); }

/* Ends this process, and with it the request. */
static void stop(const char *what, const char *name, long error) {
  say(2, what);
  if (name) { say(2, ": "); say(2, name); }
  if (error < 0) { say(2, ": error "); say_number(2, -error); }
  say(2, "\n");
  leave(1);
}

static long sure(long result, const char *what, const char *name) {
  if (result < 0) stop(what, name, result);
  return result;
}

/* Has as much room as it needs at one address: what points into it stays right. */
struct store { char *at; long size, room; };
enum { STEP = 1 << 20 };
static const long most = 1l << 36;

static char *more(struct store *store, long size) { /* the place of so many further bytes */
  if (!store->at) {
    store->at = (char *)sys6(__NR_mmap, 0, most, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if ((long)store->at < 0 && (long)store->at > -4096) stop("no memory", 0, (long)store->at);
  }
  if (store->size + size > store->room) {
    long room = (store->size + size + STEP - 1) / STEP * STEP;
    if (room > most) stop("no memory", 0, -ENOMEM);
    sure(sys(mprotect, store->at + store->room, room - store->room, PROT_READ | PROT_WRITE, 0), "no memory", 0);
    store->room = room;
  }
  char *place = store->at + store->size;
  store->size += size;
  return place;
}

static void *aligned(struct store *store, long size) {
  store->size = (store->size + 7) & ~7l;
  return more(store, size);
}

static void add_bytes(struct store *store, const char *bytes, long size) { copy(more(store, size), bytes, size); }

static void add_text(struct store *store, const char *s) { add_bytes(store, s, length(s)); }

static void add_number(struct store *store, number n) { char text[24]; put_number(text, n); add_text(store, text); }

static void add_octal(struct store *to, number n) {
  char digits[8];
  int count = 0;
  do digits[count++] = '0' + (n & 7); while (n >>= 3);
  while (count) *more(to, 1) = digits[--count];
}

static void write_out(long file, const char *bytes, long size, const char *name) { /* unlike `write_all`, all of it or nothing is well */
  while (size > 0) {
    long done = sys(write, file, bytes, size, 0);
    if (done == INTERRUPTED) continue;
    if (done == 0) done = -EIO;
    sure(done, "cannot write", name);
    bytes += done;
    size -= done;
  }
}

static long read_some(long file, char *into, long size, const char *name) {
  long got;
  do got = sys(read, file, into, size, 0); while (got == INTERRUPTED);
  return sure(got, "cannot read", name);
}

struct text { const char *at; long size; };

static int order(const struct text *a, const struct text *b) { /* by bytes; of two that begin alike, the shorter first */
  const unsigned char *x = (const unsigned char *)a->at, *y = (const unsigned char *)b->at;
  long both = a->size < b->size ? a->size : b->size;
  for (long n = 0; n < both; n++) if (x[n] != y[n]) return x[n] < y[n] ? -1 : 1;
  return a->size < b->size ? -1 : a->size > b->size;
}

static void sort(struct text *texts, struct text *spare, long count) { /* by merging */
  if (count < 2) return;
  long half = count / 2, left = 0, right = half, at = 0;
  sort(texts, spare, half);
  sort(texts + half, spare, count - half);
  if (order(&texts[half - 1], &texts[half]) <= 0) return;
  for (long n = 0; n < half; n++) spare[n] = texts[n];
  while (left < half) texts[at++] = right < count && order(&texts[right], &spare[left]) < 0 ? texts[right++] : spare[left++];
}

static const char *place_in(const char *directory, const char *name) { /* until the next call */
  static struct store place;
  place.size = 0;
  add_text(&place, directory);
  add_text(&place, "/");
  add_bytes(&place, name, length(name) + 1);
  return place.at;
}
