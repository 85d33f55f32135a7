import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { OpencodeToolsError } from '@opencode-tools/core';
import { gitPath } from './bare-repository.ts';
import { type BytePath, toBytePath, toText } from './byte-path.ts';
import { copyFound } from './carry-changes.ts';
import { invalid } from './failures.ts';
import { type IndexChange, changeIndex, indexChanges, readIndex, timeOfIndex, valueOf } from './git-index.ts';
import type { GitCall, GitRunner } from './git-runner.ts';
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
  /** Directory in it that is committed; empty for all. */
  readonly prefix: BytePath;
  /** Commit that is checked out; null before the first. */
  readonly head: string | null;
}

export interface CommitTree {
  readonly tree: string;
  /** What the user's index gets. */
  readonly index: readonly IndexChange[];
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
  { top, prefix, head }: WorkTree,
  settings: UserSettings,
  signal: AbortSignal | undefined,
): Promise<CommitTree> {
  const ours = await prepare(git, bare, top, { settings, signal });
  // Asked for first: what changes after it is looked at again.
  const indexedNs = await timeOfIndex(git, top);
  const entries = await readIndex(git, { cwd: top, signal }, prefix);
  refuseUnmerged(top, entries);
  // From a commit git knows the trees of what does not change.
  if (head !== null) await git.run(['read-tree', head], ours);
  const committed = head === null ? [] : await readIndex(git, ours, prefix);
  await changeIndex(git, ours, indexChanges(committed, entries));
  const root = toBytePath(top);
  const look = await lookAtWorkTree(root, prefix, { entries, indexedNs }, createPacer(signal));
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
  const wanted = [...look.suspects, ...(await notIgnored(git, ours, look.unknown))];
  const leftOut = look.leftOut.map(toText);
  const filtered = await filteredAmong(git, ours, wanted, settings.filters);
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
  if (conflicts.length > 0) return { tree: '', index: [], conflicts, leftOut };
  const copied = new Set(look.rules.map(({ path }) => path));
  await copy(wanted.filter(({ path }) => !copied.has(path)));
  const gone = look.gone.map((path) => ({ path, after: null }));
  await changeIndex(git, ours, gone);
  const add = ['update-index', '-z', '--add', '--replace', '--stdin'];
  await git.run(add, { ...ours, input: asInput(wanted.map(({ path }) => path)) });
  const tree = (await git.run(['write-tree'], ours)).toString('utf8').trim();
  return { tree, index: indexChanges(entries, await readIndex(git, ours, prefix)), conflicts: [], leftOut };
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
  git: GitRunner,
  bare: string,
  top: string,
  { settings, signal }: { readonly settings: UserSettings; readonly signal: AbortSignal | undefined },
): Promise<GitCall> {
  const copies = join(bare, 'copies');
  for (const directory of [copies, join(bare, 'info')]) await mkdir(directory, { recursive: true });
  for (const name of ['exclude', 'attributes']) {
    const text = await readFile(await gitPath(git, top, `info/${name}`)).catch(() => Buffer.alloc(0));
    await writeFile(join(bare, 'info', name), text);
  }
  const environment = { GIT_DIR: bare, GIT_WORK_TREE: copies };
  // What is worth keeping is flushed when the user's repository gets it.
  const config = [...settings.config, 'core.fsync=none'];
  return { cwd: copies, environment, config, timeoutMs: longMs, signal };
}

/** Brings an index to what was committed, but for what the user has put into it meanwhile. Repeating it changes nothing. */
export async function takeIntoIndex(git: GitRunner, top: string, changes: readonly IndexChange[]): Promise<void> {
  const now = new Map((await readIndex(git, { cwd: top }, '')).map((entry) => [entry.path, valueOf(entry)]));
  const due = changes.filter(({ path, before }) => (now.get(path) ?? null) === before);
  await changeIndex(git, { cwd: top }, due);
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
