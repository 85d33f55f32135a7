/*
 * What works on layers in a helper container, as root: lists uppers, copies what changed of them, brings it to the disk and says its
 * digest. `node build.mjs` beside `lane.c` compiles it. With words it does one thing:
 *
 *   list UPPER PREVIOUS   what an upper is, or how it differs from its listing in an earlier layer, and what lies too deep to be listed
 *   add UPPER LAYER ON HELD    makes a layer of the items that follow in the request, as `seal` says it
 *   pack UPPER LAYER ON HELD   as `add`, but as one file where that can hold them, and then says so
 *   finish UPPER LAYER ON HELD the last steps for a layer that was made of an upper otherwise
 *   copy TREE LAYER       makes a layer of all of a tree but for what lies too deep
 *   unpack LAYER          makes a tree of that file
 *   fill LAYER            makes a layer of the tar that it reads, brings it to the disk, and says its digest
 *   seal LAYER            brings a layer to the disk: digest, its entries and bytes, those of the stack, and mode, owner, group and form of its top directory,
 *                         with what names its extended attributes where it has some
 *   digest LAYER          its digest alone, or that it is absent
 *   like UPPER LAYER      gives the top directory of an upper the extended attributes of a layer's
 *   sh SCRIPT             becomes a shell
 *
 * The names are directories of the working directory. ON are the layers that it goes on top of, with commas between, and HELD the entries and bytes that
 * they hold together, or nothing where that is not known. Without words it serves requests, one after the other: a line `nonce size`,
 * then that many bytes, words with a NUL at the end of each. Both streams say how it ended: `\nnonce code\n`.
 */
#include "listing.h"
#include "fill.h"
#include "holds.h"

static int same_text(const char *a, const char *b) { return begins(a, b) && !a[length(b)]; }

static int digest_of(const char *layer, facts *root, char *text) { /* 0 for one that is not there */
  const char *place = place_in(layer, "d");
  long tree = open_file(place, O_RDONLY | O_DIRECTORY, 0);
  long file = tree == NOT_THERE ? open_file(place_in(layer, "tar"), O_RDONLY | O_NOFOLLOW, 0) : NOT_THERE;
  if (file >= 0) { sum_of_file(file, layer, text); return 1; }
  /* It may have become a tree meanwhile. */
  if (tree == NOT_THERE && (tree = open_file(place_in(layer, "d"), O_RDONLY | O_DIRECTORY, 0)) == NOT_THERE) return 0;
  sure(tree, "cannot open", layer);
  sure(sys(fchdir, tree, 0, 0, 0), "cannot enter", layer);
  digest_here(tree, layer, root, text);
  return 1;
}

static void seal(const char *layer, facts *packed_root, const char *packed_from) {
  char text[65];
  facts found, *root = packed_root ? packed_root : &found;
  number entries = entry_count, bytes = file_bytes;
  long top_of_layers = sure(open_file(".", O_RDONLY | O_DIRECTORY, 0), "cannot open", ".");
  long process = begin_to_sync(layer, packed_root != 0);
  if (!digest_of(layer, &found, text)) stop("is not there", layer, 0);
  sure(sys(fchdir, top_of_layers, 0, 0, 0), "cannot enter", ".");
  ended_well(process);
  if (on_top.process) ended_well(on_top.process);
  add_text(&output, text);
  if (!packed_root) { entries = entry_count; bytes = file_bytes; }
  struct holding all = end_count(layer, entries, bytes);
  const number said[] = { entries, bytes, all.entries, all.bytes };
  for (int n = 0; n < 4; n++) { add_text(&output, " "); add_number(&output, said[n]); }
  add_text(&output, " ");
  add_octal(&output, root->stx_mode & 07777);
  add_text(&output, " ");
  add_number(&output, root->stx_uid);
  add_text(&output, " ");
  add_number(&output, root->stx_gid);
  if (packed_root) add_text(&output, " packed");
  /* Of one that was packed before, nobody asks. */
  const char *top = place_in(packed_root ? packed_from : layer, "d");
  if (look(AT_FDCWD, top, &found) != NOT_THERE) add_attributes_of_top(&output, packed_root ? " " : " tree ", top);
  add_text(&output, "\n");
  write_out(1, output.at, output.size, "the answer");
}

static void take_listing(const char *upper, const char *layer) { /* goes with the layer, for the next time */
  static struct store from, to;
  add_text(&from, upper);
  add_bytes(&from, "/listing.new", 13);
  add_text(&to, layer);
  add_bytes(&to, "/listing", 9);
  sure(sys6(__NR_renameat2, AT_FDCWD, (long)from.at, AT_FDCWD, (long)to.at, 0, 0), "cannot rename", from.at);
}

static char **variables;

static void serve_one(char *words, char *end) {
  const char *word[5] = { "", "", "", "", "" };
  for (int n = 0; n < 5 && words < end; n++) { word[n] = words; words += length(words) + 1; }
  on_top.layers = word[3];
  on_top.held = word[4];
  if (same_text(word[0], "list")) list(word[1], word[2]);
  else if (same_text(word[0], "add") || same_text(word[0], "pack")) {
    facts root;
    sys(umask, 0, 0, 0, 0);
    sure(sys(mkdirat, AT_FDCWD, word[2], 0755, 0), "cannot make", word[2]);
    begin_to_count(word[1], words, end);
    int is_packed = same_text(word[0], "pack") && pack(word[1], word[2], words, end, &root);
    if (!is_packed) {
      long top = sure(open_file(".", O_RDONLY | O_DIRECTORY, 0), "cannot open", ".");
      begin_layer(place_in(word[1], "d"), word[2]);
      copy_items(words, end);
      sure(sys(fchdir, top, 0, 0, 0), "cannot enter", ".");
      for (long n = 0; n < 4096; n++) linked_by[n] = 0;
    }
    take_listing(word[1], word[2]);
    seal(word[2], is_packed ? &root : 0, word[1]);
  } else if (same_text(word[0], "copy")) {
    sys(umask, 0, 0, 0, 0);
    sure(sys(mkdirat, AT_FDCWD, word[2], 0755, 0), "cannot make", word[2]);
    copy_all(word[1], word[2]);
  } else if (same_text(word[0], "unpack")) {
    sys(umask, 0, 0, 0, 0);
    unpack(word[1]);
  } else if (same_text(word[0], "finish")) {
    begin_to_count(word[2], 0, 0);
    take_listing(word[1], word[2]);
    seal(word[2], 0, 0);
  } else if (same_text(word[0], "fill")) fill(word[1]);
  else if (same_text(word[0], "seal")) seal(word[1], 0, 0);
  else if (same_text(word[0], "like")) {
    static struct store into;
    add_bytes(&into, place_in(word[1], "d"), length(place_in(word[1], "d")) + 1);
    copy_attributes_of_top(place_in(word[2], "d"), into.at);
  } else if (same_text(word[0], "digest")) {
    char text[66];
    facts root;
    if (!digest_of(word[1], &root, text)) { write_out(1, "absent\n", 7, "the answer"); leave(0); }
    text[64] = '\n';
    write_out(1, text, 65, "the answer");
  } else if (same_text(word[0], "sh")) {
    const char *shell[] = { "sh", "-c", word[1], 0 };
    stop("cannot begin a shell", 0, sys(execve, "/bin/sh", shell, variables, 0));
  } else stop("no such request", word[0], 0);
  leave(0);
}

static int read_line(char *line, long room) { /* 0 at the end of the input */
  for (long n = 0; n < room - 1; n++) {
    long got = read_some(0, line + n, 1, "requests");
    if (got == 0) return 0;
    if (line[n] == '\n') { line[n] = 0; return 1; }
  }
  stop("a request without a beginning", 0, 0);
  return 0;
}

static void serve(void) {
  char line[128], ending[160];
  struct store request = { 0, 0, 0 };
  while (read_line(line, sizeof line)) {
    char *nonce = line, *after = line;
    while (*after && *after != ' ') after++;
    long size = one_number(after);
    if (size < 0) stop("a request without a size", 0, 0);
    *after = 0;
    request.size = 0;
    char *body = more(&request, size + 1);
    for (long got = 0, some; got < size; got += some)
      if ((some = read_some(0, body + got, size - got, "requests")) == 0) return;
    body[size] = 0;
    long process = sure(sys(clone, SIGCHLD, 0, 0, 0), "cannot begin a process", 0);
    if (process == 0) {
      long nothing = sure(open_file("/dev/null", O_RDONLY, 0), "cannot open", "/dev/null");
      sure(sys(dup3, nothing, 0, 0, 0), "cannot open", "/dev/null");
      serve_one(body, body + size);
    }
    char *end = put_text(put_text(ending, "\n"), nonce);
    put_text(put_number(put_text(end, " "), exit_code(process)), "\n");
    write_out(2, ending, length(ending), "the answer");
    write_out(1, ending, length(ending), "the answer");
  }
}

static void allow_many_files(void) { /* a walk has each directory above open, and some engines allow 1,024 */
  enum { FILES = 7 };
  number limit[2];
  if (sys(prlimit64, 0, FILES, 0, limit) < 0) return;
  limit[0] = limit[1];
  sys(prlimit64, 0, FILES, limit, 0);
}

__attribute__((used)) void begin(long *stack) {
  allow_many_files();
  char **words = (char **)(stack + 1);
  long count = *stack;
  variables = words + count + 1;
#if defined(__aarch64__)
  char **after = variables;
  while (*after) after++;
  for (long *known = (long *)(after + 1); known[0]; known += 2) if (known[0] == 16) processor = known[1];
#endif
  if (count > 1) serve_one(words[1], words[count - 1] + length(words[count - 1]) + 1);
  serve();
  leave(0);
}
