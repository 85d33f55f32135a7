import { statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';

const shared = '/dev/shm';
const roomNeededBytes = 1024 ** 3;

/**
 * Where temporary files are in memory, if there is room; else the usual place. For tests that flush much and whose proof is that of
 * ended processes, not of lost power.
 */
export function memoryDirectory(): string {
  try {
    const { bavail, bsize } = statfsSync(shared);
    return bavail * bsize < roomNeededBytes ? tmpdir() : shared;
  } catch {
    return tmpdir();
  }
}
