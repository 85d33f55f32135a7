import { hash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BytePath } from './byte-path.ts';
import { decodeLine, escapeName, unescapeName } from './manifest-line.ts';
import type { FoundName, Look } from './scan-directory.ts';
import type { StoreLayout } from './store-files.ts';
import { type TreeEntry, walkKey } from './tree-entry.ts';

/*
 * A cache file: SHA-256 over all the rest, 8 bytes of magic, how many names, pieces of a manifest and bytes of packs' names there are
 * (little-endian 64 bits); then of all names, in the order of a walk, what `lstat` said (size of a file and -1 of what is none, times
 * in milliseconds, inode, user and mode in one number, group), where the line ends, where in it the path begins; of the pieces the
 * first name and the one after the last, then what they are known by; the names of packs; last the lines, as in a manifest.
 */
export const sumLength = 32;
export const headLength = 32;
/** Of one that does not tell of attributes, since they were not read, and of one that does. */
export const magics = {
  plain: Buffer.from('OCTSTAT\u0005', 'latin1'),
  attributes: Buffer.from('OCTSTAT\u0006', 'latin1'),
} as const;
export const looks = 6;
export const keyLength = 32;
const magicLength = 8;
const columns = looks + 2;
const digestLength = 64;

/** What the last scan of a directory learned: lines of a manifest, each good as long as the name looks the same. */
export class StatCache {
  readonly size: number;
  /** Everything that the lines and pieces need is in these packs, as long as all of them are there. */
  readonly packs: readonly string[];
  /** What `lstat` said, so many numbers for each name. */
  readonly looks: Float64Array;
  /** Where each line ends. */
  readonly ends: Float64Array;
  /** Where each path begins. */
  readonly paths: Float64Array;
  /** Of each piece of the manifest that is known the first line, and the one after its last. */
  readonly pieces: Float64Array;
  readonly #keys: Buffer;
  readonly #bytes: Buffer;
  readonly #text: string;
  #pieceOf: Map<string, number> | undefined;
  #next = 0;

  /** @param body the file without its sum, known to be whole */
  constructor(body: Buffer) {
    const [size, pieces, packs] = [8, 16, 24].map((at) => Number(body.readBigUInt64LE(at))) as [number, number, number];
    this.size = size;
    const keysAt = headLength + (size * columns + pieces * 2) * 8;
    const packsAt = keysAt + pieces * keyLength;
    // Typed arrays need memory that is aligned.
    const numbers = new Float64Array(new Uint8Array(body.subarray(headLength, keysAt)).buffer);
    this.looks = numbers.subarray(0, size * looks);
    this.ends = numbers.subarray(size * looks, size * (looks + 1));
    this.paths = numbers.subarray(size * (looks + 1), size * columns);
    this.pieces = numbers.subarray(size * columns);
    this.#keys = body.subarray(keysAt, packsAt);
    this.packs = body
      .toString('latin1', packsAt, packsAt + packs)
      .split('\n')
      .filter((name) => name !== '');
    this.#bytes = body.subarray(packsAt + packs);
    this.#text = this.#bytes.toString('latin1');
  }

  /** The number of a name that looks as it did. It answers fastest in the order of a walk. */
  recall(path: BytePath, look: Look): number | undefined {
    const name = escapeName(path);
    const index = this.#isAt(this.#next, name) ? this.#next : this.#search(name);
    if (index === undefined) return undefined;
    this.#next = index + 1;
    const known = this.looks;
    const at = index * looks;
    const isSame =
      (known[at] === look.size || known[at] === -1) &&
      known[at + 1] === look.mtimeMs &&
      known[at + 2] === look.ctimeMs &&
      known[at + 3] === look.ino &&
      known[at + 4] === userAndMode(look) &&
      known[at + 5] === look.gid;
    return isSame ? index : undefined;
  }

  /** The number of a name, however it looks. */
  find(path: BytePath): number | undefined {
    return this.#search(escapeName(path));
  }

  /** Where a name with everything below it is, by the numbers of names: about, for those that have to be escaped. @param least no name before it */
  rangeOf(path: BytePath, least: number): readonly [from: number, to: number] {
    const key = walkKey(escapeName(path));
    const from = this.#nextFrom(key, least);
    return [from, this.#nextFrom(`${key}\u0001`, from)];
  }

  /** The digest of a file, empty for what is none. */
  digestAt(index: number): string {
    const pathAt = this.paths[index] ?? 0;
    return this.looks[index * looks] === -1 ? '' : this.#text.slice(pathAt - digestLength - 1, pathAt - 1);
  }

  /** What was read of a name. */
  readAt(index: number): Pick<FoundName, 'digest' | 'attributes'> {
    return { digest: this.digestAt(index), attributes: this.entryAt(index).attributes };
  }

  entryAt(index: number): TreeEntry {
    return decodeLine(this.#text, this.startOf(index), (this.ends[index] ?? 0) - 1);
  }

  /** A name as it was found, which it is when it was recalled and has no other name. */
  nameAt(index: number): FoundName {
    const entry = this.entryAt(index);
    const at = index * looks;
    const [mtimeMs = 0, ctimeMs = 0, ino = 0] = this.looks.subarray(at + 1, at + 4);
    return {
      ...entry,
      type: entry.type === 'link' ? 'file' : entry.type,
      mtimeMs,
      ctimeMs,
      ino,
      identity: '',
      links: 1,
    };
  }

  pathAt(index: number): BytePath {
    const at = this.paths[index] ?? 0;
    return unescapeName(this.#text.slice(at, this.#text.indexOf('\t', at)));
  }

  /** Bytes of a file; 0 for what is none. */
  sizeAt(index: number): number {
    return Math.max(0, this.looks[index * looks] ?? 0);
  }

  startOf(index: number): number {
    return index === 0 ? 0 : (this.ends[index - 1] ?? 0);
  }

  /** The lines of names that follow each other. */
  lines(from: number, to: number): Buffer {
    return this.#bytes.subarray(this.startOf(from), this.startOf(to));
  }

  /** What a piece of the manifest is known by. */
  keyOf(piece: number): string {
    return this.#keys.toString('hex', piece * keyLength, (piece + 1) * keyLength);
  }

  /** The first piece that begins at a name or after it. */
  pieceFrom(index: number): number {
    let [low, high] = [0, this.pieces.length / 2];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.pieces[middle * 2] ?? 0) < index) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The lines of the piece that is known by a key: the first, and the one after the last. */
  linesOf(key: string): readonly [from: number, to: number] | undefined {
    this.#pieceOf ??= new Map(Array.from({ length: this.pieces.length / 2 }, (_, piece) => [this.keyOf(piece), piece]));
    const piece = this.#pieceOf.get(key);
    return piece === undefined ? undefined : [this.pieces[piece * 2] ?? 0, this.pieces[piece * 2 + 1] ?? 0];
  }

  #isAt(index: number, name: string): boolean {
    if (index >= this.size) return false;
    const at = this.paths[index] ?? 0;
    return this.#text.startsWith(name, at) && this.#text[at + name.length] === '\t';
  }

  #search(name: string): number | undefined {
    const low = this.#firstFrom(walkKey(name), 0, this.size);
    return this.#isAt(low, name) ? low : undefined;
  }

  /** The first name of a range whose key is not less than one; the end of the range if there is none. */
  #firstFrom(key: string, from: number, to: number): number {
    let [low, high] = [from, to];
    while (low < high) {
      const middle = (low + high) >>> 1;
      const at = this.paths[middle] ?? 0;
      if (walkKey(this.#text.slice(at, this.#text.indexOf('\t', at))) < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** As `#firstFrom` to the end, faster the less far it is away. */
  #nextFrom(key: string, from: number): number {
    let [low, step] = [from, 1];
    while (low + step < this.size && this.#firstFrom(key, low + step - 1, low + step) === low + step) {
      low += step;
      step *= 2;
    }
    return this.#firstFrom(key, low, Math.min(this.size, low + step));
  }
}

export const emptyStatCache = new StatCache(Buffer.alloc(headLength));

/**
 * Reads what the last scan of a directory learned. A missing, foreign or damaged cache is an empty one.
 *
 * @param root real path of the directory
 * @param kind whether it has to tell of attributes
 */
export async function loadStatCache(
  layout: StoreLayout,
  root: BytePath,
  kind: keyof typeof magics = 'plain',
): Promise<StatCache> {
  const file = await readFile(statCachePath(layout, root)).catch(() => undefined);
  const body = file?.subarray(sumLength);
  if (file === undefined || body === undefined || body.length < headLength) return emptyStatCache;
  if (!hash('sha256', body, 'buffer').equals(file.subarray(0, sumLength))) return emptyStatCache;
  const magic = body.subarray(0, magicLength);
  const isFit = magic.equals(magics.attributes) || (kind === 'plain' && magic.equals(magics.plain));
  return isFit ? new StatCache(body) : emptyStatCache;
}

export function userAndMode({ uid, mode }: Pick<Look, 'uid' | 'mode'>): number {
  return uid * 0x1_0000 + (mode & 0o7777);
}

export function statCachePath(layout: StoreLayout, root: BytePath): string {
  return join(layout.statCaches, `${hash('sha256', Buffer.from(root, 'latin1'), 'hex').slice(0, 40)}.cache`);
}
