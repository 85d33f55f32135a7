import { hash } from 'node:crypto';
import type { EntryType, KeptLine, TreeEntry } from './tree-entry.ts';

const heading = 'opencode-tools manifest 1\n';
const letters: Readonly<Record<EntryType, string>> = { file: 'f', directory: 'd', symlink: 's', link: 'l' };
const types: Readonly<Record<string, EntryType>> = { f: 'file', d: 'directory', s: 'symlink', l: 'link' };
/** A piece has 4 lines on average, and the one that a change falls into 8, so that a changed file costs about 1 KB of manifest. */
const pieceMask = 3;
const mostLines = 256;
const special = /[\\\t\n]/;

export interface Manifest {
  readonly entries: readonly TreeEntry[];
  readonly bytes: number;
  /** SHA-256 of the canonical text. */
  readonly digest: string;
}

/**
 * Serialises a canonical tree: a heading, then a line per entry of type, mode, uid, gid, time, size, digest, path and
 * target between tabs. Bytes of names are kept as they are; backslash, tab and line feed are escaped.
 *
 * @returns the text, and its pieces, which end where a path says so, so that trees which differ little share most pieces
 */
export function encodeManifest(entries: readonly TreeEntry[]): {
  readonly text: Buffer;
  readonly pieces: readonly Buffer[];
} {
  const lines = encodeLines(entries);
  const text = Buffer.from(`${heading}${lines.text}`, 'latin1');
  const pieces: Buffer[] = [];
  let from = 0;
  let count = 0;
  for (const [at, { path }] of entries.entries()) {
    count += 1;
    if (count < mostLines && at < entries.length - 1 && !endsPiece(path)) continue;
    const to = heading.length + (lines.ends[at] ?? 0);
    pieces.push(text.subarray(from, to));
    [from, count] = [to, 0];
  }
  return { text, pieces: entries.length === 0 ? [text] : pieces };
}

/** The lines of entries one after the other; those that are kept are taken together. */
export function encodeLines(entries: readonly TreeEntry[]): {
  readonly text: string;
  /** Where each line ends. */
  readonly ends: Float64Array;
} {
  const ends = new Float64Array(entries.length);
  const parts: string[] = [];
  let kept: KeptLine | undefined;
  let keptTo = 0;
  let length = 0;
  for (const [at, entry] of entries.entries()) {
    const { line } = entry;
    if (line === undefined || line.text !== kept?.text || line.from !== keptTo) {
      if (kept !== undefined) parts.push(kept.text.slice(kept.from, keptTo));
      kept = line;
    }
    if (line === undefined) {
      const text = encodeLine(entry);
      parts.push(text);
      length += text.length;
    } else {
      keptTo = line.to;
      length += line.to - line.from;
    }
    ends[at] = length;
  }
  if (kept !== undefined) parts.push(kept.text.slice(kept.from, keptTo));
  return { text: parts.join(''), ends };
}

function encodeLine({ type, mode, uid, gid, mtimeNs, size, digest, path, target }: TreeEntry): string {
  return `${letters[type]}\t${mode.toString(8)}\t${uid}\t${gid}\t${mtimeNs}\t${size}\t${digest}\t${escapeName(path)}\t${escapeName(target)}\n`;
}

/** SHA-256 of the canonical text of a tree. */
export function manifestDigest(entries: readonly TreeEntry[]): string {
  return digestOf(encodeManifest(entries).text);
}

/** @throws Error when the text is not a manifest of this version */
export function decodeManifest(text: Buffer): Manifest {
  const entries = decodePiece(text, true);
  const bytes = entries.reduce((total, { type, size }) => total + (type === 'file' ? size : 0), 0);
  return { entries, bytes, digest: digestOf(text) };
}

/** The entries in a piece of a manifest. @throws Error when it is no piece of this version, or not the first one as it should be */
export function decodePiece(piece: Buffer, isFirst: boolean): TreeEntry[] {
  const text = piece.toString('latin1');
  const isWhole = text.endsWith('\n') && (!isFirst || text.startsWith(heading));
  if (!isWhole) throw new Error('Not a manifest of version 1');
  const entries: TreeEntry[] = [];
  for (let from = isFirst ? heading.length : 0; from < text.length;) {
    const end = text.indexOf('\n', from);
    entries.push(decodeLine(text, from, end));
    from = end + 1;
  }
  return entries;
}

/** The digests of the files that a piece of a manifest names. */
export function digestsIn(piece: Buffer): readonly string[] {
  const digests: string[] = [];
  for (const line of piece.toString('latin1').split('\n')) {
    const [letter, , , , , , digest] = line.split('\t', 7);
    if (letter === letters.file && digest !== undefined) digests.push(digest);
  }
  return digests;
}

function digestOf(bytes: Uint8Array): string {
  return hash('sha256', bytes, 'hex');
}

/** The id of the snapshot whose manifest has this digest. */
export function snapshotIdOf(digest: string): string {
  return `snp_${digest.slice(0, 40)}`;
}

function endsPiece(path: string): boolean {
  let sum = 0;
  for (let index = Math.max(0, path.length - 24); index < path.length; index += 1) {
    sum = Math.imul(sum, 31) + path.charCodeAt(index);
  }
  return ((sum ^ (sum >>> 15)) & pieceMask) === 0;
}

function decodeLine(text: string, from: number, end: number): TreeEntry {
  const type = types[text.charAt(from)];
  const ownerAt = text.indexOf('\t', from + 2) + 1;
  const groupAt = text.indexOf('\t', ownerAt) + 1;
  const timeAt = text.indexOf('\t', groupAt) + 1;
  const sizeAt = text.indexOf('\t', timeAt) + 1;
  const digestAt = text.indexOf('\t', sizeAt) + 1;
  const pathAt = text.indexOf('\t', digestAt) + 1;
  const targetAt = text.indexOf('\t', pathAt) + 1;
  const isInOrder = ownerAt > from && groupAt > ownerAt && timeAt > groupAt && sizeAt > timeAt && digestAt > sizeAt;
  const isWhole = isInOrder && pathAt > digestAt && targetAt > pathAt && targetAt <= end;
  if (type === undefined || !isWhole) throw new Error('Not a line of a manifest');
  return {
    path: unescape(text.slice(pathAt, targetAt - 1)),
    type,
    mode: Number.parseInt(text.slice(from + 2, ownerAt - 1), 8),
    uid: Number(text.slice(ownerAt, groupAt - 1)),
    gid: Number(text.slice(groupAt, timeAt - 1)),
    mtimeNs: BigInt(text.slice(timeAt, sizeAt - 1)),
    size: Number(text.slice(sizeAt, digestAt - 1)),
    digest: text.slice(digestAt, pathAt - 1),
    target: targetAt === end ? '' : unescape(text.slice(targetAt, end)),
  };
}

/** A name as it is in a line. */
export function escapeName(name: string): string {
  if (!special.test(name)) return name;
  return name.replaceAll('\\', '\\\\').replaceAll('\t', '\\t').replaceAll('\n', '\\n');
}

function unescape(name: string): string {
  if (!name.includes('\\')) return name;
  return name.replaceAll(/\\([\\tn])/g, (_, letter: string) => ({ t: '\t', n: '\n' })[letter] ?? '\\');
}
