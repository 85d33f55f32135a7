/*
 * Makes blocks of bytes smaller, in the block format of LZ4 (lz4_Block_format.md): for each sequence a byte of two lengths, bytes as they
 * are, and how far back which bytes come again. A block begins without any memory of the one before. Only what is at least eight bytes
 * long is looked for: that takes two thirds of the time of four, and text becomes as small.
 */
#pragma once
#include "system.h"

/* The last match begins as much before the end, and the end is of bytes as they are. */
enum { PACKED_AT_ONCE = 65536, PLACE_BITS = 13, TABLE = 1 << PLACE_BITS, NO_MATCH_AFTER = 12, AS_THEY_ARE = 5, SHORTEST = 4, LOOKED_FOR = 8 };

typedef unsigned char byte;

static inline number eight(const byte *at) { number n; __builtin_memcpy(&n, at, 8); return n; }
static inline unsigned place_of(number bytes) { return bytes * 11400714819323198485ul >> (64 - PLACE_BITS); }

static inline byte *put_length(byte *to, long rest) {
  for (; rest >= 255; rest -= 255) *to++ = 255;
  *to++ = rest;
  return to;
}

static inline byte *put_bytes(byte *to, const byte *from, long size) { /* may write 7 bytes too many */
  for (byte *end = to + size; to < end; to += 8, from += 8) __builtin_memcpy(to, from, 8);
  return to;
}

/* The size of what `to` then has, or 0 when that would be more than `room` less a few bytes. */
__attribute__((optimize("O2"))) static long pack(const byte *from, long size, byte *to, long room, unsigned short *table) {
  const byte *at = from, *kept = from, *end = from + size, *last = end - NO_MATCH_AFTER, *match;
  byte *start = to, *limit = to + room;
  for (long n = 0; n < TABLE; n += 4) { number none = 0; __builtin_memcpy(table + n, &none, 8); }
  for (long misses = 0; at < last; at += 1 + (misses++ >> 5)) {
    number next = eight(at);
    unsigned place = place_of(next);
    match = from + table[place];
    table[place] = at - from;
    if (match >= at || eight(match) != next) continue;
    while (at > kept && match > from && at[-1] == match[-1]) at--, match--;
    const byte *same_to = at + LOOKED_FOR, *of = match + LOOKED_FOR;
    while (same_to + 8 <= end - AS_THEY_ARE) {
      number differ = eight(same_to) ^ eight(of);
      if (differ) { same_to += __builtin_ctzl(differ) >> 3; goto counted; }
      same_to += 8;
      of += 8;
    }
    while (same_to < end - AS_THEY_ARE && *same_to == *of) same_to++, of++;
  counted:;
    long plain = at - kept, again = same_to - at - SHORTEST, back = at - match;
    if (plain + plain / 255 + again / 255 + 16 > limit - to) return 0;
    byte *lengths = to++;
    *lengths = (plain < 15 ? plain : 15) << 4 | (again < 15 ? again : 15);
    if (plain >= 15) to = put_length(to, plain - 15);
    put_bytes(to, kept, plain);
    to += plain;
    *to++ = back;
    *to++ = back >> 8;
    if (again >= 15) to = put_length(to, again - 15);
    at = kept = same_to;
    misses = 0;
    if (at < last) table[place_of(eight(at - 2))] = at - 2 - from;
    at--; /* the loop goes on with the byte after it */
  }
  long plain = end - kept;
  if (plain + plain / 255 + 16 > limit - to) return 0;
  *to++ = (plain < 15 ? plain : 15) << 4;
  if (plain >= 15) to = put_length(to, plain - 15);
  copy((char *)to, (const char *)kept, plain);
  return to + plain - start;
}
