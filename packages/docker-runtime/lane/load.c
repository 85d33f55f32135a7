/*
 * What a container starts with before its supervisor: makes the supervisor out of the environment, and becomes it. A shell can write
 * no byte that is not text but by up to four characters; so it writes this, which is small, and the supervisor itself stands behind
 * it in the variable, as gzip (RFC 1951 and 1952) in base64. `node build.mjs` compiles it.
 */
#include "system.h"

static const char variable[] = "OCT_LANE=", place[] = "/run/oct/.oct-lane";

static unsigned char *in, *in_end, out[1 << 20];
static long size;
static number bits;
static int have;

static int take(int count) { /* so many bits, sixteen at most */
  for (; have < count; have += 8) { if (in == in_end) leave(5); bits |= (number)*in++ << have; }
  int taken = bits & ((1ul << count) - 1);
  bits >>= count;
  have -= count;
  return taken;
}

static void put(unsigned char byte) { if (size == sizeof out) leave(5); out[size++] = byte; }

/* A code: how many of each length, and what they stand for in order. */
struct code { unsigned short count[16], symbols[288]; };
static struct code literals, distances;

static void make_code(struct code *code, const unsigned char *lengths, int symbols) {
  unsigned short at[16];
  for (int n = 0; n < 16; n++) code->count[n] = 0;
  for (int n = 0; n < symbols; n++) code->count[lengths[n]]++;
  code->count[0] = at[0] = at[1] = 0;
  for (int n = 1; n < 15; n++) at[n + 1] = at[n] + code->count[n];
  for (int n = 0; n < symbols; n++) if (lengths[n]) code->symbols[at[lengths[n]]++] = n;
}

static int symbol(const struct code *code) {
  int word = 0, first = 0, index = 0;
  for (int length = 1; length < 16; length++) {
    word |= take(1);
    int count = code->count[length];
    if (word - count < first) return code->symbols[index + (word - first)];
    index += count;
    first = (first + count) << 1;
    word <<= 1;
  }
  leave(5);
  return 0;
}

static void read_codes(void) {
  static const unsigned char order[] = { 16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15 };
  unsigned char lengths[320];
  int many = take(5) + 257, all = many + take(5) + 1, at = 0;
  for (int n = 0; n < 19; n++) lengths[n] = 0;
  for (int n = 0, count = take(4) + 4; n < count; n++) lengths[order[n]] = take(3);
  make_code(&literals, lengths, 19);
  while (at < all) {
    int one = symbol(&literals), again = 1, length = one;
    if (one >= 16) {
      length = one == 16 && at > 0 ? lengths[at - 1] : 0;
      again = one == 16 ? 3 + take(2) : one == 17 ? 3 + take(3) : 11 + take(7);
    }
    while (again-- > 0 && at < all) lengths[at++] = length;
  }
  make_code(&literals, lengths, many);
  make_code(&distances, lengths + many, all - many);
}

static void fixed_codes(void) {
  unsigned char lengths[288];
  for (int n = 0; n < 288; n++) lengths[n] = n < 144 ? 8 : n < 256 ? 9 : n < 280 ? 7 : 8;
  make_code(&literals, lengths, 288);
  for (int n = 0; n < 30; n++) lengths[n] = 5;
  make_code(&distances, lengths, 30);
}

static void copy_again(int one) { /* what came before, by the symbol of its length */
  int extra = one < 265 || one == 285 ? 0 : (one - 261) >> 2;
  int length = one == 285 ? 258 : one < 265 ? one - 254 : ((((one - 1) & 3) + 4) << extra) + 3 + take(extra);
  int far = symbol(&distances), wide = far < 4 ? 0 : (far >> 1) - 1;
  long back = far < 4 ? far + 1 : (((far & 1) + 2) << wide) + 1 + take(wide);
  if (back > size) leave(5);
  while (length-- > 0) put(out[size - back]);
}

static void unpack(void) {
  for (int last = 0; !last; ) {
    last = take(1);
    int kind = take(2), one;
    if (kind == 0) {
      bits = have = 0;
      int count = take(16);
      take(16);
      while (count-- > 0) put(take(8));
      continue;
    }
    if (kind == 2) read_codes();
    else fixed_codes();
    while ((one = symbol(&literals)) != 256) { if (one < 256) put(one); else copy_again(one); }
  }
}

static int digit(char c) { /* of base64 */
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (is_digit(c)) return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static void decode(char *text) { /* where it is; the header of what comes out has ten bytes */
  in = in_end = (unsigned char *)text;
  for (int held = 0, many = 0; digit(*text) >= 0; text++) {
    held = (held << 6 | digit(*text)) & 0xffff;
    if ((many += 6) >= 8) *in_end++ = held >> (many -= 8);
  }
  if (in_end - in < 10) leave(5);
  in += 10;
}

__attribute__((used)) void begin(long *stack) {
  char **words = (char **)(stack + 1), **variables = words + *stack + 1, *text = 0, **kept = variables;
  for (char **one = variables; *one; one++) if (begins(*one, variable)) text = *one; else *kept++ = *one;
  *kept = 0;
  while (text && *text && *text != ':') text++;
  if (!text || !*text) leave(5);
  decode(text + 1);
  unpack();
  remove_file(place);
  long file = open_file(place, O_WRONLY | O_CREAT | O_EXCL, 0755);
  if (file < 0) leave(5);
  write_all(file, (const char *)out, size);
  close_file(file);
  sys(execve, place, words, variables, 0);
  leave(5);
}
