/*
 * A new layer of a tar that is read from the standard input. This process reads, makes directories and takes the digest of what goes by; makers, one
 * for each processor, make the files. What they made is brought to the disk piece by piece beside it, so that in the end little is left to wait for.
 */
#pragma once
#include "making.h"

enum { SLOT = 1 << 18, SLOTS = 64, MOST_MAKERS = 4, PIECE_NAMES = 4000, NOT_WAITING = 1 };
static const number piece_bytes = 16l << 20;

/* Slots are memory that all have: whole entries of the tar, as many bytes as `used` says. */
static char *slots, *slot_at;
static long *used, slot, given_slots, parsed, got;
static long jobs[2], done_jobs[2], makers[MOST_MAKERS], maker_count, syncing;
static number names_made, names_synced, bytes_synced;

/* Whether the digest of what goes by is that of the layer: its entries come in the order of a walk, and none has attributes that the file system orders. */
static int is_as_walked;
static struct store before;

static long content_size(const struct member *m) { return m->type == '0' ? (m->facts.stx_size + BLOCK - 1) / BLOCK * BLOCK : 0; }

static void make_files(void) {
  static struct member m;
  for (unsigned char n; read_some(jobs[0], (char *)&n, 1, "work") == 1; write_out(done_jobs[1], (const char *)&n, 1, "work"))
    for (const char *at = slots + n * (long)SLOT, *end = at + used[n]; at < end && take_member(&m, &at, end); ) {
      if (m.type == '0' || m.type == '2') make_whole(&m, at);
      at += content_size(&m);
    }
  leave(0);
}

static long processor_count(void) {
  number mask[128];
  long count = 0, size = sys(sched_getaffinity, 0, sizeof mask, mask, 0);
  for (long n = 0; n < size / (long)sizeof *mask; n++) for (number bits = mask[n]; bits; bits &= bits - 1) count++;
  return count < 1 ? 1 : count < MOST_MAKERS ? count : MOST_MAKERS;
}

static long *new_pipe(long ends[2]) {
  int files[2];
  sure(sys(pipe2, files, O_CLOEXEC, 0, 0), "cannot make a pipe", 0);
  ends[0] = files[0];
  ends[1] = files[1];
  return ends;
}

static void begin_makers(void) {
  long size = SLOTS * (long)SLOT + 4096;
  slots = (char *)sys6(__NR_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if ((long)slots < 0 && (long)slots > -4096) stop("no memory", 0, (long)slots);
  used = (long *)(slots + SLOTS * (long)SLOT);
  differs = (int *)(used + SLOTS);
  new_pipe(jobs);
  new_pipe(done_jobs);
  for (long count = processor_count(); maker_count < count; maker_count++) {
    long process = sure(sys(clone, SIGCHLD, 0, 0, 0), "cannot begin a process", 0);
    if (process == 0) {
      close_file(jobs[1]);
      close_file(done_jobs[0]);
      make_files();
    }
    makers[maker_count] = process;
  }
  close_file(jobs[0]);
  close_file(done_jobs[1]);
}

static void end_makers(void) {
  close_file(jobs[1]);
  for (long n = 0; n < maker_count; n++) ended_well(makers[n]);
}

static void next_slot(void) { /* gives out what is whole, and goes on in another slot with what is not */
  unsigned char n = slot;
  const char *rest = slot_at + parsed;
  if (slot_at && parsed == 0) return; /* nobody would ever give this one back */
  if (slot_at) {
    used[slot] = parsed;
    write_out(jobs[1], (const char *)&n, 1, "work");
  }
  if (given_slots < SLOTS) n = given_slots++;
  else if (read_some(done_jobs[0], (char *)&n, 1, "work") == 0) stop("nobody makes files any more", 0, 0);
  slot = n;
  copy(slots + slot * (long)SLOT, rest, got - parsed);
  slot_at = slots + slot * (long)SLOT;
  got -= parsed;
  parsed = 0;
}

/* Another process brings what is there to the disk, while the next is made. */
static void sync_piece(void) {
  int status;
  if (names_made - names_synced < PIECE_NAMES && written - bytes_synced < piece_bytes) return;
  if (syncing && sys(wait4, syncing, &status, NOT_WAITING, 0) == 0) return;
  if (syncing && status != 0) stop("could not be brought to the disk", "a layer", 0);
  names_synced = names_made;
  bytes_synced = written;
  syncing = sure(sys(clone, SIGCHLD, 0, 0, 0), "cannot begin a process", 0);
  if (syncing) return;
  close_file(jobs[1]);
  sure(sys(syncfs, tree_of_layer, 0, 0, 0), "cannot bring to the disk", "a layer");
  leave(0);
}

static void read_more(void) {
  if (got == SLOT) {
    if (parsed == 0 && got > 0) stop("has a header that is too long", "what a layer is filled with", 0);
    next_slot();
    sync_piece();
  }
  long size = read_some(0, slot_at + got, SLOT - got, "what a layer is filled with");
  if (size == 0) stop("ends too early", "what a layer is filled with", 0);
  got += size;
}

/* How long the headers of the entry are that begins here; 0 when not all of them are here. */
static long header_size(const char *at, long here) {
  for (long size = 0; here - size >= BLOCK; ) {
    const char *block = at + size;
    char type = block[156];
    size += BLOCK;
    if (type != 'x' && type != 'L' && type != 'K') return size;
    size += (octal(block + 124, 11) + BLOCK - 1) / BLOCK * BLOCK;
  }
  return 0;
}

static unsigned rank(char c) { return c == 0 ? 0 : c == '/' ? 1 : 1 + (unsigned char)c; } /* a slash ends a name */

static int comes_later(const char *name, const char *than) {
  while (*than && *than == *name) than++, name++;
  return rank(*name) > rank(*than);
}

static void describe_member(const struct member *m) {
  const char *name = m->name.at;
  int is_first = before.size == 0, is_top = m->type == '5' && same(name, "./", 3);
  if (m->type == '1' || m->attributes.size > 0 || !begins(name, "./") || (is_first ? !is_top : !comes_later(name, before.at))) is_as_walked = 0;
  before.size = 0;
  add_bytes(&before, name, length(name) + 1);
  names_made++;
  describe(name, &m->facts, name, m->type == '2' ? m->target.at : 0, m->type, m->type == '0' ? m->facts.stx_size : 0);
}

static void keep_rest(void) { /* what was before it in the slot is nobody's to make */
  copy(slot_at, slot_at + parsed, got - parsed);
  got -= parsed;
  parsed = 0;
}

/* One that no slot has room for is written as it comes. */
static void make_large(const struct member *m) {
  long file = begin_file(m);
  for (number left = m->facts.stx_size; left > 0; ) {
    if (got == parsed) {
      parsed = got = 0;
      read_more();
    }
    long some = (number)(got - parsed) < left ? got - parsed : (long)left;
    put_out(slot_at + parsed, some);
    write_out(file, slot_at + parsed, some, m->name.at);
    parsed += some;
    left -= some;
    sync_piece();
  }
  end_file(m, file);
  long padding = (BLOCK - m->facts.stx_size % BLOCK) % BLOCK;
  pad(BLOCK);
  while (got - parsed < padding) {
    keep_rest();
    read_more();
  }
  parsed += padding;
  keep_rest();
}

static void take_all(void) {
  static struct member m;
  for (next_slot();;) {
    long headers = header_size(slot_at + parsed, got - parsed);
    if (headers == 0 || headers > got - parsed) { read_more(); continue; }
    const char *at = slot_at + parsed, *content = at;
    if (!*at) break;
    take_member(&m, &content, at + headers);
    long size = content_size(&m);
    if (headers + size <= SLOT && headers + size > got - parsed) { read_more(); continue; }
    describe_member(&m);
    if (m.type == '5') make_directory(&m);
    else if (m.type == '1') {
      add_bytes(&linking, m.name.at, length(m.name.at) + 1);
      add_bytes(&linking, m.target.at, length(m.target.at) + 1);
    } else if (m.type != '0' && m.type != '2') stop("is of a kind that no layer is filled with", m.name.at, 0);
    if (headers + size > SLOT) {
      next_slot();
      parsed += headers;
      make_large(&m);
      continue;
    }
    if (size > 0) {
      put_out(content, m.facts.stx_size);
      pad(BLOCK);
    }
    parsed += headers + size;
  }
  next_slot();
  while (read_some(0, slot_at, SLOT, "what a layer is filled with") > 0);
}

static void fill(const char *layer) {
  char text[66];
  facts root;
  sys(umask, 0, 0, 0, 0);
  sure(sys(mkdirat, AT_FDCWD, layer, 0755, 0), "cannot make", layer);
  sure(sys(mkdirat, AT_FDCWD, place_in(layer, "d"), 0755, 0), "cannot make", layer);
  is_as_walked = list_attributes(place_in(layer, "d"), layer) == 0;
  tree_of_layer = go(place_in(layer, "d"));
  left_out = WITHOUT_ANY;
  begin_sum();
  begin_makers();
  take_all();
  end_makers();
  make_links();
  end_directories();
  if (syncing) ended_well(syncing);
  if (is_as_walked && !*differs && names_made > 1) {
    static const char zeros[2 * BLOCK];
    put_out(zeros, sizeof zeros);
    pad(RECORD);
    end_sum(text);
    sure(sys(syncfs, tree_of_layer, 0, 0, 0), "cannot bring to the disk", layer);
  } else {
    left_out = WITH_ALL;
    entry_count = file_bytes = written = 0;
    long process = begin_to_sync(".", 0);
    digest_here(tree_of_layer, layer, &root, text);
    ended_well(process);
  }
  static struct store said;
  add_text(&said, text);
  sure(sys(fchdir, tree_of_layer, 0, 0, 0), "cannot enter", layer);
  add_attributes_of_top(&said, " ", ".");
  add_text(&said, "\n");
  write_out(1, said.at, said.size, "the answer");
}
