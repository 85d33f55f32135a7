/* What is made reaches the disk, in a process beside this one where there is something else to do. */
#pragma once
#include "memory.h"

static long exit_code(long process) {
  int status = 0;
  long ended;
  do ended = sys(wait4, process, &status, 0, 0); while (ended == INTERRUPTED);
  sure(ended, "cannot wait", 0);
  return status & 0x7f ? 128 + (status & 0x7f) : status >> 8 & 0xff;
}

static void ended_well(long process) {
  long code = exit_code(process);
  if (code != 0) leave(code);
}

static void bring_to_disk(const char *name) {
  long file = sure(open_file(name, O_RDONLY, 0), "cannot open", name);
  sure(sys(fsync, file, 0, 0, 0), "cannot bring to the disk", name);
  close_file(file);
}

static long begin_to_sync(const char *layer, int is_packed) { /* in a process beside this one */
  long process = sure(sys(clone, SIGCHLD, 0, 0, 0), "cannot begin a process", 0);
  if (process != 0) return process;
  if (is_packed) {
    bring_to_disk(place_in(layer, "tar"));
    bring_to_disk(place_in(layer, "listing"));
    bring_to_disk(layer);
    bring_to_disk(".");
  } else {
    long file = sure(open_file(layer, O_RDONLY | O_DIRECTORY, 0), "cannot open", layer);
    sure(sys(syncfs, file, 0, 0, 0), "cannot bring to the disk", layer);
  }
  leave(0);
  return 0;
}
