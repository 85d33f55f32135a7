import { constants } from 'node:fs';
import { access, lstat, realpath } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { dirname, isAbsolute, relative, sep } from 'node:path';
import { toBytePath } from './byte-path.ts';
import { invalid, treeFailure } from './failures.ts';

/** Directories of the system: neither they nor anything in them is a project. */
const systemDirectories = ['/bin', '/boot', '/dev', '/etc', '/lib', '/lib32', '/lib64', '/proc', '/sbin', '/sys'];
/** Directories that hold projects of many, and are none themselves. */
const sharedDirectories =
  '/ /home /media /mnt /opt /root /run /srv /tmp /Users /usr /usr/bin /usr/lib /usr/local /usr/sbin /usr/share /var /var/lib /var/lib/docker /var/run /var/tmp'.split(
    ' ',
  );

/**
 * Checks that a directory may be shared with a sandbox. See `WorkspaceStore.checkDirectory`.
 *
 * @returns its real path
 */
export async function checkShareable(
  path: string,
  homes: { readonly store: string; readonly userHome: string | undefined },
): Promise<string> {
  const real = await realDirectory(path);
  const userHomes = await Promise.all([homes.userHome, userInfo().homedir].map(realOrSelf));
  const forbidden =
    sharedDirectories.includes(real) ||
    (systemDirectories.some((directory) => contains(directory, real)) && !real.startsWith('/dev/shm/')) ||
    userHomes.some((home) => home !== undefined && contains(real, home)) ||
    /^\/(?:home|Users)\/[^/]+$/.test(real);
  if (forbidden) {
    throw invalid(`May not be shared with a sandbox: ${real}`, 'Name the directory of one project.', { path: real });
  }
  refuseOwnHome(real, homes.store);
  await access(real, constants.R_OK | constants.X_OK).catch((error: unknown) => {
    throw treeFailure(toBytePath(real), error);
  });
  return real;
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
  if (path !== sep && !contains(path, home) && !contains(home, path)) return;
  throw invalid(
    `Not a workspace: ${path}`,
    'Name the directory of one project, not one that holds the home of opencode-tools.',
    { path },
  );
}

function contains(directory: string, path: string): boolean {
  const way = relative(directory, path);
  return way === '' || (way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way));
}

async function realOrSelf(path: string | undefined): Promise<string | undefined> {
  return path === undefined || path === '' ? undefined : realpath(path).catch(() => path);
}
