import { lchown, lstat, mkdir, readFile, readdir, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import {
  type ErrorCode,
  type GuardedPath,
  OpencodeToolsError,
  isOpencodeToolsError,
  isWithin,
} from '@opencode-tools/core';
import { realDirectory } from './check-directory.ts';
import { findConfiguredPaths } from './configured-paths.ts';
import { errnoOf, invalid } from './failures.ts';
import { type FoundRepository, findRepository } from './find-repository.ts';
import { type GitRunner, gitFailure } from './git-runner.ts';
import type { HostGit } from './git.ts';
import { inRepository } from './user-repository.ts';

/** Owners differ when an administrator works for a user; what is asked of git here runs nothing that is configured. */
const anyOwner = { config: ['safe.directory=*'] };

/**
 * Finds what of a shared directory programs on the host obey. See `WorkspaceStore.guardDirectory`. The whole of `.git` is
 * read-only: whoever may write an index can name a submodule, and `git status` runs what that one's configuration says.
 */
export async function guardDirectory(host: HostGit, directory: string): Promise<readonly GuardedPath[]> {
  const top = await realDirectory(directory);
  const guards = new Guards(top);
  const isRepository = await guardDotGit(guards, top);
  const opencode = join(top, '.opencode');
  if ((await typeOf(opencode)) === 'directory') await guards.add(opencode);
  for (const path of await linkedWorktrees(join(top, '.git'))) {
    if (guards.holds(path) && (await typeOf(path)) === 'file') await guards.add(path);
  }
  const found = isRepository ? await findOwn(top) : await findAbove(host, top);
  const workTree = found && (await workTreeOf(host.runner, found, isRepository));
  await guardConfigured(guards, host, workTree ?? outside(host.runner, top), isRepository);
  if (workTree) await guardSubmodules(guards, workTree.git, workTree.top);
  return guards.sorted();
}

/** @returns whether the directory is the top of a work tree */
async function guardDotGit(guards: Guards, top: string): Promise<boolean> {
  const path = join(top, '.git');
  const type = await typeOf(path);
  if (type === 'absent') {
    await makeDotGit(path);
    const { uid, gid } = await lstat(top);
    if (process.getuid?.() === 0) await lchown(path, uid, gid);
  }
  await guards.add(path);
  return type === 'file' || (type === 'directory' && (await readdir(path)).length > 0);
}

/** @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` where nothing can be made */
async function makeDotGit(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o755 });
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === undefined || errno === 'EEXIST') throw error;
    throw invalid(
      `No empty .git can be made in ${dirname(path)} (${errno}), which keeps sandboxes from making a repository there`,
      'Give a directory that can be written, or use a volume workspace.',
      { path, errno },
    );
  }
}

/** Work trees of the same repository; their `.git` is a file that says where the repository is. */
async function linkedWorktrees(repository: string): Promise<readonly string[]> {
  const names = await readdir(join(repository, 'worktrees')).catch(() => []);
  const files = await Promise.all(
    names.map((name) => readFile(join(repository, 'worktrees', name, 'gitdir'), 'utf8').catch(() => '')),
  );
  return files.map((text) => text.trim()).filter((path) => path.startsWith('/'));
}

/** Files of the configuration, the directory of its hooks, and programs that it names: the repository's, the user's and the host's. */
async function guardConfigured(
  guards: Guards,
  { environment }: HostGit,
  { git, top }: OpenWorkTree,
  isRepository: boolean,
): Promise<void> {
  const found = await findConfiguredPaths(git, { cwd: top, ...anyOwner }, environment).catch((error: unknown) => {
    if (!isRepository && isOpencodeToolsError(error, 'OCT_CAPABILITY_UNSUPPORTED')) return [];
    throw error;
  });
  for (const { path, key, use } of found) {
    const real = await realPlace(path);
    for (const place of new Set([path, real])) {
      if (!guards.holds(place)) continue;
      const type = await typeAt(place);
      // A word of a command may name a directory that the command works in.
      if (use === 'named' || type === 'file' || (use === 'program' && type === 'absent'))
        await guards.addNamed(place, key);
    }
  }
}

/** Where a path leads, also one whose end is not there. */
async function realPlace(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch {
    return path === dirname(path) ? path : join(await realPlace(dirname(path)), basename(path));
  }
}

/** As `typeOf`, but for a link that leads to a file: what is run is that file, and the link is told as what it is. */
async function typeAt(path: string): Promise<'absent' | 'file' | 'directory' | 'other'> {
  const type = await typeOf(path);
  return type === 'directory' && (await stat(path).catch(() => undefined))?.isFile() === true ? 'file' : type;
}

/** For the configuration of the user and the host alone. */
function outside(git: GitRunner, top: string): OpenWorkTree {
  return { top, git: inRepository(git, top, { GIT_DIR: '/no-repository' }) };
}

/** Submodules of the work tree, and theirs: git on the host goes into each when it is asked for the status. */
async function guardSubmodules(guards: Guards, git: GitRunner, cwd: string): Promise<void> {
  const lines = (await ask(git, ['ls-files', '--stage', '-z'], cwd)).split('\0');
  const links = lines.filter((line) => line.startsWith('160000 ')).map((line) => line.slice(line.indexOf('\t') + 1));
  for (const path of links.map((link) => join(cwd, link)).filter((link) => guards.holds(link))) {
    if ((await typeOf(path)) !== 'directory') {
      throw refused(`The submodule at ${path} has no directory`, 'Make the empty directory, or remove the submodule.');
    }
    const dotGit = join(path, '.git');
    if ((await typeOf(dotGit)) === 'absent') await guards.add(path);
    else {
      await guards.add(dotGit);
      await guardSubmodules(guards, git, path);
    }
  }
}

/** @throws OpencodeToolsError `OCT_POLICY_DENIED` for a repository that lies elsewhere in the directory, where nothing keeps it */
async function findOwn(top: string): Promise<FoundRepository | undefined> {
  return findRepository(top, { bound: [top], takesBare: false }).catch(noneFor('OCT_INVALID_ARGUMENT'));
}

/** Where the directory has no repository of its own; one that a sandbox could have written is none. */
async function findAbove(host: HostGit, top: string): Promise<FoundRepository | undefined> {
  const options = { bound: await host.bound(), takesBare: false };
  return findRepository(dirname(top), options).catch(noneFor('OCT_INVALID_ARGUMENT', 'OCT_POLICY_DENIED'));
}

function noneFor(...codes: readonly ErrorCode[]) {
  return (error: unknown): undefined => {
    if (!codes.some((code) => isOpencodeToolsError(error, code))) throw error;
  };
}

interface OpenWorkTree {
  readonly top: string;
  /** For calls at the top. */
  readonly git: GitRunner;
}

/** The work tree of a repository; undefined where it has none, and where there is no git at all. */
async function workTreeOf(
  runner: GitRunner,
  { place: cwd, gitDirectory }: FoundRepository,
  isRepository: boolean,
): Promise<OpenWorkTree | undefined> {
  const args = ['rev-parse', '--show-toplevel'];
  try {
    const call = { cwd, environment: { GIT_DIR: gitDirectory }, ...anyOwner };
    const { code, stdout, stderr } = await runner.try(args, call);
    if (stderr.includes('not a git repository') || stderr.includes('must be run in a work tree')) return undefined;
    if (code !== 0) throw gitFailure(args, call, stderr);
    const top = stdout.toString('utf8').replace(/\n$/, '');
    return { top, git: inRepository(runner, top, { GIT_DIR: gitDirectory, GIT_WORK_TREE: top }) };
  } catch (error) {
    if (!isRepository && isOpencodeToolsError(error, 'OCT_CAPABILITY_UNSUPPORTED')) return undefined;
    throw error;
  }
}

async function ask(git: GitRunner, args: readonly string[], cwd: string): Promise<string> {
  return (await git.run(args, { cwd, ...anyOwner })).toString('utf8');
}

/** Collects paths, and the directories between them and the top, whose renaming would take them away. */
class Guards {
  readonly #top: string;
  readonly #paths = new Map<string, boolean>();

  constructor(top: string) {
    this.#top = top;
  }

  holds(path: string): boolean {
    return path !== this.#top && isWithin(path, this.#top);
  }

  async add(path: string): Promise<void> {
    if ((await realpath(path)) !== path) {
      throw refused(
        `${path} is a symbolic link, or lies behind one, which a sandbox could turn elsewhere`,
        'Put the directory itself there, or use a volume workspace.',
      );
    }
    this.#paths.set(path, true);
    for (let parent = dirname(path); this.holds(parent); parent = dirname(parent)) {
      if (!this.#paths.has(parent)) this.#paths.set(parent, false);
    }
  }

  /** A path that a key of git's configuration names: anybody could make it when it is not there yet. */
  async addNamed(path: string, key: string): Promise<void> {
    if (!this.holds(path) || this.#isBelowReadOnly(path)) return;
    if ((await typeOf(path)) !== 'absent') return this.add(path);
    throw refused(
      `git's ${key} names ${path}, which does not exist`,
      `Make it, or take ${key} out of the configuration.`,
    );
  }

  sorted(): readonly GuardedPath[] {
    const kept = [...this.#paths].filter(([path]) => !this.#isBelowReadOnly(path));
    return kept.map(([path, readOnly]) => ({ path, readOnly })).sort((a, b) => (a.path < b.path ? -1 : 1));
  }

  #isBelowReadOnly(path: string): boolean {
    return [...this.#paths].some(([other, readOnly]) => readOnly && other !== path && isWithin(path, other));
  }
}

async function typeOf(path: string): Promise<'absent' | 'file' | 'directory' | 'other'> {
  try {
    const facts = await lstat(path);
    return facts.isFile() ? 'file' : facts.isDirectory() || facts.isSymbolicLink() ? 'directory' : 'other';
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return 'absent';
    throw error;
  }
}

function refused(message: string, remedy: string): OpencodeToolsError {
  return new OpencodeToolsError('OCT_POLICY_DENIED', message, { remedy });
}
