/*
 * Commands in the background, each with a supervisor of its own and a directory that only root can read. Both outputs are kept there in
 * pieces, each named by the offset that it begins at. Whoever asks for what comes after an offset says by it that everything before is
 * safe: pieces before the one with that offset go. While a mebibyte lies there that nobody asks for, the command waits at its full pipe.
 * A mebibyte is more than one piece, or the last would never be followed by another that lets it go.
 */
#pragma once
#include "command.h"

enum { PIECE = 1 << 19, MOST_KEPT_BYTES = 1 << 20, MOST_PIECES = 256, MOST_BACKGROUND = 16, BLOCK = 65536 };

static char spool_path[64];
static long spool_count;

static char *put_spool(char *to, const char *name) { return put_text(put_text(put_text(to, spool_path), "/"), name); }

static long write_spool(const char *name, const char *text) {
  char path[96];
  put_spool(path, name);
  return write_file(path, text, O_TRUNC, 0600);
}

static void remove_spool(const char *name) {
  char path[96];
  put_spool(path, name);
  remove_file(path);
}

static void count_spool(const char *name) { if (begins(name, "bg.")) spool_count++; }

static const char *new_spool(number execution) { /* 0, or why there is none */
  spool_count = 0;
  each_entry(PLACE, count_spool);
  if (spool_count >= MOST_BACKGROUND) return "full";
  put_in_place(spool_path, "bg.", execution);
  if (sys(mkdirat, AT_FDCWD, spool_path, 0711, 0) < 0) return "lost";
  sys(fchmodat, AT_FDCWD, spool_path, 0711, 0);
  return 0;
}

static int named_pipe(const char *name) { /* that the commands' user may write to */
  char path[96];
  put_spool(path, name);
  return sys(mknodat, AT_FDCWD, path, S_IFIFO | 0622, 0) == 0 && sys(fchmodat, AT_FDCWD, path, 0622, 0) == 0;
}

/* What is kept of an output: the pieces that may still be there, and the one that grows. */
struct kept { char name; long file, piece, offset, size; int full; struct { long offset, size; } pieces[MOST_PIECES]; long count; };

static char *put_piece(char *to, char stream, number offset) {
  char name[4] = { stream, '.', 0, 0 };
  return put_number(put_spool(to, name), offset);
}

static int has_room(struct kept *kept) { /* forgets pieces that were taken away */
  char path[96];
  long held = 0, rest = 0;
  for (long n = 0; n < kept->count; n++) {
    put_piece(path, kept->name, kept->pieces[n].offset);
    if (!exists(path)) continue;
    held += kept->pieces[n].size;
    kept->pieces[rest++] = kept->pieces[n];
  }
  kept->count = rest;
  return held < MOST_KEPT_BYTES && rest < MOST_PIECES;
}

static void keep_more(struct kept *kept) { /* what came, or its end; a piece that is full gives way to the next */
  static char bytes[BLOCK];
  char path[96];
  long room = kept->piece < 0 ? PIECE : PIECE - kept->size;
  long got = sys(read, kept->file, bytes, room < BLOCK ? room : BLOCK, 0);
  if (got == INTERRUPTED || got == AGAIN) return;
  if (got > 0 && kept->piece < 0) {
    put_piece(path, kept->name, kept->offset);
    kept->piece = open_file(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    kept->size = 0;
  }
  if (got > 0) { write_all(kept->piece, bytes, got); kept->size += got; }
  if (kept->piece >= 0 && (got <= 0 || kept->size == PIECE)) {
    close_file(kept->piece);
    kept->piece = -1;
    kept->pieces[kept->count].offset = kept->offset;
    kept->pieces[kept->count++].size = kept->size;
    kept->offset += kept->size;
    kept->full = !has_room(kept);
  }
  if (got <= 0) { close_file(kept->file); kept->file = -1; }
}

static char *put_time(char *to, long hundredths) {
  char *end = put_text(put_number(to, hundredths / 100), ".");
  if (hundredths % 100 < 10) end = put_text(end, "0");
  return put_number(end, hundredths % 100);
}

static long now(void) { /* in hundredths of a second since the machine started */
  long time[2] = { 0, 0 };
  sys(clock_gettime, 7, time, 0, 0);
  return time[0] * 100 + time[1] / 10000000;
}

static void tell_end(long from) {
  char text[128], *to = put_text(put_result(text), " ");
  put_text(put_time(put_text(put_time(to, from), " "), now()), "\n");
  write_spool("result.new", text);
  char old[96], new[96];
  put_spool(old, "result.new");
  put_spool(new, "result");
  sys(renameat2, AT_FDCWD, old, AT_FDCWD, new);
}

/* The verbs by which any lane asks for a command in the background. */
static struct { char stream; number at, best, next; int found, more, gone; } pieces;

static void look_for_piece(const char *name) {
  if (name[0] != pieces.stream || name[1] != '.' || !is_digit(name[2])) return;
  number at = one_number(name + 2);
  if (at <= pieces.at && (!pieces.found || at > pieces.best)) { pieces.best = at; pieces.found = 1; }
}

static void look_for_next(const char *name) {
  char path[96];
  if (name[0] != pieces.stream || name[1] != '.' || !is_digit(name[2])) return;
  number at = one_number(name + 2);
  put_piece(path, pieces.stream, at);
  if (at < pieces.best) { remove_file(path); pieces.gone = 1; }
  if (at > pieces.best && (!pieces.more || at < pieces.next)) { pieces.next = at; pieces.more = 1; }
}

static void give_piece(number piece, number from) {
  static char bytes[BLOCK];
  char path[96];
  put_piece(path, pieces.stream, piece);
  long file = open_file(path, O_RDONLY, 0), size;
  sys(lseek, file, from, 0, 0);
  while ((size = sys(read, file, bytes, sizeof bytes, 0)) > 0) write_all(1, bytes, size);
  close_file(file);
}

static long keeper_of_spool(void) { /* the process that keeps it, if it still does: its number may be another's by now */
  char path[96], text[32];
  put_spool(path, "keeper");
  long process = read_file(path, text, sizeof text) > 0 ? one_number(text) : 0;
  put_text(put_number(put_text(path, "/proc/"), process), "/comm");
  return process > 0 && read_file(path, text, sizeof text) > 0 && begins(text, "oct-lane") ? process : 0;
}

static void tell_keeper(int signal) {
  char path[96];
  put_spool(path, "result");
  long process = exists(path) ? 0 : keeper_of_spool();
  if (process) sys(kill, process, signal, 0, 0);
}

static void pull(void) { /* execution, stream, offset: what is kept from there on, of two pieces at most */
  pieces.stream = asked.words[1] == 2 ? 'e' : 'o';
  pieces.at = asked.words[2];
  pieces.found = pieces.more = pieces.gone = 0;
  each_entry(spool_path, look_for_piece);
  if (!pieces.found) { says(asked.nonce, "none"); return; }
  each_entry(spool_path, look_for_next);
  if (pieces.gone) tell_keeper(SIGUSR2);
  give_piece(pieces.best, pieces.at - pieces.best);
  if (pieces.more) give_piece(pieces.next, 0);
  answer("ok", pieces.at);
}

static void look(void) {
  char path[96], text[128], said[160];
  put_spool(path, "result");
  long size = read_file(path, text, sizeof text);
  if (size > 0) {
    if (text[size - 1] == '\n') text[size - 1] = 0;
    put_text(put_text(said, "ended "), text);
    says(asked.nonce, said);
  } else if (!exists(spool_path)) says(asked.nonce, "none");
  else {
    put_spool(path, "keeper");
    says(asked.nonce, !exists(path) || keeper_of_spool() ? "running" : "lost");
  }
}

static void end_input(void) {
  char path[96];
  put_spool(path, "shell");
  if (exists(path)) {
    put_spool(path, "in");
    long file = open_file(path, O_WRONLY | O_NONBLOCK, 0);
    say(file, "\nclose\n");
    close_file(file);
  } else tell_keeper(SIGUSR1);
  answer("ok", 0);
}

static void forget_entry(const char *name) {
  char path[96];
  if (name[0] == '.') return;
  put_spool(path, name);
  remove_file(path);
}

static void forget(void) {
  each_entry(spool_path, forget_entry);
  sys(unlinkat, AT_FDCWD, spool_path, AT_REMOVEDIR, 0);
  answer("ok", 0);
}
