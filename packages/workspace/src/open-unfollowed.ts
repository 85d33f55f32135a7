import * as fileSystem from 'node:fs';
import { closeSync, constants, existsSync, openSync, readFileSync } from 'node:fs';
import { type BytePath, toFs, toText } from './byte-path.ts';
import { invalid } from './failures.ts';

export const noFollow = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
export const hasDescriptors = existsSync('/proc/self/fd');

/**
 * Opens a file for reading and makes sure that it lies where its path says. Whoever may write a directory above it can put a symbolic
 * link in its place at any instant; what was opened stays what it is.
 *
 * @param path a real path
 * @throws what opening throws; OpencodeToolsError `OCT_INVALID_ARGUMENT` for a file that lies elsewhere
 */
export function openUnfollowed(path: BytePath, flags = noFollow): number {
  const file = openSync(toFs(path), flags);
  try {
    if (liesAt(file, path)) return file;
    throw movedAway(path);
  } catch (error) {
    closeSync(file);
    throw error;
  }
}

/** Reads a whole file. @throws as `openUnfollowed` */
export function readUnfollowed(path: BytePath): Buffer {
  const file = openUnfollowed(path);
  try {
    return readFileSync(file);
  } finally {
    closeSync(file);
  }
}

/** Whether an open file lies at a real path, or did when it was removed. */
export function liesAt(file: number, path: BytePath): boolean {
  return isPlaceOf(fileSystem, file, path, hasDescriptors);
}

/** As `liesAt`, for a thread: it names nothing from outside. Systems without `/proc` look at the path once more. */
export function isPlaceOf(
  { readlinkSync, realpathSync }: Pick<typeof fileSystem, 'readlinkSync' | 'realpathSync'>,
  file: number,
  path: BytePath,
  hasDescriptors: boolean,
): boolean {
  const place = hasDescriptors
    ? readlinkSync(`/proc/self/fd/${file}`, { encoding: 'latin1' })
    : realpathSync(Buffer.from(path, 'latin1'), { encoding: 'latin1' });
  return place === path || place === `${path} (deleted)`;
}

/**
 * Opens a directory as `openUnfollowed` does a file.
 *
 * @param use called with a path of the directory by which no other can be meant, where the system has one
 * @throws as `openUnfollowed`
 */
export function inUnfollowed<T>(path: BytePath, use: (opened: BytePath) => T): T {
  const directory = openUnfollowed(path, noFollow | constants.O_DIRECTORY);
  try {
    return use(hasDescriptors ? `/proc/self/fd/${directory}` : path);
  } finally {
    closeSync(directory);
  }
}

export function movedAway(path: BytePath) {
  const shown = toText(path);
  return invalid(
    `A directory above ${shown} was replaced while it was read`,
    'End what writes there, then try again.',
    {
      path: shown,
    },
  );
}
