import { realpathSync, statSync } from 'node:fs';

/** Which directory of this machine something is: a path may lead elsewhere later, and several may lead to one. */
export interface HomePlace {
  /** With every symbolic link resolved. */
  readonly path: string;
  /** Device and inode, as decimal numbers: they may be larger than a number can hold. */
  readonly device: string;
  readonly inode: string;
}

/** Tells which directory a path leads to now. @throws what the file system says */
export function placeOf(directory: string): HomePlace {
  const path = realpathSync(directory);
  const { dev, ino } = statSync(path, { bigint: true });
  return { path, device: String(dev), inode: String(ino) };
}

/** Reads a place that a file holds; null for none, or for what is no place. */
export function placeIn(value: unknown): HomePlace | null {
  const { path, device, inode } = (value ?? {}) as Partial<Record<keyof HomePlace, unknown>>;
  if (typeof path !== 'string' || typeof device !== 'string' || typeof inode !== 'string') return null;
  return { path, device, inode };
}

/** Whether two places are one directory, as they are through a bind mount. */
export function isSameDirectory(one: HomePlace, other: HomePlace): boolean {
  return one.device === other.device && one.inode === other.inode;
}
