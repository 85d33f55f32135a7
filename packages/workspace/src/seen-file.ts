import { type Stats, closeSync, constants, fstatSync, lstatSync, openSync, readFileSync, readlinkSync } from 'node:fs';
import { meaningfulText } from '@opencode-tools/core';
import { type BytePath, toFs } from './byte-path.ts';
import { type ChangeSide, mostTextBytes } from './review-work.ts';

/** A file or symbolic link of a directory, as far as tripwires depend on it. */
export interface SeenFile extends ChangeSide {
  /** With the bits that say what it is. */
  readonly rawMode: number;
  readonly size: number;
  readonly inode: number;
  /** When the content, the mode or the name last changed; who owns the file cannot set it. */
  readonly changedMs: number;
  /** Of the few files whose text says whether a change matters; null for the others, and for one that cannot be read. */
  readonly text: string | null;
}

/** Gives the text of a file whose meaning depends on it. */
export type TextOf = (name: BytePath, facts: Stats) => string | null;

/** Whether a file is what it was, for all that the kernel says. */
export function isStill(
  was: SeenFile,
  { mode, size, ino, ctimeMs }: Pick<Stats, 'mode' | 'size' | 'ino' | 'ctimeMs'>,
): boolean {
  return was.changedMs === ctimeMs && was.inode === ino && was.rawMode === mode && was.size === size;
}

/** Whether two looks saw the same. */
export function isSameFile(one: SeenFile, { rawMode, size, inode, changedMs }: SeenFile): boolean {
  return isStill(one, { mode: rawMode, size, ino: inode, ctimeMs: changedMs });
}

export function seenAs(directory: BytePath, name: BytePath, facts: Stats, textOf: TextOf): SeenFile {
  const { mode: rawMode, size, ino: inode, ctimeMs: changedMs } = facts;
  const seen = { mode: rawMode & 0o7777, rawMode, size, inode, changedMs };
  if (facts.isSymbolicLink()) return { type: 'symlink', target: linkAt(`${directory}/${name}`), text: null, ...seen };
  const text = facts.isFile() && meaningfulText.test(name) ? textOf(name, facts) : null;
  return { type: 'file', target: '', text, ...seen };
}

/** Undefined as well for what cannot be reached: it is told once it can. */
export function factsAt(path: BytePath): Stats | undefined {
  try {
    return lstatSync(toFs(path), { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

/** Null for a text that is longer than any that is read, or than what may still be kept. */
export function readText(path: BytePath, size: number, leftBytes: number): string | null {
  if (size > Math.min(mostTextBytes, leftBytes)) return null;
  try {
    const file = openSync(toFs(path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const facts = fstatSync(file);
      return facts.isFile() && facts.size <= mostTextBytes ? readFileSync(file, 'utf8') : null;
    } finally {
      closeSync(file);
    }
  } catch {
    return null;
  }
}

function linkAt(path: BytePath): BytePath {
  try {
    return readlinkSync(toFs(path), { encoding: 'latin1' });
  } catch {
    return '';
  }
}
