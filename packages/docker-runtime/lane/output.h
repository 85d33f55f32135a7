/*
 * What a command puts out, on its way to the lane. It comes through pipes of ours, so that no command has hold of the streams of a lane. Of
 * an output that is long, blocks that become much smaller go as \036, the nonce, and `=SIZE PACKED` before their bytes: what the engine
 * passes on costs more than to pack it. Everything else goes as it is.
 */
#pragma once
#include "background.h"
#include "pack.h"

enum { HEAD = NONCE + 14, PACKED_IN_A_PIECE = 4, LONG_OUTPUT = 1 << 18, SMALLEST_PACKED = 4096, MOST_PLAIN = 16, AVAILABLE = 0x541b /* FIONREAD */ };

/*
 * The two ends of a pipe, which one command after the other has: that the command's is open here too spares the word that it was closed
 * there. What a command did to it, flags and size, is undone before the next. Of a long output, `plain` blocks go as they are, twice as many after each that was in vain.
 */
static struct output { int file; long commands, room, to, seen, plain, in_vain; } outputs[2] = {
  { .file = -1, .commands = -1, .to = 1 }, { .file = -1, .commands = -1, .to = 2 } };
static struct { char bytes[PACKED_IN_A_PIECE * (HEAD + PACKED_AT_ONCE * 2 / 5)], from[PACKED_AT_ONCE]; unsigned short table[TABLE]; } *packing;

static void let_go_of(struct output *output) { /* whoever else holds it decides when it ends */
  close_file(output->commands);
  output->commands = -1;
}

static int open_output(struct output *output) {
  int ends[2];
  if (output->commands >= 0 && sys(fcntl, output->commands, F_GETPIPE_SZ, 0, 0) != output->room) let_go_of(output);
  if (output->commands >= 0) sys(fcntl, output->commands, F_SETFL, O_WRONLY, 0);
  else {
    close_file(output->file);
    output->file = -1;
    if (sys(pipe2, ends, O_CLOEXEC, 0, 0) < 0) return 0;
    output->file = ends[0];
    output->commands = ends[1];
    output->room = sys(fcntl, ends[1], F_GETPIPE_SZ, 0, 0);
    sys(fcntl, ends[0], F_SETFL, O_NONBLOCK, 0);
    sys(fchmod, ends[1], 0622, 0, 0); /* programs open /dev/stdout */
  }
  output->seen = output->plain = output->in_vain = 0;
  return 1;
}

static int open_outputs(struct streams *streams) { /* whether there are any */
  if (!open_output(&outputs[0]) || !open_output(&outputs[1])) return 0;
  streams->out = outputs[0].commands;
  streams->error = outputs[1].commands;
  return 1;
}

static long fill(struct output *output, char *into, long room) { /* with what is there */
  long size = 0;
  while (size < room) {
    long got = sys(read, output->file, into + size, room - size, 0);
    if (got == INTERRUPTED) continue;
    if (got <= 0) break;
    size += got;
  }
  output->seen += size;
  return size;
}

static long small_enough(long size) { return size * 2 / 5; } /* what packing and unpacking cost is then well below what it spares */

static char *put_five_digits(char *to, long n) {
  for (long at = 10000; at > 0; at /= 10) *to++ = '0' + n / at % 10;
  return to;
}

static void put_head(char *to, const char *nonce, long size, long packed) {
  to = put_text(put_text(put_text(to, "\036"), nonce), "=");
  to = put_five_digits(to, size);
  *to++ = ' ';
  *put_five_digits(to, packed) = '\n';
}

/* Blocks that are there one after the other go in one piece: each piece wakes everybody on the way. */
static void send_packed(struct output *output, const char *nonce) {
  if (!packing) packing = new_memory(sizeof *packing);
  char *to = packing->bytes, *from = packing->from;
  long size, packed, blocks = 0;
  int there = 0;
  do {
    size = fill(output, from, PACKED_AT_ONCE);
    packed = size < SMALLEST_PACKED ? 0 : pack((byte *)from, size, (byte *)to + HEAD, small_enough(size), packing->table);
    if (packed) { put_head(to, nonce, size, packed); to += HEAD + packed; }
    if (++blocks == PACKED_IN_A_PIECE || !packed) break;
    sys(ioctl, output->file, AVAILABLE, &there, 0);
  } while (there >= SMALLEST_PACKED);
  write_all(output->to, packing->bytes, to - packing->bytes);
  if (!packed) write_all(output->to, from, size);
  if (!packed && size < SMALLEST_PACKED) return;
  output->in_vain = packed ? 0 : output->in_vain ? output->in_vain * 2 : 1;
  if (output->in_vain > MOST_PLAIN) output->in_vain = MOST_PLAIN;
  output->plain = output->in_vain;
}

static void send_output(struct output *output, const char *nonce) { /* what is there, to as much as a pipe takes */
  static char bytes[PACKED_AT_ONCE];
  if (output->seen >= LONG_OUTPUT && output->plain-- <= 0) { send_packed(output, nonce); return; }
  long size = fill(output, bytes, sizeof bytes);
  write_all(output->to, bytes, size);
}

/* The command has ended: what it put out is there. Others may hold its outputs, and go on. */
static void end_outputs(const char *nonce, int others_write) {
  for (struct output *output = outputs; output < outputs + 2; output++) {
    int there = 0;
    sys(ioctl, output->file, AVAILABLE, &there, 0);
    for (long before = -1, until = output->seen + there; output->seen < until && output->seen != before; ) {
      before = output->seen;
      send_output(output, nonce);
    }
    if (others_write) let_go_of(output);
  }
  if (packing) sys(munmap, packing, sizeof *packing, 0, 0);
  packing = 0;
}

/* Nobody hears any more what is put out, but whoever still does never waits for a reader. */
static void drop_outputs(void) {
  static char bytes[4096];
  for (struct output *output = outputs; output < outputs + 2; output++) {
    long size = output->file < 0 ? AGAIN : sys(read, output->file, bytes, sizeof bytes, 0);
    if (size > 0 || size == AGAIN || size == INTERRUPTED) continue;
    close_file(output->file);
    output->file = -1;
  }
}
