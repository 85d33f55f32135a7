import { copyFile, mkdir, open, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { OpencodeToolsError } from '@opencode-tools/core';
import { type BytePath, toBytePath, toText } from './byte-path.ts';
import { copyFound } from './carry-changes.ts';
import type { RawChange } from './commit-changes.ts';
import { errnoOf, invalid } from './failures.ts';
import {
  type IndexChange,
  type IndexEntry,
  changeIndex,
  changesAt,
  indexChanges,
  readIndex,
  valueOf,
} from './git-index.ts';
import { type GitCall, type GitRunner, gitFailure } from './git-runner.ts';
import { lookAtWorkTree } from './look-at-work-tree.ts';
import { createPacer } from './pacer.ts';
import type { DiskNode } from './scan-directory.ts';
import type { UserSettings } from './user-settings.ts';

const longMs = 30 * 60_000;
/** Of changed files in a commit: a sandbox makes one of any size from nothing. */
const mostBytes = 4 * 1024 ** 3;

export interface WorkTree {
  /** Real path of its top. */
  readonly top: string;
  readonly gitDirectory: string;
  readonly commonDirectory: string;
  /** Directory in it whose files are looked at; empty for the top. */
  readonly prefix: BytePath;
  /** What is committed in it, with all below. */
  readonly scope: readonly BytePath[];
  /** Commit that is checked out; null before the first. */
  readonly head: string | null;
  /** Digits of a name of an object. */
  readonly idLength: number;
}

export interface CommitTree {
  readonly tree: string;
  /** The user's index, in the part that is committed, and its file. */
  readonly entries: readonly IndexEntry[];
  readonly indexFile: Buffer | null;
  /** What was taken in, and what was taken out. */
  readonly wanted: readonly BytePath[];
  readonly gone: readonly BytePath[];
  readonly conflicts: readonly { readonly path: string; readonly reason: string }[];
  readonly leftOut: readonly string[];
}

/**
 * Makes the tree that `git add --all` and `git write-tree` would, in a repository of ours. Git opens copies of the files alone: those
 * that are in the user's work tree can be exchanged for links at any instant.
 */
export async function makeTree(
  git: GitRunner,
  bare: string,
  workTree: WorkTree,
  settings: UserSettings,
  signal: AbortSignal | undefined,
): Promise<CommitTree> {
  const { top, prefix, scope, commonDirectory, idLength } = workTree;
  const ours = await prepare(bare, commonDirectory, { settings, signal });
  const { entries, indexFile, indexedNs } = await beginIndex(git, ours, bare, workTree);
  const root = toBytePath(top);
  const look = await lookAtWorkTree(root, { prefix, scope }, { entries, indexedNs }, createPacer(signal));
  let room = mostBytes;
  const copy = async (nodes: readonly DiskNode[]): Promise<void> => {
    const pacer = createPacer(signal);
    room = roomAfter(nodes, room);
    for (const node of nodes) {
      await copyFound(root, toBytePath(ours.cwd), node, signal);
      if (pacer.due()) await pacer.rest();
    }
  };
  await copy(look.rules);
  const nodes = [...look.suspects, ...(await notIgnored(git, ours, look.unknown))];
  const leftOut = look.leftOut.map(toText);
  const filtered = await filteredAmong(git, ours, nodes, settings.filters);
  const conflicts = [
    ...look.inTheWay.map((path) => ({
      path: toText(path),
      reason: 'is neither a file nor a link any more; remove it',
    })),
    ...filtered.map((path) => ({
      path: toText(path),
      reason: 'has a filter, which does not run here; commit it yourself',
    })),
  ];
  const wanted = nodes.map(({ path }) => path);
  refuseNothingAt({ prefix, scope }, [...entries.map(({ path }) => path), ...wanted]);
  const made = { entries, indexFile, wanted, gone: look.gone, conflicts, leftOut };
  if (conflicts.length > 0) return { ...made, tree: '' };
  const copied = new Set(look.rules.map(({ path }) => path));
  await copy(nodes.filter(({ path }) => !copied.has(path)));
  const out = look.gone.map((path) => ({ path, after: null }));
  await changeIndex(git, ours, out, idLength);
  const add = ['update-index', '-z', '--add', '--replace', '--stdin'];
  if (wanted.length > 0) leftOut.push(...(await addAll(git, add, ours, wanted)).map(toText));
  return { ...made, tree: (await git.run(['write-tree'], ours)).toString('utf8').trim() };
}

/** @returns what git does not take, whose name is git's own on some file system */
async function addAll(
  git: GitRunner,
  args: readonly string[],
  call: GitCall,
  wanted: readonly BytePath[],
): Promise<readonly BytePath[]> {
  const { code, stderr } = await git.try(args, { ...call, input: asInput(wanted) });
  if (code !== 0) throw gitFailure(args, call, stderr);
  if (!stderr.includes('Ignoring path ')) return [];
  const taken = new Set((await readIndex(git, call, [''])).map(({ path }) => path));
  return wanted.filter((path) => !taken.has(path));
}

/**
 * What the user's index gets.
 *
 * @param changes from the commit before to the new one
 */
export async function indexAfter(
  git: GitRunner,
  bare: string,
  { entries, wanted, gone }: CommitTree,
  changes: readonly RawChange[],
): Promise<readonly IndexChange[]> {
  const values = new Map<BytePath, string | null>(gone.map((path) => [path, null]));
  for (const { path, modes, objects } of changes)
    values.set(path, modes[1] === null ? null : `${modes[1]} ${objects[1]}`);
  // What was looked at, and is in the commit as it was before.
  if (!wanted.every((path) => values.has(path)))
    for (const entry of await readIndex(git, { cwd: bare }, ['']))
      if (!values.has(entry.path)) values.set(entry.path, valueOf(entry));
  return changesAt(entries, [...gone, ...wanted], (path) => values.get(path) ?? null);
}

interface BegunIndex {
  readonly entries: readonly IndexEntry[];
  readonly indexFile: Buffer | null;
  /** Before which a file must have changed to be told by the time of its change alone. */
  readonly indexedNs: bigint;
}

/** Begins ours with the user's, which knows the trees of what does not change; a part of it goes over what is committed. */
async function beginIndex(
  git: GitRunner,
  ours: GitCall,
  bare: string,
  { top, gitDirectory, scope, head, idLength }: WorkTree,
): Promise<BegunIndex> {
  const { bytes, mtimeNs } = await readIndexFile(gitDirectory);
  if (bytes !== null) {
    await writeFile(join(bare, 'index'), bytes);
    // An index that is split has the rest there.
    for (const name of await readdir(gitDirectory))
      if (name.startsWith('sharedindex.')) await copyFile(join(gitDirectory, name), join(bare, name));
  }
  const entries = await readIndex(git, ours, scope);
  refuseUnmerged(top, entries);
  if (!scope.includes('')) {
    await git.run(['read-tree', head ?? '--empty'], ours);
    const committed = await readIndex(git, ours, scope);
    await changeIndex(git, ours, indexChanges(committed, entries), idLength);
  }
  return { entries, indexFile: bytes, indexedNs: mtimeNs };
}

/** Both of the same file, whatever git puts in its place. */
async function readIndexFile(
  gitDirectory: string,
): Promise<{ readonly bytes: Buffer | null; readonly mtimeNs: bigint }> {
  try {
    await using file = await open(join(gitDirectory, 'index'), 'r');
    const { mtimeNs } = await file.stat({ bigint: true });
    return { bytes: await file.readFile(), mtimeNs };
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return { bytes: null, mtimeNs: 0n };
    throw error;
  }
}

/** What may still be copied when these are. A file that grows meanwhile is not copied. */
function roomAfter(nodes: readonly DiskNode[], room: number): number {
  const left = nodes.reduce((rest, { size }) => rest - size, room);
  if (left >= 0) return left;
  const path = toText(nodes.reduce((largest, node) => (node.size > largest.size ? node : largest)).path);
  throw new OpencodeToolsError(
    'OCT_RESOURCE_LIMIT',
    `What changed is more than the ${mostBytes} bytes of a commit; the largest file is ${path}`,
    {
      remedy: 'Remove or ignore what is not to be committed, or commit it with git.',
      details: { limit: 'commit', valueBytes: mostBytes, path },
    },
  );
}

/** Makes a directory for copies, and has git in a repository of ours take it for the user's work tree. */
async function prepare(
  bare: string,
  commonDirectory: string,
  { settings, signal }: { readonly settings: UserSettings; readonly signal: AbortSignal | undefined },
): Promise<GitCall> {
  const copies = join(bare, 'copies');
  await mkdir(copies, { recursive: true });
  for (const name of ['exclude', 'attributes']) {
    const text = await readFile(join(commonDirectory, 'info', name)).catch(() => Buffer.alloc(0));
    await writeFile(join(bare, 'info', name), text);
  }
  const environment = { GIT_DIR: bare, GIT_WORK_TREE: copies };
  // What is worth keeping is flushed when the user's repository gets it.
  const config = [...settings.config, 'core.fsync=none'];
  return { cwd: copies, environment, config, timeoutMs: longMs, signal };
}

/**
 * Brings an index to what was committed, but for what the user has put into it meanwhile. Repeating it changes nothing.
 *
 * @param asSeen the file of the index that the changes are from
 */
export async function takeIntoIndex(
  git: GitRunner,
  { top, gitDirectory, idLength }: Pick<WorkTree, 'top' | 'gitDirectory' | 'idLength'>,
  changes: readonly IndexChange[],
  asSeen: Buffer | null = null,
): Promise<void> {
  const call = { cwd: top };
  if (asSeen !== null && (await readIndexFile(gitDirectory)).bytes?.equals(asSeen) === true)
    return changeIndex(git, call, changes, idLength);
  const now = new Map((await readIndex(git, call, [''])).map((entry) => [entry.path, valueOf(entry)]));
  const due = changes.filter(({ path, before }) => (now.get(path) ?? null) === before);
  await changeIndex(git, call, due, idLength);
}

/** What is named has to be there, or to have been: git says so too. */
function refuseNothingAt({ prefix, scope }: Pick<WorkTree, 'prefix' | 'scope'>, known: readonly BytePath[]): void {
  const nothing = scope.filter(
    (path) => path !== prefix && !known.some((each) => each === path || each.startsWith(`${path}/`)),
  );
  if (nothing.length === 0) return;
  const paths = nothing.map((path) => toText(prefix === '' ? path : path.slice(prefix.length + 1)));
  throw invalid(
    `There is nothing to commit at ${paths.slice(0, 10).join(', ')}`,
    'Name files and directories as they are, relative to the workspace; what is ignored, and other repositories, are not committed.',
    { argument: 'paths', paths: paths.slice(0, 100) },
  );
}

function refuseUnmerged(top: string, entries: readonly { readonly path: BytePath; readonly stage: number }[]): void {
  const paths = [...new Set(entries.filter(({ stage }) => stage !== 0).map(({ path }) => toText(path)))];
  if (paths.length === 0) return;
  throw invalid(
    `The work tree at ${top} has paths that are not merged: ${paths.slice(0, 10).join(', ')}`,
    'Finish or abort the merge first.',
    { paths: paths.slice(0, 100) },
  );
}

async function notIgnored(git: GitRunner, call: GitCall, nodes: readonly DiskNode[]): Promise<readonly DiskNode[]> {
  if (nodes.length === 0) return [];
  const args = ['check-ignore', '-z', '--stdin', '--no-index'];
  // It takes no pathspecs literally; after this no name begins with what could be magic.
  const environment = { ...call.environment, GIT_LITERAL_PATHSPECS: undefined };
  const input = asInput(nodes.map(({ path }) => `./${path}`));
  const { code, stdout, stderr } = await git.try(args, { ...call, environment, input });
  if (code > 1) throw invalid(`git cannot say what is ignored: ${stderr.trim()}`, 'Look at the .gitignore files.');
  const ignored = new Set(stdout.toString('latin1').split('\0'));
  return nodes.filter(({ path }) => !ignored.has(`./${path}`));
}

async function filteredAmong(
  git: GitRunner,
  call: GitCall,
  nodes: readonly DiskNode[],
  filters: ReadonlySet<string>,
): Promise<readonly BytePath[]> {
  const files = nodes.filter(({ type }) => type === 'file').map(({ path }) => path);
  if (files.length === 0 || filters.size === 0) return [];
  const said = await git.run(['check-attr', '-z', '--stdin', 'filter'], { ...call, input: asInput(files) });
  const words = said.toString('latin1').split('\0');
  return files.filter((_, at) => filters.has(words[at * 3 + 2] ?? ''));
}

function asInput(paths: readonly BytePath[]): Buffer {
  return Buffer.from(paths.map((path) => `${path}\0`).join(''), 'latin1');
}
