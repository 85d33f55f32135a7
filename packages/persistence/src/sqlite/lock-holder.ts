import { readFile, stat } from 'node:fs/promises';

/** Byte of the `-shm` file that SQLite's writer locks in WAL mode (WAL-index format, "Locks"). */
const writeLockByte = 120;
/** Byte of the `-shm` file that every connection in WAL mode has a shared lock on while it is open (the same, "DMS"). */
const openByte = 128;

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
  return lockersOf(locks, inode, writeLockByte, 'WRITE').find((pid) => pid > 0) ?? null;
}

/**
 * Finds the processes that have a database in WAL mode open, whatever build they are, in the kernel's list of file locks.
 * A process of another container counts as 0. Empty where there is no such list.
 */
export async function findOpeners(databasePath: string): Promise<readonly number[]> {
  try {
    const { ino } = await stat(`${databasePath}-shm`);
    return openersIn(await readFile('/proc/locks', 'utf8'), ino);
  } catch {
    return [];
  }
}

export function openersIn(locks: string, inode: number): readonly number[] {
  return [...new Set(lockersOf(locks, inode, openByte, null))].toSorted((left, right) => left - right);
}

/** Those that have a lock on a byte of a file; who waits for one has none. */
function lockersOf(locks: string, inode: number, byte: number, wanted: 'WRITE' | null): readonly number[] {
  return locks.split('\n').flatMap((line) => {
    const fields = line.trim().split(/\s+/);
    const [, , , access, pid, file, first, last] = fields;
    if (fields[1] === '->' || file?.split(':')[2] !== String(inode)) return [];
    if (wanted !== null && access !== wanted) return [];
    const covers = Number(first) <= byte && (last === 'EOF' || Number(last) >= byte);
    return covers ? [Math.max(0, Number(pid))] : [];
  });
}
