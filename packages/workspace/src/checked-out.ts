import { existsSync, lstatSync, readFileSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { refuseBranchUnderWay } from './branch-under-way.ts';
import { type BytePath, parentOf, toBytePath, toText } from './byte-path.ts';
import { type RawChange, rawChanges } from './commit-changes.ts';
import { invalid } from './failures.ts';
import { settingsOf } from './git-inspect.ts';
import type { GitRunner } from './git-runner.ts';
import type { HostGit } from './git.ts';
import { findNode } from './scan-directory.ts';
import type { UserRepository } from './user-repository.ts';
import { readUserSettings } from './user-settings.ts';

const longMs = 30 * 60_000;
/** Files that were written again as they were, or only have other times or modes that git does not keep, are no changes. */
const refresh = ['update-index', '-q', '--refresh'];
const underWay = ['MERGE_HEAD', 'CHERRY_PICK_HEAD', 'REVERT_HEAD', 'BISECT_LOG', 'rebase-merge', 'rebase-apply'];

interface Conflict {
  readonly path: string;
  readonly reason: string;
}

/** The work tree that has a branch checked out. @throws OpencodeToolsError when that is not there, or in the middle of something */
export async function workTreeOf(
  { find }: Pick<HostGit, 'find'>,
  repository: UserRepository,
  ref: string,
): Promise<UserRepository | null> {
  const { runner, place: top, commonDirectory } = repository;
  await refuseBranchUnderWay(commonDirectory, ref);
  const out = await runner.run(['worktree', 'list', '--porcelain', '-z'], { cwd: top });
  const trees = out.toString('utf8').split('\0\0');
  const lines = trees.map((text) => text.split('\0')).find((said) => said.includes(`branch ${ref}`));
  const path = lines?.find((line) => line.startsWith('worktree '))?.slice('worktree '.length);
  if (path === undefined) return null;
  if (path === commonDirectory) return withFilesElsewhere(repository, ref);
  if (!existsSync(path))
    throw invalid(`${ref} is checked out at ${path}, which is not there`, 'Run `git worktree prune`, then try again.');
  const tree = await find(path);
  if (tree.commonDirectory !== commonDirectory)
    throw invalid(
      `${ref} is checked out at ${path}, where the .git is of another repository`,
      'Run `git worktree repair`, then try again.',
      { directory: path },
    );
  assertNothingUnderWay(tree.gitDirectory, tree.place);
  return tree;
}

/** Git lists the work tree of a repository whose `.git` is a file by the place of the repository. */
function withFilesElsewhere(repository: UserRepository, ref: string): UserRepository {
  const { gitDirectory, commonDirectory, place, bare } = repository;
  if (bare || gitDirectory !== commonDirectory)
    throw invalid(
      `${ref} is checked out where only the repository at ${commonDirectory} knows`,
      'Take another branch, or the work tree itself as source of the task.',
      { ref },
    );
  assertNothingUnderWay(gitDirectory, place);
  return repository;
}

/** As `headOf`, without git where what is there is plain. */
export async function plainHeadOf(git: GitRunner, workTree: string, gitDirectory: string): Promise<string | null> {
  const path = join(gitDirectory, 'HEAD');
  const text = lstatSync(path, { throwIfNoEntry: false })?.isFile() === true ? readFileSync(path, 'latin1') : '';
  if (/^[0-9a-f]{40,64}\n$/.test(text)) return null;
  const [, ref] = /^ref: (refs\/heads\/[\w@+/-]+)\n$/.exec(text) ?? [];
  return ref ?? headOf(git, workTree);
}

/** The ref that a work tree has checked out; null for a detached commit. */
export async function headOf(git: GitRunner, workTree: string): Promise<string | null> {
  const { code, stdout } = await git.try(['symbolic-ref', '--quiet', 'HEAD'], { cwd: workTree });
  return code === 0 ? stdout.toString('utf8').trim() : null;
}

/** @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` for a work tree in the middle of a merge, rebase or the like */
export function assertNothingUnderWay(gitDirectory: string, workTree: string): void {
  for (const name of underWay) {
    if (existsSync(join(gitDirectory, name)))
      throw invalid(
        `The work tree at ${workTree} is in the middle of something (${name})`,
        'Finish or abort it first.',
      );
  }
}

/**
 * What keeps a work tree from going along: changes of the user to the same paths, or files that git does not know.
 *
 * @param bare repository of ours that has the objects
 */
export async function obstacles(
  host: HostGit,
  { runner: git, place: workTree, gitDirectory }: UserRepository,
  bare: string,
  from: string,
  to: string,
): Promise<readonly Conflict[]> {
  const root = toBytePath(workTree);
  const changes = await rawChanges(git, bare, from, to);
  const inTheWay: Conflict[] = [];
  for (const path of await unknownFiles(git, root, changes))
    inTheWay.push({ path: toText(path), reason: 'is there, and not in git' });
  if (existsSync(join(gitDirectory, 'index.lock')))
    inTheWay.push({ path: workTree, reason: 'git is at work there: its index.lock exists' });
  if (inTheWay.length > 0) return inTheWay;
  // An index of its own, so that looking changes nothing.
  const index = join(bare, 'looked-at-index');
  if (existsSync(join(gitDirectory, 'index'))) await copyFile(join(gitDirectory, 'index'), index);
  const alternates = JSON.stringify(`${bare}/objects`);
  const environment = { GIT_ALTERNATE_OBJECT_DIRECTORIES: alternates, GIT_INDEX_FILE: index };
  const call = { ...(await callIn(host, git, workTree)), environment };
  await git.try(refresh, call);
  const tried = await git.try(['read-tree', '-n', '-m', '-u', from, to], call);
  if (tried.code === 0) return [];
  const words = tried.stderr.replaceAll(/^(error|fatal): /gm, '').trim();
  return [{ path: workTree, reason: `git would not change the work tree: ${words}` }];
}

/** Brings index and files of a clean enough work tree from one commit to another; done already, it changes nothing. */
export async function moveWorkTree(
  host: HostGit,
  { runner: git, place: workTree }: UserRepository,
  from: string,
  to: string,
): Promise<void> {
  const call = await callIn(host, git, workTree);
  await git.try(refresh, call);
  await git.run(['read-tree', '-m', '-u', from, to], call);
}

/** Line ends and modes are as the user's settings want them everywhere; what they would run is not run. */
async function callIn(host: HostGit, git: GitRunner, cwd: string) {
  const [filters, user] = await Promise.all([
    settingsOf(git, cwd).filters,
    host.bound().then((directories) => readUserSettings(git, cwd, directories, host.environment)),
  ]);
  return { cwd, config: [...filters, ...user.config], timeoutMs: longMs };
}

/** Ignored files count too: git itself would write over them. */
async function unknownFiles(
  git: GitRunner,
  root: BytePath,
  changes: readonly RawChange[],
): Promise<readonly BytePath[]> {
  const found = new Set<BytePath>();
  const gone = new Set(changes.filter(({ modes: [, after] }) => after === null).map(({ path }) => path));
  for (const { path, modes } of changes) {
    if (modes[0] !== null) continue;
    for (let at = parentOf(path); at !== ''; at = parentOf(at)) {
      const node = findNode(root, at);
      if (node !== undefined && node.type !== 'directory' && !gone.has(at)) found.add(at);
    }
    const node = findNode(root, path);
    if (node === undefined) continue;
    if (node.type !== 'directory') found.add(path);
    else for (const other of await othersBelow(git, root, path)) found.add(other);
  }
  return [...found].sort();
}

async function othersBelow(git: GitRunner, root: BytePath, path: BytePath): Promise<readonly BytePath[]> {
  const out = await git.run(['ls-files', '-z', '--others', '--', toText(path)], { cwd: toText(root) });
  return out
    .toString('latin1')
    .split('\0')
    .filter((name) => name !== '');
}
