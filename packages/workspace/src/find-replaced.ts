import { closeSync, fstatSync, lstatSync } from 'node:fs';
import { type BytePath, parentOf } from './byte-path.ts';
import { treeFailure } from './failures.ts';
import { openUnfollowed } from './open-unfollowed.ts';
import { type DiskNode, fullPath } from './scan-directory.ts';

/** Clocks of file systems lag; a directory that changed only just before the scan counts as changed since. */
const slackMs = 2_000;

/**
 * Finds files that were scanned and read by their paths and may not be those that lie there. In a directory that has not changed since
 * before the scan, nothing was put in the place of anything: nobody can set the time of its last change. Files below one that has are
 * opened once more.
 *
 * @param root real path of the scanned directory
 * @param startedMs when the scan began
 * @returns those of which the path names another file now
 * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` naming a file whose path leads elsewhere
 */
export function findReplaced(root: BytePath, files: readonly DiskNode[], startedMs: number): readonly DiskNode[] {
  const still = new Map<BytePath, boolean>();
  const isStill = (directory: BytePath): boolean => {
    const known = still.get(directory);
    if (known !== undefined) return known;
    const is = (directory === '' || isStill(parentOf(directory))) && isUnchanged(root, directory, startedMs);
    still.set(directory, is);
    return is;
  };
  return files.filter((node) => !isStill(parentOf(node.path)) && !isThere(root, node));
}

function isUnchanged(root: BytePath, directory: BytePath, startedMs: number): boolean {
  const facts = lstatSync(fullPath(root, directory), { throwIfNoEntry: false });
  return facts?.isDirectory() === true && facts.ctimeMs < startedMs - slackMs;
}

function isThere(root: BytePath, { path, dev, ino }: DiskNode): boolean {
  const file = openIn(root, path);
  try {
    const facts = fstatSync(file);
    return facts.dev === dev && facts.ino === ino;
  } finally {
    closeSync(file);
  }
}

function openIn(root: BytePath, path: BytePath): number {
  const full = `${root}/${path}`;
  try {
    return openUnfollowed(full);
  } catch (error) {
    throw treeFailure(full, error);
  }
}
