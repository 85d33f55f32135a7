import { hash } from 'node:crypto';
import { rename, rm, writeFile } from 'node:fs/promises';
import type { BytePath } from './byte-path.ts';
import { type KnownLines, isKnown } from './known-lines.ts';
import { encodeLine, escapeName, lineEnd } from './manifest-line.ts';
import type { DiskNode } from './scan-directory.ts';
import { headLength, keyLength, looks, magics, statCachePath, sumLength, userAndMode } from './stat-cache.ts';
import { type StoreLayout, temporaryPath } from './store-files.ts';
import type { TreeEntry } from './tree-entry.ts';

/** What changed less than this before the scan may change again without a new time stamp, so it is not trusted. */
const settleMs = 100;

/** A name that was looked at anew. */
interface LearnedName {
  readonly type: 'learned';
  readonly node: DiskNode;
  /** What it is by itself: a file, also where the tree has a hard link. */
  readonly entry: TreeEntry;
  /** Whether the manifest has it just so. */
  readonly isLine: boolean;
}

/** What a scan learned, by lines of the manifest; one is passed over when nothing is to be known of it. */
export type Learned = LearnedName | KnownLines | { readonly type: 'passed' };

/** A piece of the manifest, by its lines, and what it is stored as. */
interface StoredPiece {
  readonly from: number;
  readonly to: number;
  readonly key: string;
}

/** The manifest as it was stored. */
export interface StoredManifest {
  readonly pieces: readonly StoredPiece[];
  /** Everything that the tree needs is in these packs. */
  readonly packs: readonly string[];
}

/**
 * Keeps what a scan learned for the next one. Lost after a crash without harm.
 *
 * @param learned what was found, in the order of a walk
 * @param scanStartedMs what changed at or shortly before this time is left out
 * @param kind whether attributes were read
 */
export async function saveStatCache(
  layout: StoreLayout,
  root: BytePath,
  learned: readonly Learned[],
  scanStartedMs: number,
  manifest: StoredManifest = { pieces: [], packs: [] },
  kind: keyof typeof magics = 'plain',
): Promise<void> {
  const temporary = temporaryPath(layout, 'stat');
  try {
    await writeFile(temporary, encode(learned, scanStartedMs - settleMs, manifest, magics[kind]), { mode: 0o600 });
    await rename(temporary, statCachePath(layout, root));
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

function encode(learned: readonly Learned[], settledMs: number, manifest: StoredManifest, magic: Buffer): Buffer {
  const isSettled = ({ node }: LearnedName): boolean => Math.max(node.mtimeMs, node.ctimeMs) < settledMs;
  const kept = learned.filter((one) => one.type === 'known' || (one.type === 'learned' && isSettled(one)));
  const size = kept.reduce((sum, one) => sum + lengthOf(one), 0);
  const pieces = knownPieces(learned, new Set(kept), manifest.pieces);
  const packs = Buffer.from(manifest.packs.join('\n'), 'latin1');
  const columns = {
    looks: new Float64Array(size * looks),
    ends: new Float64Array(size),
    paths: new Float64Array(size),
  };
  const lines = fillColumns(columns, kept);
  const head = Buffer.alloc(headLength);
  magic.copy(head);
  for (const [at, count] of [size, pieces.length, packs.length].entries())
    head.writeBigUInt64LE(BigInt(count), magic.length + at * 8);
  const places = Float64Array.from(pieces.flatMap(({ from, to }) => [from, to]));
  const keys = Buffer.from(pieces.map(({ key }) => key).join(''), 'hex');
  const numbers = [columns.looks, columns.ends, columns.paths, places].map(({ buffer }) => Buffer.from(buffer));
  const file = Buffer.concat([Buffer.alloc(sumLength), head, ...numbers, keys, packs, ...lines]);
  if (keys.length !== pieces.length * keyLength) throw new Error('A piece of a manifest has no digest for a key');
  hash('sha256', file.subarray(sumLength), 'buffer').copy(file);
  return file;
}

/** @returns the lines */
function fillColumns(
  columns: Readonly<Record<'looks' | 'ends' | 'paths', Float64Array>>,
  kept: readonly Learned[],
): readonly Buffer[] {
  const lines: Buffer[] = [];
  let [index, length] = [0, 0];
  for (const one of kept) {
    if (isKnown(one)) {
      const { cache, from, to } = one;
      const bytes = cache.lines(from, to);
      const offset = length - cache.startOf(from);
      columns.looks.set(cache.looks.subarray(from * looks, to * looks), index * looks);
      for (let at = from; at < to; at += 1, index += 1) {
        columns.ends[index] = (cache.ends[at] ?? 0) + offset;
        columns.paths[index] = (cache.paths[at] ?? 0) + offset;
      }
      lines.push(bytes);
      length += bytes.length;
    } else if (one.type === 'learned') {
      const { node, entry } = one;
      const line = Buffer.from(encodeLine(entry), 'latin1');
      columns.looks.set(
        [node.type === 'file' ? node.size : -1, node.mtimeMs, node.ctimeMs, node.ino, userAndMode(node), node.gid],
        index * looks,
      );
      length += line.length;
      columns.ends[index] = length;
      columns.paths[index] = length - lineEnd(entry).length - escapeName(entry.path).length;
      lines.push(line);
      index += 1;
    }
  }
  return lines;
}

/** The pieces all of whose lines are kept as they are in the manifest, by the numbers of the lines that are kept; not the one with the heading. */
function knownPieces(
  learned: readonly Learned[],
  kept: ReadonlySet<Learned>,
  pieces: readonly StoredPiece[],
): readonly StoredPiece[] {
  const known: StoredPiece[] = [];
  // The last one ends where the tree does, which no path says.
  const whole = pieces.slice(1, -1);
  let next = 0;
  let [line, index] = [0, 0];
  /** Takes the pieces that begin in lines which are kept together, before the first that is not. */
  const take = (from: number, to: number, offset: number): void => {
    for (let piece = whole[next]; piece !== undefined && piece.from < to; piece = whole[(next += 1)]) {
      if (piece.from >= from && piece.to <= to)
        known.push({ ...piece, from: piece.from + offset, to: piece.to + offset });
    }
  };
  let began = 0;
  for (const one of learned) {
    const isKept = kept.has(one);
    const isLine = isKept && (one.type === 'known' || (one.type === 'learned' && one.isLine));
    if (!isLine) {
      take(began, line, index - line);
      began = line + 1;
    }
    line += lengthOf(one);
    if (isKept) index += lengthOf(one);
  }
  take(began, line, index - line);
  return known;
}

function lengthOf(one: Learned): number {
  return isKnown(one) ? one.to - one.from : 1;
}
