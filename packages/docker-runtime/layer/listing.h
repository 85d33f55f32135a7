/* What an upper is: a line for each entry, in order of their bytes, as `find` and `stat` say it. */
#pragma once
#include "walk.h"
#include "top.h"

static struct store lines, line_list;
static char part;
static long indexed;

static void add_time(struct store *to, const struct statx_timestamp *time, const char *end) {
  if (time->tv_sec < 0) add_text(to, "-");
  add_number(to, time->tv_sec < 0 ? -time->tv_sec : time->tv_sec);
  char *digits = more(to, 10);
  digits[0] = '.';
  for (long n = 9, rest = time->tv_nsec; n > 0; n--, rest /= 10) digits[n] = '0' + rest % 10;
  add_text(to, end);
}

static char letter(const facts *f) {
  switch (kind_of(f)) {
    case FILE_KIND: return 'f';
    case DIRECTORY: return 'd';
    case LINK: return 'l';
    case CHARACTERS: return 'c';
    case BLOCKS: return 'b';
    case PIPE: return 'p';
    case SOCKET: return 's';
    default: return 'U';
  }
}

static void add_line(const char *name, const facts *f) {
  static const struct statx_timestamp unknown;
  const char type = letter(f), *ending = type == 'd' ? " " : "0 ";
  long from = lines.size;
  *more(&lines, 1) = part;
  *more(&lines, 1) = type;
  const number before[] = { f->stx_ino, f->stx_nlink }, after[] = { f->stx_uid, f->stx_gid, f->stx_size };
  for (int n = 0; n < 2; n++) { add_text(&lines, " "); add_number(&lines, before[n]); }
  add_text(&lines, " ");
  add_time(&lines, &f->stx_ctime, ending);
  add_octal(&lines, f->stx_mode & 07777);
  for (int n = 0; n < 3; n++) { add_text(&lines, " "); add_number(&lines, after[n]); }
  add_text(&lines, " ");
  add_time(&lines, &f->stx_mtime, ending);
  if (type == 'd') add_time(&lines, f->stx_mask & STATX_BTIME ? &f->stx_btime : &unknown, " ");
  else add_text(&lines, "- ");
  add_text(&lines, *name ? "./" : ".");
  add_bytes(&lines, name, length(name) + 1);
  struct text *line = aligned(&line_list, sizeof *line);
  *line = (struct text){ lines.at + from, lines.size - from - 1 };
}

/* In the form of a line, with what names the attributes in place of a number. */
static void add_line_of_top(const char *name) {
  long from = lines.size;
  if (!add_attributes_of_top(&lines, "xd ", name)) return;
  add_bytes(&lines, " 0 0 0 0 0 0 0 0 .", 19);
  struct text *line = aligned(&line_list, sizeof *line);
  *line = (struct text){ lines.at + from, lines.size - from - 1 };
}

static void list_one(const char *name, const facts *f) { (void)name; add_line(path.at, f); }

static void list_indexed(const char *name, const facts *f) {
  (void)name;
  if (kind_of(f) != FILE_KIND) return;
  indexed++;
  add_line(path.at, f);
}

static void list_tree(const char *upper) {
  facts f;
  long top = go(upper), tree = go("d");
  sure(look(AT_FDCWD, ".", &f), "cannot look at", upper);
  part = 'd';
  begin_path("");
  add_line("", &f);
  add_line_of_top(".");
  deep.longest = LONGEST_PATH;
  walk(tree, list_one);
  deep.longest = NO_LONGEST;
  close_file(tree);
  sure(sys(fchdir, top, 0, 0, 0), "cannot enter", upper);
  long index = open_file("w/index", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
  if (index != NOT_THERE) {
    sure(index, "cannot open", "w/index");
    sure(sys(fchdir, index, 0, 0, 0), "cannot enter", "w/index");
    part = 'i';
    begin_path("");
    walk(index, list_indexed);
    close_file(index);
    sure(sys(fchdir, top, 0, 0, 0), "cannot enter", upper);
  }
  close_file(top);
}

static struct store output;

static void add_marks(const struct text *line) { /* what the overlay notes on a directory */
  const char *name = line->at;
  if (name[0] != 'd' || name[1] != 'd') return;
  for (int spaces = 0; spaces < 10; name++) if (*name == ' ') spaces++;
  if (get_attribute(name, "trusted.overlay.opaque", name) >= 0) add_text(&output, "o");
  if (get_attribute(name, "trusted.overlay.redirect", name) >= 0) add_text(&output, "r");
}

/* Of two listings, the lines that one has alone; those of the second after a tab, the marks, and a tab. */
static void compare(const char *last, long size, const struct text *now, long count) {
  const char *end = last + size;
  long tree = go("d");
  for (long n = 0; n < count || last < end; ) {
    struct text old = { last, 0 };
    while (last + old.size < end && last[old.size]) old.size++;
    int which = last >= end ? 1 : n >= count ? -1 : order(&old, &now[n]);
    if (which < 0) add_bytes(&output, old.at, old.size + 1);
    if (which > 0) {
      add_text(&output, "\t");
      add_marks(&now[n]);
      add_text(&output, "\t");
      add_bytes(&output, now[n].at, now[n].size + 1);
    }
    if (which <= 0) last += old.size + 1;
    if (which >= 0) n++;
  }
  close_file(tree);
}

static void list(const char *upper, const char *previous) {
  list_tree(upper);
  long count = line_list.size / sizeof(struct text);
  aligned(&line_list, line_list.size);
  struct text *now = (struct text *)line_list.at;
  sort(now, now + count, count);
  static struct store whole, old, place;
  for (long n = 0; n < count; n++) add_bytes(&whole, now[n].at, now[n].size + 1);
  long file = sure(open_file("listing.new", O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0644), "cannot make", "listing.new");
  write_out(file, whole.at, whole.size, "listing.new");
  sure(sys(close, file, 0, 0, 0), "cannot write", "listing.new");
  long last = NOT_THERE;
  if (*previous) {
    add_text(&place, "../");
    add_text(&place, previous);
    add_bytes(&place, "/listing", 9);
    last = open_file(place.at, O_RDONLY | O_NOFOLLOW, 0);
    if (last != NOT_THERE) sure(last, "cannot open", place.at);
  }
  add_number(&output, indexed);
  if (deep.count > 0) {
    add_text(&output, " ");
    add_number(&output, deep.count);
    add_text(&output, " ");
    add_text(&output, deep.first);
  }
  add_bytes(&output, last < 0 ? "\0all" : "\0change", last < 0 ? 5 : 8);
  if (last >= 0) {
    for (long got = 1; got > 0; ) {
      got = read_some(last, more(&old, STEP), STEP, place.at);
      old.size -= STEP - got;
    }
    *more(&old, 1) = 0;
    compare(old.at, old.size - 1, now, count);
  } else add_bytes(&output, whole.at, whole.size);
  write_out(1, output.at, output.size, "the answer");
}
