/*
 * The digest of a layer: SHA-256 over what GNU tar writes of it with `--sort=name --numeric-owner --format=posix --xattrs
 * --xattrs-include='*' --pax-option=exthdr.name=x,delete=atime,delete=ctime`, and what was counted on the way.
 */
#pragma once
#include "sha256.h"
#include "walk.h"

enum { BLOCK = 512, RECORD = 20 * BLOCK, NAME_ROOM = 100 };

static number entry_count, file_bytes, written;
static struct store extended, archived;

/* Where the tar goes when it is written, not only summed; then what is done with the attributes of each, and which of them are left out. */
static long packing = -1;
static struct store packed;
static void (*try_attributes)(const char *name, long size);
static enum { WITH_ALL, WITHOUT_MARKS, WITHOUT_ANY } left_out;

static char *room_to_pack(long size) {
  if (packed.size + size > STEP) {
    write_out(packing, packed.at, packed.size, "a layer");
    packed.size = 0;
  }
  return more(&packed, size);
}

static void put_out(const char *bytes, long size) {
  written += size;
  if (packing < 0) add_to_sum(bytes, size);
  else copy(room_to_pack(size), bytes, size);
}

static void pad(long unit) {
  static const char zeros[RECORD];
  put_out(zeros, (unit - written % unit) % unit);
}

static void put_octal(char *at, int digits, number n) { for (at += digits; digits-- > 0; n >>= 3) *--at = '0' + (n & 7); }

/* A record of the extended header: how long it is, this number included, a name, what it is, a line end. */
static void extend(const char *key, const char *value, long size) {
  char digits[24];
  long keys = 0, all, now = 0;
  for (const char *c = key; *c; c++) keys += *c == '%' || *c == '=' ? 3 : 1;
  do all = now, now = keys + size + 3 + (put_number(digits, all) - digits); while (now != all);
  add_text(&extended, digits);
  add_text(&extended, " ");
  for (const char *c = key; *c; c++) {
    if (*c == '%') add_text(&extended, "%25");
    else if (*c == '=') add_text(&extended, "%3D");
    else *more(&extended, 1) = *c;
  }
  add_text(&extended, "=");
  add_bytes(&extended, value, size);
  add_text(&extended, "\n");
}

static void extend_number(const char *key, number n) { char text[24]; extend(key, text, put_number(text, n) - text); }

static int is_plain(const char *s) { while (*s) if (*s++ & 0x80) return 0; return 1; }

static void extend_time(const struct statx_timestamp *time) {
  static struct store text;
  long seconds = time->tv_sec, rest = time->tv_nsec;
  text.size = 0;
  if (seconds < 0) {
    add_text(&text, "-");
    seconds = -seconds;
    if (rest > 0) { seconds--; rest = 1000000000 - rest; }
  }
  add_number(&text, seconds);
  if (rest > 0) {
    char *digits = more(&text, 10);
    digits[0] = '.';
    put_octal(digits + 1, 9, 0);
    for (long n = 9; n > 0; n--, rest /= 10) digits[n] = '0' + rest % 10;
    while (text.at[text.size - 1] == '0') text.size--;
  }
  extend("mtime", text.at, text.size);
}

static void header(char *block, const char *name, number mode, number user, number group, number size, number time, char type) {
  memset(block, 0, BLOCK);
  long named = length(name);
  copy(block, name, named < NAME_ROOM ? named : NAME_ROOM);
  put_octal(block + 100, 7, mode);
  put_octal(block + 108, 7, user);
  put_octal(block + 116, 7, group);
  put_octal(block + 124, 11, size);
  put_octal(block + 136, 11, time);
  block[156] = type;
  copy(block + 257, "ustar\00000", 8);
}

static void put_header(char *block) {
  unsigned sum_of_bytes = 0;
  memset(block + 148, ' ', 8);
  for (int n = 0; n < BLOCK; n++) sum_of_bytes += (unsigned char)block[n];
  put_octal(block + 148, 6, sum_of_bytes);
  block[154] = 0;
  put_out(block, BLOCK);
}

static void extend_attributes(const char *name) {
  if (left_out == WITHOUT_ANY) return;
  long size = list_attributes(name, path.at);
  if (size > 0 && packing >= 0) try_attributes(name, size);
  for (const char *key = attribute_names; key < attribute_names + size; key += length(key) + 1) {
    static struct store named;
    if (left_out == WITHOUT_MARKS && is_marked(key)) continue;
    named.size = 0;
    add_text(&named, "SCHILY.xattr.");
    add_bytes(&named, key, length(key) + 1);
    long value = get_attribute(name, key, path.at);
    if (value < 0) stop("an attribute went away", path.at, value);
    extend(named.at, attribute, value);
  }
}

/* What stands before the content of an entry. */
static void describe(const char *name, const facts *f, const char *stands_as, const char *target, char type, number size) {
  const number most_seconds = (1l << 33) - 1, most_id = (1l << 21) - 1;
  number user = f->stx_uid, group = f->stx_gid, big = 0;
  long seconds = f->stx_mtime.tv_sec;
  char block[BLOCK], before[BLOCK];
  extended.size = 0;
  if (!is_plain(stands_as) || length(stands_as) > NAME_ROOM) extend("path", stands_as, length(stands_as));
  if (target && length(target) > NAME_ROOM) extend("linkpath", target, length(target));
  if (user > most_id) { extend_number("uid", user); user = 0; }
  if (group > most_id) { extend_number("gid", group); group = 0; }
  if (size > most_seconds) { extend_number("size", size); big = size; }
  if (seconds < 0 || (number)seconds > most_seconds || f->stx_mtime.tv_nsec > 0) extend_time(&f->stx_mtime);
  header(block, stands_as, f->stx_mode & 07777, user, group, big ? 0 : size, seconds < 0 || (number)seconds > most_seconds ? 0 : seconds, type);
  if (target) copy(block + 157, target, length(target) < NAME_ROOM ? length(target) : NAME_ROOM);
  int device = type == '3' || type == '4';
  put_octal(block + 329, 7, device ? f->stx_rdev_major : 0);
  put_octal(block + 337, 7, device ? f->stx_rdev_minor : 0);
  if (type != '1') extend_attributes(name);
  if (extended.size > 0) {
    header(before, "x", 0644, 0, 0, extended.size, seconds < 0 ? 0 : (number)seconds > most_seconds ? most_seconds : (number)seconds, 'x');
    put_header(before);
    put_out(extended.at, extended.size);
    pad(BLOCK);
  }
  put_header(block);
}

static void put_content(const char *name, number size) {
  static char block[1 << 18];
  long file = open_quietly(name, path.at);
  for (number left = size; left > 0; ) {
    long wanted = left < sizeof block ? left : sizeof block;
    char *into = packing < 0 ? block : room_to_pack(wanted);
    long got = read_some(file, into, wanted, path.at);
    if (got == 0) stop("shrank while it was read", path.at, 0);
    if (packing < 0) add_to_sum(block, got);
    else packed.size -= wanted - got;
    written += got;
    left -= got;
  }
  pad(BLOCK);
  close_file(file);
}

static void archive_one(const char *name, const facts *f) {
  static char target[4097];
  int kind = kind_of(f);
  entry_count++;
  if (kind == SOCKET) return;
  archived.size = 0;
  add_text(&archived, path.at[0] ? "./" : ".");
  add_text(&archived, path.at);
  add_bytes(&archived, kind == DIRECTORY ? "/" : "", 2);
  if (kind == DIRECTORY) { describe(name, f, archived.at, 0, '5', 0); return; }
  const char *first = kind == FILE_KIND || kind == LINK ? first_name(f, archived.at) : 0;
  if (first) describe(name, f, archived.at, first, '1', 0);
  else if (kind == FILE_KIND) {
    file_bytes += f->stx_size;
    describe(name, f, archived.at, 0, '0', f->stx_size);
    if (f->stx_size > 0) put_content(name, f->stx_size);
  } else if (kind == LINK) {
    long size = sure(sys(readlinkat, AT_FDCWD, name, target, 4096), "cannot read", path.at);
    target[size] = 0;
    describe(name, f, archived.at, target, '2', 0);
  } else describe(name, f, archived.at, 0, kind == CHARACTERS ? '3' : kind == BLOCKS ? '4' : '6', 0);
}

static void digest_here(long tree, const char *layer, facts *root, char *text) { /* of the working directory */
  begin_sum();
  sure(look(AT_FDCWD, ".", root), "cannot look at", layer);
  long at = names.size;
  struct entries found = entries_of(tree, layer);
  names.size = at;
  sure(sys(lseek, tree, 0, 0, 0), "cannot list", layer);
  if (found.count == 0) {
    static struct store empty;
    entry_count = 1;
    add_text(&empty, "empty ");
    add_octal(&empty, root->stx_mode & 07777);
    add_text(&empty, " ");
    add_number(&empty, root->stx_uid);
    add_text(&empty, " ");
    add_number(&empty, root->stx_gid);
    add_text(&empty, "\n");
    put_out(empty.at, empty.size);
  } else {
    begin_path("");
    archive_one(".", root);
    walk(tree, archive_one);
    static const char zeros[2 * BLOCK];
    put_out(zeros, sizeof zeros);
    pad(RECORD);
  }
  end_sum(text);
}
