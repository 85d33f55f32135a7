import { OpencodeToolsError } from '@opencode-tools/core';
import { type BytePath, toText } from './byte-path.ts';
import type { GitCall, GitRunner } from './git-runner.ts';
import type { DiskNode } from './scan-directory.ts';

export const gitlink = '160000';
const intentToAdd = 0x2000_0000;
const notLookedAt = 0x4000_0000 | 0x8000;
const line =
  /(\d+) ([0-9a-f]+) (\d)\t([^\0]+)\0(?: {2}ctime: (\d+):(\d+)\n {2}mtime: (\d+):(\d+)\n {2}dev: \d+\tino: (\d+)\n {2}uid: \d+\tgid: \d+\n {2}size: (\d+)\tflags: ([0-9a-f]+)\n)?/gy;

/** One path of an index. */
export interface IndexEntry {
  readonly path: BytePath;
  readonly mode: string;
  readonly object: string;
  /** Other than 0 in the middle of a merge. */
  readonly stage: number;
  readonly mtimeNs: bigint;
  readonly ctimeMs: number;
  readonly ino: number;
  readonly size: number;
  /** Named to git by `add --intent-to-add`, without content yet. */
  readonly intended: boolean;
  /** The user told git that it is not there, or that it does not change. */
  readonly skipped: boolean;
}

/** What changes at one path of an index; null for nothing. */
export interface IndexChange {
  readonly path: BytePath;
  readonly before: string | null;
  /** Mode and object. */
  readonly after: string | null;
}

/**
 * Reads an index. Nothing of the work tree is looked at.
 *
 * @param scope paths that are asked for, with all below them; the empty one is all
 */
export async function readIndex(
  git: GitRunner,
  call: GitCall,
  scope: readonly BytePath[],
): Promise<readonly IndexEntry[]> {
  const paths = scope.includes('') ? [] : ['--', ...scope.map(toText)];
  const out = await git.run(['ls-files', '--stage', '--debug', '-z', ...paths], { timeoutMs: 300_000, ...call });
  const all = [...out.toString('latin1').matchAll(line)];
  if (all.reduce((length, [text]) => length + text.length, 0) !== out.length)
    throw new OpencodeToolsError('OCT_CAPABILITY_UNSUPPORTED', 'This git tells an index in a form that is not known', {
      remedy: 'Commit with git, and report its version.',
      details: { directory: call.cwd },
    });
  return all.map((found) => {
    const [, mode = '', object = '', stage, path = '', ctime, ctimeNs, mtime, mtimeNs, ino, size, hex] = found;
    const flags = Number.parseInt(hex ?? '0', 16);
    return {
      path,
      mode,
      object,
      stage: Number(stage),
      mtimeNs: BigInt(mtime ?? 0) * 1_000_000_000n + BigInt(mtimeNs ?? 0),
      ctimeMs: Number(ctime ?? 0) * 1_000 + Number(ctimeNs ?? 0) / 1_000_000,
      ino: Number(ino ?? 0),
      size: Number(size ?? 0),
      intended: (flags & intentToAdd) !== 0,
      skipped: (flags & notLookedAt) !== 0,
    };
  });
}

/** Whether a file is as it was when git last looked at it, by what only the kernel sets. */
export function isAsIndexed(entry: IndexEntry, node: DiskNode, indexedNs: bigint): boolean {
  return (
    entry.mtimeNs === node.mtimeNs &&
    entry.mtimeNs < indexedNs &&
    entry.ctimeMs === node.ctimeMs &&
    entry.ino === node.ino % 2 ** 32 &&
    entry.size === (node.type === 'symlink' ? node.target.length : node.size) % 2 ** 32
  );
}

export function valueOf({ mode, object }: IndexEntry): string {
  return `${mode} ${object}`;
}

/** What has to change in one index so that it has what another has. */
export function indexChanges(from: readonly IndexEntry[], to: readonly IndexEntry[]): readonly IndexChange[] {
  const after = new Map(to.map((entry) => [entry.path, valueOf(entry)]));
  const known = new Set(from.map(({ path }) => path));
  const added = to.flatMap(({ path }) => (known.has(path) ? [] : [path]));
  return changesAt(from, [...from.map(({ path }) => path), ...added], (path) => after.get(path) ?? null);
}

/** What changes in an index when some paths get other values. */
export function changesAt(
  from: readonly IndexEntry[],
  paths: readonly BytePath[],
  valueAt: (path: BytePath) => string | null,
): readonly IndexChange[] {
  const wanted = new Set(paths);
  const before = new Map(from.flatMap((entry) => (wanted.has(entry.path) ? [[entry.path, entry] as const] : [])));
  return [...wanted].sort().flatMap((path) => {
    const old = before.get(path);
    const change = { path, before: old ? valueOf(old) : null, after: valueAt(path) };
    return change.before === change.after && old?.intended !== true ? [] : [change];
  });
}

/** Puts entries into an index; what is taken out goes first, since a file can stand where a directory was. */
export async function changeIndex(
  git: GitRunner,
  call: GitCall,
  changes: readonly Pick<IndexChange, 'path' | 'after'>[],
  idLength: number,
): Promise<void> {
  if (changes.length === 0) return;
  const none = '0'.repeat(idLength);
  const gone = changes.flatMap(({ path, after }) => (after === null ? [`0 ${none}\t${path}\0`] : []));
  const set = changes.flatMap(({ path, after }) => (after === null ? [] : [`${after}\t${path}\0`]));
  const input = Buffer.from([...gone, ...set].join(''), 'latin1');
  await git.run(['update-index', '-z', '--index-info'], { timeoutMs: 300_000, ...call, input });
}
