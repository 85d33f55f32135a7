import { constants } from 'node:fs';
import { access, lstat, realpath } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { dirname, isAbsolute } from 'node:path';
import {
  OpencodeToolsError,
  type ShareableDirectory,
  type HostFacts,
  type SteeringFacts,
  assertHostDirectory,
  assertMountable,
  forbiddenHostPath,
  isWithin,
  steeringHostPath,
} from '@opencode-tools/core';
import { toBytePath } from './byte-path.ts';
import { invalid, treeFailure } from './failures.ts';
import { isRepository } from './find-repository.ts';

/** Where the store is, and whose secrets are not to be seen. */
export interface HostPlaces {
  readonly store: string;
  readonly userHome: string | undefined;
  /** Directories that tasks may mount, with what is in them; null for any. */
  readonly mayMount: readonly string[] | null;
  /** Looks for what programs of the host run or obey. */
  readonly steering?: (() => Promise<SteeringFacts>) | undefined;
}

/** Checks that a directory may be shared with a sandbox. See `WorkspaceStore.checkDirectory`. */
export async function checkShareable(path: string, places: HostPlaces): Promise<ShareableDirectory> {
  const real = await checkSource(path, places);
  assertHostDirectory(real, { ...(await factsOf(places)), ...(await places.steering?.()) });
  assertMountable(real, places.mayMount && (await realPaths(places.mayMount)));
  await access(real, constants.R_OK | constants.X_OK).catch((error: unknown) => {
    throw treeFailure(toBytePath(real), error);
  });
  return { path: real, owner: await ownerOf(real) };
}

/**
 * Checks that what is in a directory may come into a sandbox.
 *
 * @returns its real path
 * @throws OpencodeToolsError `OCT_POLICY_DENIED` (see `forbiddenHostPath`); `OCT_INVALID_ARGUMENT` unless it is a directory
 */
export async function checkSource(path: string, places: Omit<HostPlaces, 'mayMount'>): Promise<string> {
  const real = await realDirectory(path);
  const forbidden = forbiddenHostPath(real, await factsOf(places));
  if (forbidden === undefined) return real;
  throw new OpencodeToolsError(
    'OCT_POLICY_DENIED',
    `A sandbox never sees ${forbidden.path}; it would through ${real}`,
    {
      remedy: 'Name the directory of one project.',
      details: { path: real, kept: forbidden.path },
    },
  );
}

/**
 * Checks that work may be applied to a directory: what git keeps in a repository decides what git runs there. See `WorkPort.target`.
 *
 * @returns its real path
 */
export async function checkTarget(path: string, places: Omit<HostPlaces, 'mayMount'>): Promise<string> {
  const real = await realDirectory(path);
  refuseOwnHome(real, places.store);
  const facts = { ...(await factsOf(places)), ...(await places.steering?.()) };
  const forbidden = forbiddenHostPath(real, facts) ?? steeringHostPath(real, facts);
  const repository = real.split('/').some((part) => part.toLowerCase() === '.git') ? real : repositoryAbove(real);
  if (forbidden === undefined && repository === undefined) return real;
  const why =
    forbidden === undefined ? `git keeps a repository in ${repository}` : `no sandbox writes ${forbidden.path}`;
  throw new OpencodeToolsError('OCT_POLICY_DENIED', `Nothing is applied to ${real}: ${why}`, {
    remedy:
      'Name the directory of one project, such as a work tree of the repository (`--to`), or bring commits out by `merge`.',
    details: { path: real, kept: forbidden?.path ?? repository ?? real },
  });
}

function repositoryAbove(directory: string): string | undefined {
  for (let place = directory; ; place = dirname(place)) {
    if (isRepository(place)) return place;
    if (place === dirname(place)) return undefined;
  }
}

async function factsOf({ store, userHome }: Omit<HostPlaces, 'mayMount'>): Promise<HostFacts> {
  return {
    userHomes: await realPaths([userHome, userInfo().homedir]),
    protectedPaths: await realPaths([dirname(store)]),
  };
}

/** @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` unless the path leads to a directory */
export async function realDirectory(path: string): Promise<string> {
  if (!isAbsolute(path) || path.includes('\0')) {
    throw invalid(`Not an absolute path: ${path}`, 'Give the absolute path of a directory.', { path });
  }
  try {
    const real = await realpath(path);
    if ((await lstat(real)).isDirectory()) return real;
  } catch (error) {
    throw treeFailure(toBytePath(path), error);
  }
  throw invalid(`Not a directory: ${path}`, 'Name a directory.', { path });
}

/** Refuses the root, and directories that hold the store's home or lie in it. */
export function refuseOwnHome(path: string, store: string): void {
  const home = dirname(store);
  if (path !== '/' && !isWithin(path, home) && !isWithin(home, path)) return;
  throw invalid(
    `Not a workspace: ${path}`,
    'Name the directory of one project, not one that holds the home of opencode-tools.',
    { path },
  );
}

/** Commands run as the directory's owner, and never as root. Where files have no numeric owner, as the images' user. */
async function ownerOf(path: string): Promise<ShareableDirectory['owner']> {
  if (process.getuid === undefined) return { uid: 1000, gid: 1000 };
  const { uid, gid } = await lstat(path);
  if (uid > 0 && gid > 0) return { uid, gid };
  throw new OpencodeToolsError(
    'OCT_POLICY_DENIED',
    uid === 0
      ? `${path} belongs to root (${uid}:${gid}), as whom no command runs`
      : `${path} has the group of root (${uid}:${gid}), as which no command runs`,
    {
      remedy: `Give it to a ${uid === 0 ? 'user (chown -R user:group' : 'group of its user (chgrp -R group'} ${path}), or use a volume workspace.`,
      details: { path, uid, gid },
    },
  );
}

async function realPaths(paths: readonly (string | undefined)[]): Promise<readonly string[]> {
  const named = paths.filter((path): path is string => path !== undefined && path !== '');
  return Promise.all(named.map((path) => realpath(path).catch(() => path)));
}
