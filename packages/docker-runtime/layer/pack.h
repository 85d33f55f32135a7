/*
 * A new layer as one file, `tar`, of the very bytes that its digest is taken of: one file takes the time that making names takes away. It
 * becomes a tree before it is mounted: whole, under another name, brought to the disk and compared; then it is renamed, and the file goes.
 */
#pragma once
#include "tar.h"
#include "copy.h"
#include "disk.h"

/* Beyond so much content it is the content that takes the time, and it would be written twice. */
static const number most_packed = 64l << 20;

enum { ALONE = 2, END = 2, OMIT = (1 << 30) - 2 };

static int cannot_be_packed, kind_in_hand;
static long new_layer;

/*
 * A file system has its own order of attributes, which is part of the digest, and not all of them can be set by all. So they are set once on
 * something new of the kind, and are to be listed as they were; what decides it is which they are and how long.
 */
static void prove_attributes(const char *name, long size) {
  static struct store wanted, lengths, listed, known; /* known: how long what follows is; kind, lengths, keys */
  long all;
  wanted.size = lengths.size = listed.size = 0;
  for (const char *key = attribute_names; key < attribute_names + size; key += length(key) + 1) {
    if (left_out == WITHOUT_MARKS && is_marked(key)) continue;
    /* What a security module allows may be for each value to say. */
    if (begins(key, "security.") && !begins(key, "security.capability")) cannot_be_packed = 1;
    long value = sure(sys(lgetxattr, name, key, 0, 0), "cannot read an attribute", name);
    add_bytes(&lengths, (const char *)&value, sizeof value);
    add_bytes(&wanted, key, length(key) + 1);
  }
  if (wanted.size == 0 || cannot_be_packed) return;
  add_number(&lengths, kind_in_hand);
  add_bytes(&lengths, wanted.at, wanted.size);
  for (const char *at = known.at, *end = at + known.size; at < end; at += sizeof all + all) {
    copy((char *)&all, at, sizeof all);
    if (all == lengths.size && same(at + sizeof all, lengths.at, all)) return;
  }
  cannot_be_packed = 1;
  if (kind_in_hand != DIRECTORY && kind_in_hand != FILE_KIND) return;
  if (kind_in_hand == DIRECTORY) sure(sys(mkdirat, new_layer, "trial", 0700, 0), "cannot make", "a trial");
  long flags = kind_in_hand == DIRECTORY ? O_RDONLY | O_DIRECTORY : O_WRONLY | O_CREAT | O_EXCL;
  long trial = sure(sys(openat, new_layer, "trial", flags | O_CLOEXEC, 0600), "cannot make", "a trial");
  long done = 0;
  for (const char *key = wanted.at; done >= 0 && key < wanted.at + wanted.size; key += length(key) + 1) {
    long value = get_attribute(name, key, name);
    if (value < 0) stop("an attribute went away", name, value);
    done = sys6(__NR_fsetxattr, trial, (long)key, (long)attribute, value, 0, 0);
  }
  long now = sys(flistxattr, trial, more(&listed, sizeof attribute_names), sizeof attribute_names, 0);
  close_file(trial);
  sure(sys(unlinkat, new_layer, "trial", kind_in_hand == DIRECTORY ? AT_REMOVEDIR : 0, 0), "cannot remove", "a trial");
  if (done < 0 || now != wanted.size || !same(listed.at, wanted.at, now)) return;
  cannot_be_packed = 0;
  all = lengths.size;
  add_bytes(&known, (const char *)&all, sizeof all);
  add_bytes(&known, lengths.at, all);
}

/* Whether all of what follows can be told by a tar; one with holes cannot. Looks at each once. */
static facts *facts_of_items(const char *items, const char *end) {
  static struct store all;
  const char *first = items;
  number size = 0, count = 0;
  for (; items < end; items += length(items) + 1, count++) {
    facts *f = aligned(&all, sizeof *f);
    if (*items == 'g') { memset(f, 0, sizeof *f); f->stx_mode = CHARACTERS; continue; }
    sure(look(AT_FDCWD, items + 1, f), "cannot look at", items + 1);
    if (kind_of(f) != FILE_KIND) continue;
    size += f->stx_size;
    if (f->stx_blocks * 512 < f->stx_size || size > most_packed) return 0;
  }
  return count > 1 && same(first + 1, ".", 2) ? (facts *)all.at : 0;
}

/* Writes the items, in the order of a walk, as a tar beside what would be the tree. @returns 0 when only a tree can hold them, and nothing is left */
static int pack(const char *upper, const char *layer, const char *items, const char *end, facts *root) {
  /* What a new directory has from above is not in the tar. */
  if (list_attributes(layer, layer) > 0) return 0;
  long file = sure(open_file(place_in(layer, "tar"), O_WRONLY | O_CREAT | O_EXCL, 0600), "cannot make", layer);
  long top = sure(open_file(".", O_RDONLY | O_DIRECTORY, 0), "cannot open", ".");
  long open_layer = sure(open_file(layer, O_RDONLY | O_DIRECTORY, 0), "cannot open", layer);
  close_file(go(place_in(upper, "d")));
  facts *f = facts_of_items(items, end);
  if (f) {
    *root = *f;
    packing = file;
    try_attributes = prove_attributes;
    new_layer = open_layer;
    for (; items < end && !cannot_be_packed; items += length(items) + 1, f++) {
      const char *name = items + 1;
      if (kind_of(f) == SOCKET) continue;
      left_out = *items == 'g' ? WITHOUT_ANY : *items == 'a' ? WITHOUT_MARKS : WITH_ALL;
      kind_in_hand = kind_of(f);
      begin_path(name[1] ? name + 2 : "");
      archive_one(name, f);
    }
    static const char zeros[2 * BLOCK];
    put_out(zeros, sizeof zeros);
    pad(RECORD);
    write_out(packing, packed.at, packed.size, layer);
    packing = -1;
  }
  sure(sys(fchdir, top, 0, 0, 0), "cannot enter", ".");
  close_file(top);
  sure(sys(close, file, 0, 0, 0), "cannot write", layer);
  for (long n = 0; n < 4096; n++) linked_by[n] = 0;
  close_file(open_layer);
  if (f && !cannot_be_packed) return 1;
  left_out = WITH_ALL;
  entry_count = file_bytes = written = 0;
  sure(sys(unlinkat, AT_FDCWD, place_in(layer, "tar"), 0, 0), "cannot remove", layer);
  return 0;
}

static void sum_of_file(long file, const char *about, char *text) {
  static char block[1 << 18];
  begin_sum();
  for (long got; (got = read_some(file, block, sizeof block, about)) > 0; ) add_to_sum(block, got);
  end_sum(text);
}

static void clear(long directory, const char *name) { /* removes a tree */
  long done = sys(unlinkat, directory, name, 0, 0);
  if (done == NOT_THERE || done == 0) return;
  if (done != -EISDIR) stop("cannot remove", name, done);
  long inner = sure(sys(openat, directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0), "cannot open", name);
  struct entries found = entries_of(inner, name);
  for (long n = 0; n < found.count; n++) clear(inner, found.all[n].at);
  names.size = found.end;
  close_file(inner);
  sure(sys(unlinkat, directory, name, AT_REMOVEDIR, 0), "cannot remove", name);
}

/* One entry of a tar, as an extended header and a header say it. */
struct member {
  struct store name, target, attributes; /* a key, a NUL, how long the value is, the value */
  facts facts;
  char type;
};

static number octal(const char *at, long digits) {
  number n = 0;
  for (; digits > 0 && *at >= '0' && *at <= '7'; digits--) n = n << 3 | (*at++ - '0');
  return n;
}

static void take_time(struct statx_timestamp *time, const char *at) {
  int before = *at == '-';
  long unit = 100000000;
  at += before;
  time->tv_sec = number_at(&at);
  time->tv_nsec = 0;
  if (*at == '.') for (at++; is_digit(*at); at++, unit /= 10) time->tv_nsec += (*at - '0') * unit;
  if (!before) return;
  time->tv_sec = -time->tv_sec;
  if (time->tv_nsec > 0) { time->tv_sec--; time->tv_nsec = 1000000000 - time->tv_nsec; }
}

static void take_text(struct store *to, const char *at, long size) {
  to->size = 0;
  add_bytes(to, at, size);
  *more(to, 1) = 0;
}

static void take_attribute(struct store *to, const char *key, const char *value, long size) { /* the key ends before an equals sign */
  for (; *key != '='; key++) {
    int escaped = begins(key, "%25") || begins(key, "%3D");
    *more(to, 1) = !escaped ? *key : key[1] == '2' ? '%' : '=';
    if (escaped) key += 2;
  }
  *more(to, 1) = 0;
  add_bytes(to, (const char *)&size, sizeof size);
  add_bytes(to, value, size);
}

static void take_extended(struct member *m, const char *at, const char *end, unsigned *said) {
  while (at < end) {
    const char *key = at;
    long size = number_at(&key);
    const char *next = at + size, *value = key;
    if (size <= 0 || next > end || *key != ' ' || next[-1] != '\n') stop("not a header", "a packed layer", 0);
    while (value < next && *value != '=') value++;
    if (value == next) stop("not a header", "a packed layer", 0);
    long length_of_value = next - 1 - ++value;
    key++;
    if (begins(key, "path=")) { take_text(&m->name, value, length_of_value); *said |= 1; }
    else if (begins(key, "linkpath=")) { take_text(&m->target, value, length_of_value); *said |= 2; }
    else if (begins(key, "uid=")) { m->facts.stx_uid = one_number(value); *said |= 4; }
    else if (begins(key, "gid=")) { m->facts.stx_gid = one_number(value); *said |= 8; }
    else if (begins(key, "size=")) { m->facts.stx_size = one_number(value); *said |= 16; }
    else if (begins(key, "mtime=")) { take_time(&m->facts.stx_mtime, value); *said |= 32; }
    else if (begins(key, "SCHILY.xattr.")) take_attribute(&m->attributes, key + 13, value, length_of_value);
    else stop("an unknown header", key, 0);
    at = next;
  }
}

static long until_end(const char *at, long room) { long n = 0; while (n < room && at[n]) n++; return n; }

/* The entry that begins here; then the place of what is in it. @returns 0 at the end */
static int take_member(struct member *m, const char **at, const char *end) {
  unsigned said = 0;
  m->attributes.size = 0;
  for (;;) {
    const char *block = *at;
    if (end - block < BLOCK) stop("ends too early", "a packed layer", 0);
    if (!*block) return 0;
    if ((block[108] | block[116] | block[124] | block[136]) & 0x80) stop("has a number of another form", block, 0);
    number size = octal(block + 124, 11);
    *at += BLOCK;
    if (block[156] == 'x' || block[156] == 'L' || block[156] == 'K') {
      if ((number)(end - *at) < size) stop("ends too early", "a packed layer", 0);
      if (block[156] == 'x') take_extended(m, *at, *at + size, &said);
      else take_text(block[156] == 'L' ? &m->name : &m->target, *at, until_end(*at, size));
      if (block[156] != 'x') said |= block[156] == 'L' ? 1 : 2;
      *at += (size + BLOCK - 1) / BLOCK * BLOCK;
      continue;
    }
    m->type = block[156];
    m->facts.stx_mode = octal(block + 100, 7);
    if (!(said & 1)) take_text(&m->name, block, until_end(block, NAME_ROOM));
    if (!(said & 2)) take_text(&m->target, block + 157, until_end(block + 157, NAME_ROOM));
    if (!(said & 4)) m->facts.stx_uid = octal(block + 108, 7);
    if (!(said & 8)) m->facts.stx_gid = octal(block + 116, 7);
    if (!(said & 16)) m->facts.stx_size = size;
    if (!(said & 32)) m->facts.stx_mtime = (struct statx_timestamp){ .tv_sec = octal(block + 136, 11) };
    m->facts.stx_rdev_major = octal(block + 329, 7);
    m->facts.stx_rdev_minor = octal(block + 337, 7);
    return 1;
  }
}

static void set_facts(const char *name, const facts *f, int is_link) { /* as far as `finish_one` would */
  sure(sys6(__NR_fchownat, AT_FDCWD, (long)name, f->stx_uid, f->stx_gid, AT_SYMLINK_NOFOLLOW, 0), "cannot give", name);
  if (!is_link) sure(sys(fchmodat, AT_FDCWD, name, f->stx_mode & 07777, 0), "cannot set the mode of", name);
}

static void set_time(const char *name, const facts *f) {
  long times[4] = { 0, OMIT, f->stx_mtime.tv_sec, f->stx_mtime.tv_nsec };
  sure(sys(utimensat, AT_FDCWD, name, times, AT_SYMLINK_NOFOLLOW), "cannot set the time of", name);
}

static void set_attributes(const char *name, const char *at, long of_all) {
  for (const char *end = at + of_all; at < end; ) {
    long size;
    const char *key = at, *value = at + length(at) + 1 + sizeof size;
    copy((char *)&size, value - sizeof size, sizeof size);
    long done = sys6(__NR_lsetxattr, (long)name, (long)key, (long)value, size, 0, 0);
    if (done < 0 && !may_miss(key, done)) stop("cannot set an attribute", name, done);
    at = value + size;
  }
}

static const char *make_member(const struct member *m, const char *at, const char *end) { /* the place after what is in it */
  const char *name = m->name.at;
  const facts *f = &m->facts;
  if (m->type == '1') {
    sure(sys6(__NR_linkat, AT_FDCWD, (long)m->target.at, AT_FDCWD, (long)name, 0, 0), "cannot link", name);
    return at;
  }
  if (m->type == '5') {
    if (name[1] && name[2]) sure(sys(mkdirat, AT_FDCWD, name, 0700, 0), "cannot make", name);
    long size = m->name.size;
    struct made *one = aligned(&made_memory, sizeof *one);
    char *kept = more(&made_memory, size + m->attributes.size);
    copy(kept, name, size);
    copy(kept + size, m->attributes.at, m->attributes.size);
    *one = (struct made){ made, kept, *f, m->attributes.size };
    made = one;
    return at;
  }
  if (m->type == '0') {
    if ((number)(end - at) < f->stx_size) stop("ends too early", "a packed layer", 0);
    long file = sure(open_file(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600), "cannot make", name);
    write_out(file, at, f->stx_size, name);
    sure(sys(close, file, 0, 0, 0), "cannot write", name);
    at += (f->stx_size + BLOCK - 1) / BLOCK * BLOCK;
  } else if (m->type == '2') sure(sys(symlinkat, m->target.at, AT_FDCWD, name, 0), "cannot make", name);
  else {
    unsigned major = f->stx_rdev_major, minor = f->stx_rdev_minor;
    unsigned long device = (minor & 0xff) | (major & 0xfff) << 8 | (unsigned long)(minor & ~0xffu) << 12;
    int kind = m->type == '3' ? CHARACTERS : m->type == '4' ? BLOCKS : PIPE;
    sure(sys(mknodat, AT_FDCWD, name, kind | 0600, device), "cannot make", name);
  }
  set_facts(name, f, m->type == '2');
  set_attributes(name, m->attributes.at, m->attributes.size);
  set_time(name, f);
  return at;
}

/* Of several processes one does it, the others wait. */
static void unpack(const char *layer) {
  static struct member m;
  char was[65], is[65];
  facts f;
  long file = open_file(place_in(layer, "tar"), O_RDONLY | O_NOFOLLOW, 0);
  if (file == NOT_THERE) return;
  sure(file, "cannot open", layer);
  sure(sys(flock, file, ALONE, 0, 0), "cannot lock", layer);
  long done = look(AT_FDCWD, place_in(layer, "d"), &f);
  if (done != NOT_THERE) sure(done, "cannot look at", layer);
  else {
    long home = go(layer);
    sum_of_file(file, layer, was);
    long size = sure(sys(lseek, file, 0, END, 0), "cannot read", layer);
    clear(home, "new");
    sure(sys(mkdirat, home, "new", 0700, 0), "cannot make", layer);
    long tree = go("new");
    const char *at = (const char *)sys6(__NR_mmap, 0, size, PROT_READ, MAP_PRIVATE, file, 0);
    if ((long)at < 0 && (long)at > -4096) stop("cannot read", layer, (long)at);
    for (const char *end = at + size; take_member(&m, &at, end); ) at = make_member(&m, at, end);
    for (; made; made = made->before) {
      set_facts(made->name, &made->facts, 0);
      set_attributes(made->name, made->name + length(made->name) + 1, made->marks);
      set_time(made->name, &made->facts);
    }
    sure(sys(syncfs, home, 0, 0, 0), "cannot bring to the disk", layer);
    digest_here(tree, layer, &f, is);
    if (!same(was, is, 64)) stop("is another layer when it is unpacked", layer, 0);
    sure(sys6(__NR_renameat2, home, (long)"new", home, (long)"d", 0, 0), "cannot rename", layer);
    sure(sys(fsync, home, 0, 0, 0), "cannot bring to the disk", layer);
    sure(sys(unlinkat, home, "tar", 0, 0), "cannot remove", layer);
    leave(0);
  }
  sure(sys(unlinkat, AT_FDCWD, place_in(layer, "tar"), 0, 0), "cannot remove", layer);
  leave(0);
}
