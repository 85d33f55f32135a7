import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import type { BlobReader } from './blob-reader.ts';
import { type BytePath, parentOf, toFs, toText } from './byte-path.ts';
import { conflictReason } from './conflict-reason.ts';
import { type FileShape, findShape, hasShape, shapeOf } from './file-shape.ts';
import { type Versions, mostMergedBytes } from './merge-lines.ts';
import { readUnfollowed } from './open-unfollowed.ts';
import { type WorkChange, isSame, kindOf } from './review-work.ts';
import { findNode } from './scan-directory.ts';
import type { TreeEntry } from './tree-entry.ts';
import type { Content, PathChange } from './work-steps.ts';

/** What is to be done about one path. */
export type Decision =
  | { readonly kind: 'change'; readonly change: PathChange; readonly merged?: Buffer }
  | { readonly kind: 'present' }
  /** The user changed what came before, and there is nothing new. */
  | { readonly kind: 'kept' }
  | { readonly kind: 'conflict'; readonly reason: string };

export interface Deciding {
  readonly root: BytePath;
  readonly changes: readonly WorkChange[];
  readonly blobs: BlobReader;
  /** Undefined where nothing is merged. */
  readonly merge: ((versions: Versions) => Promise<Buffer | undefined>) | undefined;
}

const none: ReadonlySet<BytePath> = new Set();

/** Decides about every path; changes nothing. */
export async function decideAll(deciding: Deciding): Promise<readonly Decision[]> {
  const becoming = new Set(deciding.changes.filter(({ after }) => after?.type === 'directory').map(({ path }) => path));
  const going = new Set(deciding.changes.filter(({ after }) => after === undefined).map(({ path }) => path));
  const decisions: Decision[] = [];
  for (const change of deciding.changes) decisions.push(await decide(deciding, change, becoming, going));
  return decisions;
}

/**
 * @param becoming what is to be a directory afterwards
 * @param going what is to be nothing afterwards
 */
async function decide(
  { root, blobs, merge }: Deciding,
  { path, before, after, last = { entry: before } }: WorkChange,
  becoming: ReadonlySet<BytePath>,
  going: ReadonlySet<BytePath>,
): Promise<Decision> {
  const conflict = (reason: string): Decision => ({ kind: 'conflict', reason });
  if (/(^|\/)\.git(\/|$)/i.test(path)) return conflict('nothing is written into a .git');
  const above = obstacleAbove(root, path, becoming);
  if (above !== undefined)
    return after === undefined ? { kind: 'present' } : conflict(`${toText(above)} is no directory here`);
  // What could be seen there now would be seen through a link that goes.
  if (after !== undefined && obstacleAbove(root, path, none) !== undefined)
    return { kind: 'change', change: { path, from: undefined, to: contentOf(after) } };
  if (stands(root, path, after)) return { kind: 'present' };
  const found = [last, { entry: before }].find(({ entry }) => stands(root, path, entry));
  if (found) {
    const from = found.entry;
    const own = after !== undefined && from?.type === 'directory' ? ownFile(root, path, going) : undefined;
    if (own !== undefined) return conflict(`${toText(own)} is there, and the task did not know it`);
    return { kind: 'change', change: { path, from: contentOf(from), to: contentOf(after) } };
  }
  // What stood there last is what the user went on from.
  const base = last.entry;
  if (isSame(base, after)) return { kind: 'kept' };
  const merged = base && after && merge && (await mergedOf({ root, blobs, merge }, path, base, after));
  return merged ?? conflict(conflictReason({ root, blobs }, { path, before: base, after }));
}

async function mergedOf(
  { root, blobs, merge }: Pick<Deciding, 'root' | 'blobs'> & { readonly merge: NonNullable<Deciding['merge']> },
  path: BytePath,
  before: TreeEntry,
  after: TreeEntry,
): Promise<Decision | undefined> {
  const here = findShape(root, path);
  const sizes = [before.size, after.size, here?.size ?? 0];
  const files = kindOf(before) === 'file' && kindOf(after) === 'file' && here?.type === 'file';
  if (!files || Math.max(...sizes) > mostMergedBytes) return undefined;
  const ours = readUnfollowed(`${root}/${path}`);
  const content = await merge({ ours, base: blobs.read(before), theirs: blobs.read(after) });
  if (content === undefined || !hasShape(root, path, here)) return undefined;
  const executable = shapeOf(after).executable === shapeOf(before).executable ? here.executable : !here.executable;
  const digest = createHash('sha256').update(content).digest('hex');
  const to: FileShape = { ...here, size: content.length, digest, executable };
  if (to.digest === here.digest && to.executable === here.executable) return { kind: 'present' };
  return { kind: 'change', change: { path, from: here, to }, merged: content };
}

/** A parent that is there and is not a directory. */
function obstacleAbove(root: BytePath, path: BytePath, becoming: ReadonlySet<BytePath>): BytePath | undefined {
  for (let at = parentOf(path); at !== ''; at = parentOf(at)) {
    const node = findNode(root, at);
    if (node !== undefined && node.type !== 'directory' && !becoming.has(at)) return at;
  }
  return undefined;
}

function stands(root: BytePath, path: BytePath, entry: TreeEntry | undefined): boolean {
  if (entry !== undefined && entry.type !== 'directory') return hasShape(root, path, shapeOf(entry));
  const node = findNode(root, path);
  return entry === undefined ? node === undefined : node?.type === 'directory';
}

function contentOf(entry: TreeEntry | undefined): Content {
  return entry === undefined ? undefined : entry.type === 'directory' ? 'directory' : shapeOf(entry);
}

/** What is in a directory that is to give way, and does not go with it. */
function ownFile(root: BytePath, directory: BytePath, going: ReadonlySet<BytePath>): BytePath | undefined {
  for (const name of readdirSync(toFs(`${root}/${directory}`), { encoding: 'latin1' })) {
    const path = `${directory}/${name}`;
    if (!going.has(path)) return path;
    const own = findNode(root, path)?.type === 'directory' ? ownFile(root, path, going) : undefined;
    if (own !== undefined) return own;
  }
  return undefined;
}
