/* SHA-256 (FIPS 180-4), by the processor's own instructions where it has them. */
#pragma once
#include "memory.h"

static const unsigned round_words[64] __attribute__((aligned(16))) = {
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
  0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
  0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
  0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
  0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
  0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static unsigned turned(unsigned x, int by) { return x >> by | x << (32 - by); }

static void plain_blocks(unsigned *state, const unsigned char *at, long count) {
  for (; count > 0; count--, at += 64) {
    unsigned w[64], s[8];
    for (int n = 0; n < 16; n++) w[n] = (unsigned)at[4 * n] << 24 | at[4 * n + 1] << 16 | at[4 * n + 2] << 8 | at[4 * n + 3];
    for (int n = 16; n < 64; n++) {
      unsigned a = w[n - 15], b = w[n - 2];
      w[n] = w[n - 16] + (turned(a, 7) ^ turned(a, 18) ^ a >> 3) + w[n - 7] + (turned(b, 17) ^ turned(b, 19) ^ b >> 10);
    }
    for (int n = 0; n < 8; n++) s[n] = state[n];
    for (int n = 0; n < 64; n++) {
      unsigned e = s[4], a = s[0];
      unsigned one = s[7] + (turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)) + ((e & s[5]) ^ (~e & s[6])) + round_words[n] + w[n];
      unsigned two = (turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) + ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]));
      for (int i = 7; i > 0; i--) s[i] = s[i - 1];
      s[4] += one;
      s[0] = one + two;
    }
    for (int n = 0; n < 8; n++) state[n] += s[n];
  }
}

#if defined(__x86_64__)
typedef int four __attribute__((vector_size(16)));
typedef char sixteen __attribute__((vector_size(16)));
typedef int four_anywhere __attribute__((vector_size(16), aligned(1)));

static int has_instructions(void) {
  unsigned a, b, c, d;
  __asm__("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(0), "c"(0));
  if (a < 7) return 0;
  __asm__("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(1), "c"(0));
  if (!(c >> 9 & 1) || !(c >> 19 & 1)) return 0; /* SSSE3, SSE4.1 */
  __asm__("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(7), "c"(0));
  return b >> 29 & 1;
}

__attribute__((target("sha,sse4.1,ssse3"))) static void fast_blocks(unsigned *state, const unsigned char *at, long count) {
  const sixteen swap = { 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12 };
  four abef = { state[5], state[4], state[1], state[0] }, cdgh = { state[7], state[6], state[3], state[2] };
  for (; count > 0; count--, at += 64) {
    four was = abef, and = cdgh, w[4];
    for (int n = 0; n < 4; n++) w[n] = (four)__builtin_ia32_pshufb128((sixteen) * (const four_anywhere *)(at + 16 * n), swap);
    for (int n = 0; n < 16; n++) {
      if (n >= 4) {
        four a = w[n & 3], b = w[(n + 1) & 3], c = w[(n + 2) & 3], d = w[(n + 3) & 3];
        four between = { c[1], c[2], c[3], d[0] };
        w[n & 3] = __builtin_ia32_sha256msg2(__builtin_ia32_sha256msg1(a, b) + between, d);
      }
      four words = w[n & 3] + ((const four *)round_words)[n], high = { words[2], words[3], 0, 0 };
      cdgh = __builtin_ia32_sha256rnds2(cdgh, abef, words);
      abef = __builtin_ia32_sha256rnds2(abef, cdgh, high);
    }
    abef += was;
    cdgh += and;
  }
  state[0] = abef[3]; state[1] = abef[2]; state[4] = abef[1]; state[5] = abef[0];
  state[2] = cdgh[3]; state[3] = cdgh[2]; state[6] = cdgh[1]; state[7] = cdgh[0];
}
#else
#include <arm_neon.h>
#include <asm/hwcap.h>
static number processor; /* AT_HWCAP */

static int has_instructions(void) { return (processor & HWCAP_SHA2) != 0; }

__attribute__((target("+crypto"))) static void fast_blocks(unsigned *state, const unsigned char *at, long count) {
  uint32x4_t abcd = vld1q_u32(state), efgh = vld1q_u32(state + 4);
  for (; count > 0; count--, at += 64) {
    uint32x4_t was = abcd, and = efgh, w[4];
    for (int n = 0; n < 4; n++) w[n] = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(at + 16 * n)));
    for (int n = 0; n < 16; n++) {
      if (n >= 4) w[n & 3] = vsha256su1q_u32(vsha256su0q_u32(w[n & 3], w[(n + 1) & 3]), w[(n + 2) & 3], w[(n + 3) & 3]);
      uint32x4_t words = vaddq_u32(w[n & 3], vld1q_u32(round_words + 4 * n)), before = abcd;
      abcd = vsha256hq_u32(abcd, efgh, words);
      efgh = vsha256h2q_u32(efgh, before, words);
    }
    abcd = vaddq_u32(abcd, was);
    efgh = vaddq_u32(efgh, and);
  }
  vst1q_u32(state, abcd);
  vst1q_u32(state + 4, efgh);
}
#endif

static const unsigned sum_of_nothing[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };
static unsigned sum[8];
static unsigned char held[64];
static number summed;

static void begin_sum(void) {
  for (int n = 0; n < 8; n++) sum[n] = sum_of_nothing[n];
  summed = 0;
}

static void sum_blocks(const unsigned char *at, long count) {
  static int fast = -1;
  if (fast < 0) fast = has_instructions();
  if (fast) fast_blocks(sum, at, count);
  else plain_blocks(sum, at, count);
}

static void add_to_sum(const void *bytes, long size) {
  const unsigned char *at = bytes;
  long there = summed % 64;
  summed += size;
  if (there > 0) {
    long taken = size < 64 - there ? size : 64 - there;
    copy((char *)held + there, (const char *)at, taken);
    at += taken;
    size -= taken;
    if (there + taken < 64) return;
    sum_blocks(held, 1);
  }
  if (size >= 64) sum_blocks(at, size / 64);
  copy((char *)held, (const char *)at + size / 64 * 64, size % 64);
}

static void end_sum(char *text) { /* its 64 digits, and a NUL */
  unsigned char ending[72] = { 0x80 };
  number bits = summed * 8;
  long size = 64 - (summed + 8) % 64;
  for (int n = 0; n < 8; n++) ending[size + n] = bits >> (56 - 8 * n);
  add_to_sum(ending, size + 8);
  for (int n = 0; n < 64; n++) text[n] = "0123456789abcdef"[sum[n / 8] >> (28 - 4 * (n % 8)) & 15];
  text[64] = 0;
}
