import { lstatSync } from 'node:fs';
import { OpencodeToolsError } from '@opencode-tools/core';
import { gitPath } from './bare-repository.ts';
import type { BytePath } from './byte-path.ts';
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

/** Reads an index, in the part that a path below its top says. Nothing of the work tree is looked at. */
export async function readIndex(git: GitRunner, call: GitCall, prefix: BytePath): Promise<readonly IndexEntry[]> {
  const scope = prefix === '' ? [] : ['--', Buffer.from(prefix, 'latin1').toString('utf8')];
  const out = await git.run(['ls-files', '--stage', '--debug', '-z', ...scope], { timeoutMs: 300_000, ...call });
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

/** The time before which a file must have changed to be told by the time of its change alone. */
export async function timeOfIndex(git: GitRunner, top: string): Promise<bigint> {
  return lstatSync(await gitPath(git, top, 'index'), { bigint: true, throwIfNoEntry: false })?.mtimeNs ?? 0n;
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
  const before = new Map(from.map((entry) => [entry.path, entry]));
  const after = new Map(to.map((entry) => [entry.path, entry]));
  const paths = [...new Set([...before.keys(), ...after.keys()])].sort();
  return paths.flatMap((path) => {
    const [old, next] = [before.get(path), after.get(path)];
    const change = { path, before: old ? valueOf(old) : null, after: next ? valueOf(next) : null };
    return change.before === change.after && old?.intended !== true ? [] : [change];
  });
}

/** Puts entries into an index; what is taken out goes first, since a file can stand where a directory was. */
export async function changeIndex(
  git: GitRunner,
  call: GitCall,
  changes: readonly Pick<IndexChange, 'path' | 'after'>[],
): Promise<void> {
  if (changes.length === 0) return;
  const paths = changes.flatMap(({ path, after }) => (after === null ? [path] : []));
  const none = paths.length === 0 ? '' : await noObject(git, call);
  const gone = paths.map((path) => `0 ${none}\t${path}\0`);
  const set = changes.flatMap(({ path, after }) => (after === null ? [] : [`${after}\t${path}\0`]));
  const input = Buffer.from([...gone, ...set].join(''), 'latin1');
  await git.run(['update-index', '-z', '--index-info'], { timeoutMs: 300_000, ...call, input });
}

/** The name of no object, as long as a repository has them. */
async function noObject(git: GitRunner, call: GitCall): Promise<string> {
  const format = (await git.run(['rev-parse', '--show-object-format'], call)).toString('utf8').trim();
  return '0'.repeat(format === 'sha256' ? 64 : 40);
}
