/*
 * What a lane is asked: lines of a verb, a nonce and numbers; or `run NONCE TOKEN MARK FLAGS` with the fields of a command, each of which
 * begins with `=`, its further lines with `+`, up to a line of a dot and the nonce. What is cut off is never carried out.
 */
#pragma once
#include "system.h"

enum { NONCE = 32, MOST_NUMBERS = 4096, MOST_REQUEST = 64 << 20, MOST_KEPT = 256 << 10 };

static struct { char *bytes; long room, from, to, searched; int over; } input;

struct request {
  char verb[16], nonce[NONCE + 1];
  number words[MOST_NUMBERS];
  long count;
  /* Of a command. */
  char flags[24], *fields;
  long fields_size;
};

static struct request asked;

static void read_input(void) { /* what there is; makes room as needed */
  if (input.from == input.to) input.from = input.to = input.searched = 0;
  if (input.to == 0 && input.room > MOST_KEPT) { /* a long request is over */
    sys(munmap, input.bytes, input.room, 0, 0);
    input.bytes = 0;
    input.room = 0;
  }
  if (input.from > 0 && input.to == input.room) {
    long size = input.to - input.from;
    for (long n = 0; n < size; n++) input.bytes[n] = input.bytes[input.from + n];
    input.searched -= input.from;
    input.from = 0;
    input.to = size;
  }
  if (input.to == input.room) {
    long room = input.room ? input.room * 2 : 65536;
    if (room > MOST_REQUEST) { input.over = 1; return; }
    char *bytes = new_memory(room);
    copy(bytes, input.bytes, input.to);
    if (input.room) sys(munmap, input.bytes, input.room, 0, 0);
    input.bytes = bytes;
    input.room = room;
  }
  long got = sys(read, 0, input.bytes + input.to, input.room - input.to, 0);
  if (got > 0) input.to += got;
  else if (got != INTERRUPTED && got != AGAIN) input.over = 1;
}

static char *line_end(char *from) {
  for (char *s = from; s < input.bytes + input.to; s++) if (*s == '\n') return s;
  return 0;
}

static int hexadecimal(const char *s, long size) {
  for (long n = 0; n < size; n++) if (!is_digit(s[n]) && (s[n] < 'a' || s[n] > 'f')) return 0;
  return size == NONCE;
}

static char *take_word(char *from, char *end, char *into, long room) { /* the word that begins here; its end, or 0 when it is too long */
  long size = 0;
  while (from < end && *from == ' ') from++;
  while (from < end && *from != ' ') { if (size >= room - 1) return 0; into[size++] = *from++; }
  into[size] = 0;
  return from;
}

enum taken { NOTHING, REQUEST, BROKEN_OFF };

static enum taken take_fields(char *header_end) { /* whether the request is whole, and as it should be */
  char *at = input.bytes + (input.searched > input.from ? input.searched : header_end + 1 - input.bytes), *end;
  while ((end = line_end(at))) {
    if (*at == '.') {
      if (end - at != NONCE + 1 || !same(at + 1, asked.nonce, NONCE) || at == header_end + 1) return BROKEN_OFF;
      asked.fields = header_end + 1;
      asked.fields_size = at - asked.fields;
      input.from = end + 1 - input.bytes;
      input.searched = 0;
      return REQUEST;
    }
    if (*at != '=' && (*at != '+' || at == header_end + 1)) return BROKEN_OFF;
    at = end + 1;
    input.searched = at - input.bytes;
  }
  return NOTHING;
}

static enum taken take_request(void) {
  char *from = input.bytes + input.from, *end = input.from < input.to ? line_end(from) : 0, word[24];
  if (!end) return NOTHING;
  if (!(from = take_word(from, end, asked.verb, sizeof asked.verb))) return BROKEN_OFF;
  asked.nonce[0] = 0;
  if (!begins(asked.verb, "end")) {
    if (!(from = take_word(from, end, asked.nonce, sizeof asked.nonce))) return BROKEN_OFF;
    if (!hexadecimal(asked.nonce, length(asked.nonce))) return BROKEN_OFF;
  }
  int run = same(asked.verb, "run", 4);
  for (asked.count = 0; !run || asked.count < 2; asked.count++) {
    if (!(from = take_word(from, end, word, sizeof word)) || asked.count == MOST_NUMBERS) return BROKEN_OFF;
    if (!*word) break;
    for (const char *s = word; *s; s++) if (!is_digit(*s)) return BROKEN_OFF;
    asked.words[asked.count] = one_number(word);
  }
  if (!run) { input.from = end + 1 - input.bytes; return REQUEST; }
  if (asked.count < 2 || !take_word(from, end, asked.flags, sizeof asked.flags)) return BROKEN_OFF;
  return take_fields(end);
}

static long count_fields(void) {
  long count = 0;
  for (long n = 0; n < asked.fields_size; n++)
    if (asked.fields[n] == '=' && (n == 0 || asked.fields[n - 1] == '\n')) count++;
  return count;
}

/* Takes the fields apart where they are; only what becomes the command does. */
static char **take_apart(long *count) {
  char **words = new_memory((count_fields() + 1) * sizeof *words), *to = asked.fields, *from = asked.fields;
  *count = 0;
  while (from < asked.fields + asked.fields_size) {
    if (*from == '=') words[(*count)++] = to;
    else to[-1] = '\n';
    for (from++; *from != '\n'; ) *to++ = *from++;
    *to++ = 0;
    from++;
  }
  return words;
}
