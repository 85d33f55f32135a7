import { hash } from 'node:crypto';
import { type KnownLines, type TreePart, isKnown } from './known-lines.ts';
import { decodeLine, encodeLine, letters } from './manifest-line.ts';
import type { TreeEntry } from './tree-entry.ts';

const heading = 'opencode-tools manifest 1\n';
/** A piece has 4 lines on average, and the one that a change falls into 8, so that a changed file costs about 1 KB of manifest. */
const pieceMask = 3;
const mostLines = 256;

export interface Manifest {
  readonly entries: readonly TreeEntry[];
  readonly bytes: number;
  /** SHA-256 of the canonical text. */
  readonly digest: string;
}

/** Some lines of a manifest that are stored together. */
export interface Piece {
  readonly bytes: Buffer;
  /** The number of its first line, and of the one after its last. */
  readonly from: number;
  readonly to: number;
  /** What it is known by, and the packs that have all that its cache tells of; where that is known. */
  readonly known: { readonly key: string; readonly packs: readonly string[] } | undefined;
}

export interface EncodedManifest {
  readonly text: Buffer;
  /** They end where a path says so, so that trees which differ little share most pieces. */
  readonly pieces: readonly Piece[];
  readonly entries: number;
  /** Of all files. */
  readonly bytes: number;
}

/**
 * Serialises a canonical tree: a heading, then a line per entry of type, mode, uid, gid, time, size, digest, path and
 * target between tabs. Bytes of names are kept as they are; backslash, tab and line feed are escaped.
 */
export function encodeManifest(tree: readonly TreePart[]): EncodedManifest {
  const entries = tree.reduce((sum, part) => sum + (isKnown(part) ? part.to - part.from : 1), 0);
  const laid = new LaidLines(entries);
  for (const part of tree) {
    if (isKnown(part)) laid.addKnown(part);
    else laid.add(part);
  }
  return { ...laid.finish(), entries };
}

class LaidLines {
  readonly #count: number;
  readonly #parts: Buffer[] = [];
  readonly #cuts: (Omit<Piece, 'bytes'> & { readonly end: number })[] = [];
  /** Lines that are not laid yet. */
  #waiting: string[] = [heading];
  #line = 0;
  /** The first line of the piece that is being laid. */
  #first = 0;
  #at = heading.length;
  #bytes = 0;

  constructor(count: number) {
    this.#count = count;
  }

  add(entry: TreeEntry): void {
    const text = encodeLine(entry);
    this.#waiting.push(text);
    if (entry.type === 'file') this.#bytes += entry.size;
    this.#end(this.#at + text.length, entry.path);
  }

  /** A piece that begins where a known one did is that one; the first has the heading before it. */
  addKnown({ cache, from, to }: KnownLines): void {
    this.#lay();
    this.#parts.push(cache.lines(from, to));
    for (let index = from; index < to; index += 1) this.#bytes += cache.sizeAt(index);
    const offset = this.#at - cache.startOf(from);
    let piece = cache.pieceFrom(from);
    for (let index = from; index < to;) {
      while ((cache.pieces[piece * 2] ?? to) < index) piece += 1;
      const end = cache.pieces[piece * 2 + 1] ?? 0;
      if (this.#line > 0 && this.#first === this.#line && cache.pieces[piece * 2] === index && end <= to) {
        this.#line += end - index;
        this.#cut(offset + cache.startOf(end), { key: cache.keyOf(piece), packs: cache.packs });
        index = end;
      } else {
        this.#end(offset + cache.startOf(index + 1), cache.pathAt(index));
        index += 1;
      }
    }
  }

  finish(): Omit<EncodedManifest, 'entries'> {
    if (this.#count === 0) this.#cut(this.#at);
    this.#lay();
    const text = Buffer.concat(this.#parts);
    const pieces = this.#cuts.map(({ end, ...piece }, at) => ({
      ...piece,
      bytes: text.subarray(this.#cuts[at - 1]?.end ?? 0, end),
    }));
    return { text, pieces, bytes: this.#bytes };
  }

  /** Ends a line, and the piece with it where the path says so. */
  #end(at: number, path: string): void {
    this.#line += 1;
    const isLast = this.#line === this.#count || this.#line - this.#first === mostLines;
    if (isLast || endsPiece(path)) this.#cut(at);
    else this.#at = at;
  }

  #cut(end: number, known?: Piece['known']): void {
    this.#cuts.push({ from: this.#first, to: this.#line, end, known });
    [this.#first, this.#at] = [this.#line, end];
  }

  #lay(): void {
    this.#parts.push(Buffer.from(this.#waiting.join(''), 'latin1'));
    this.#waiting = [];
  }
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
