import { readFile, stat } from 'node:fs/promises';

/** Byte of the `-shm` file that SQLite's writer locks in WAL mode (WAL-index format, "Locks"). */
const writeLockByte = 120;

/**
 * Finds the process that holds SQLite's write lock, from the kernel's list of file locks. Null where there is no such
 * list, or when nobody holds it any more.
 */
export async function findLockHolder(databasePath: string): Promise<number | null> {
  try {
    const { ino } = await stat(`${databasePath}-shm`);
    return holderIn(await readFile('/proc/locks', 'utf8'), ino);
  } catch {
    return null;
  }
}

/** Reads lines such as `1: POSIX  ADVISORY  WRITE 4242 fe:00:1234 120 120`. */
export function holderIn(locks: string, inode: number): number | null {
  for (const line of locks.split('\n')) {
    const fields = line
      .trim()
      .split(/\s+/)
      .filter((field) => field !== '->');
    const [, , , access, pid, file, first, last] = fields;
    if (access !== 'WRITE' || file?.split(':')[2] !== String(inode)) continue;
    const covers = Number(first) <= writeLockByte && (last === 'EOF' || Number(last) >= writeLockByte);
    if (covers && Number(pid) > 0) return Number(pid);
  }
  return null;
}
