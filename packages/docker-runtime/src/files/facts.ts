import type { FileFacts, FileType, SandboxPath } from '@opencode-tools/core';

/** `%f` is type and mode in hexadecimal; coreutils and busybox agree on all of these. */
export const statFormat = '%f %s %Y %u %g';

const types: Readonly<Record<number, FileType>> = {
  0x1: 'fifo',
  0x2: 'device',
  0x4: 'directory',
  0x6: 'device',
  0x8: 'file',
  0xa: 'symlink',
  0xc: 'socket',
};

/** Reads a line that `stat` printed in `statFormat`. */
export function readFacts(path: SandboxPath, line: string): FileFacts {
  const [bits = '0', size = '0', seconds = '0', uid = '0', gid = '0'] = line.split(' ');
  const mode = Number.parseInt(bits, 16);
  return {
    path,
    type: types[mode >> 12] ?? 'device',
    sizeBytes: Number(size),
    mode: mode & 0o7777,
    uid: Number(uid),
    gid: Number(gid),
    modifiedMs: Number(seconds) * 1_000,
  };
}
