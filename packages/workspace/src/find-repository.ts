import { constants, lstatSync } from 'node:fs';
import { lstat, readFile, realpath } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { OpencodeToolsError, isWithin } from '@opencode-tools/core';
import { toBytePath } from './byte-path.ts';
import { errnoOf, invalid, treeFailure } from './failures.ts';

const unblocked = constants.O_RDONLY | constants.O_NONBLOCK;

/** Where a repository of the user is, as it was found without git. */
export interface FoundRepository {
  /** The directory that has its `.git`, or the bare repository itself. */
  readonly place: string;
  /** Real path of what belongs to that work tree alone. */
  readonly gitDirectory: string;
  /** Real path of what its work trees share. */
  readonly commonDirectory: string;
  readonly bare: boolean;
}

export interface FindOptions {
  /** Directories that sandboxes can write, in which only the `.git` at the top is kept from them. */
  readonly bound: readonly string[];
  /** False passes over directories that are repositories themselves, which whoever may write a directory can make of it. */
  readonly takesBare: boolean;
}

/**
 * Finds the repository that a directory is in by the nearest `.git`, without asking git, which obeys the one that it finds.
 *
 * @param directory real path
 * @throws OpencodeToolsError `OCT_POLICY_DENIED` for a repository that a sandbox could have written; `OCT_INVALID_ARGUMENT` for none
 */
export async function findRepository(directory: string, { bound, takesBare }: FindOptions): Promise<FoundRepository> {
  for (let place = directory; ; place = dirname(place)) {
    const dotGit = join(place, '.git');
    const gitDirectory = await leadsTo(dotGit);
    if (gitDirectory !== undefined) {
      refuse(gitDirectory, bound);
      const common = await linkedIn(gitDirectory, 'commondir');
      if (common !== undefined) refuse(common, bound);
      if (!(await knows(gitDirectory, dotGit, common !== undefined))) refuse(dotGit, bound);
      return { place, gitDirectory, commonDirectory: common ?? gitDirectory, bare: false };
    }
    if (takesBare && isRepository(place)) {
      refuse(place, bound);
      return { place, gitDirectory: place, commonDirectory: place, bare: true };
    }
    if (place === dirname(place))
      throw invalid(`Not in a git repository: ${directory}`, 'Name a directory inside a git repository.', {
        directory,
      });
  }
}

/** Whether a repository knows of the work tree that says to be its: a linked one, or that of a submodule. */
async function knows(gitDirectory: string, dotGit: string, isLinked: boolean): Promise<boolean> {
  if (isLinked) return (await linkedIn(gitDirectory, 'gitdir')) === dotGit;
  const text = await readFile(join(gitDirectory, 'config'), { encoding: 'utf8', flag: unblocked }).catch(() => '');
  const said = [...text.matchAll(/^\s*worktree\s*=\s*(.+?)\s*$/gim)].at(-1)?.[1];
  // In quotes are names that are odd.
  if (said === undefined || /["\\#;]/.test(said)) return false;
  return (await realpath(resolve(gitDirectory, said)).catch(() => undefined)) === dirname(dotGit);
}

/** The real path of what the work trees of a repository share, of what belongs to one of them. */
export async function commonOf(gitDirectory: string): Promise<string> {
  return (await linkedIn(gitDirectory, 'commondir')) ?? gitDirectory;
}

/** At least of whatever git would take for one. */
export function isRepository(directory: string): boolean {
  const has = (name: string): boolean => lstatSync(join(directory, name), { throwIfNoEntry: false }) !== undefined;
  return has('HEAD') && (has('commondir') || (has('objects') && has('refs')));
}

/** @returns the real path of a repository; undefined for what git passes over, as an empty directory */
async function leadsTo(dotGit: string): Promise<string | undefined> {
  try {
    const real = await realpath(dotGit);
    if ((await lstat(real)).isDirectory()) return isRepository(real) ? real : undefined;
    const said = await linkedIn(dirname(dotGit), '.git');
    if (said !== undefined) return said;
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '')) return undefined;
    throw treeFailure(toBytePath(dotGit), error);
  }
  throw invalid(`${dotGit} does not lead to a repository`, 'Repair it with `git worktree repair`, or remove it.');
}

/** The real path that a file says. */
async function linkedIn(directory: string, name: string): Promise<string | undefined> {
  try {
    const path = join(directory, name);
    if (!(await lstat(path)).isFile()) return undefined;
    const text = (await readFile(path, { encoding: 'utf8', flag: unblocked }))
      .replace(/^gitdir: /, '')
      .replace(/\n+$/, '');
    return text === '' ? undefined : await realpath(resolve(directory, text));
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '')) return undefined;
    throw error;
  }
}

function refuse(path: string, bound: readonly string[]): void {
  const writer = bound.find((directory) => isWithin(path, directory) && !isWithin(path, join(directory, '.git')));
  if (writer === undefined) return;
  throw new OpencodeToolsError('OCT_POLICY_DENIED', `A sandbox that has ${writer} could have written ${path}`, {
    remedy:
      'Look at it, then take it yourself with git, or a clone of it elsewhere; or let tasks have the directory whose repository it is.',
    details: { path, directory: writer },
  });
}
