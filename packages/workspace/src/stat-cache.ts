import { hash } from 'node:crypto';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BytePath } from './byte-path.ts';
import { encodeLines, escapeName } from './manifest.ts';
import type { DiskNode, Look } from './scan-directory.ts';
import { type StoreLayout, temporaryPath } from './store-files.ts';
import { type KeptLine, type TreeEntry, walkKey } from './tree-entry.ts';

/*
 * A cache file: SHA-256 over all the rest, 8 bytes of magic, the number of names (little-endian 64 bits), then of all names, in the
 * order of a walk, what `lstat` said (size of a file and -1 of what is none, times in milliseconds, inode, user and mode in one number, group), the time of
 * change in nanoseconds, where the line ends, where in it the path begins; last the lines, as in a manifest.
 */
const sumLength = 32;
const headLength = 16;
const magic = Buffer.from('OCTSTAT\u0003', 'latin1');
const looks = 6;
const columns = looks + 3;
const digestLength = 64;
/** What changed less than this before the scan may change again without a new time stamp, so it is not trusted. */
const settleMs = 100;

/** What a name was when it was last scanned, as long as it looks the same. */
export interface Recalled {
  readonly mtimeNs: bigint;
  /** Of a file; empty for what is none. */
  readonly digest: string;
  readonly line: KeptLine;
}

/** What the last scan of a directory learned. It answers fastest in the order of a walk. */
export interface StatCache {
  readonly size: number;
  recall(path: BytePath, look: Look): Recalled | undefined;
}

export const emptyStatCache: StatCache = { size: 0, recall: () => undefined };

/**
 * Reads what the last scan of a directory learned. A missing, foreign or damaged cache is an empty one.
 *
 * @param root real path of the directory
 */
export async function loadStatCache(layout: StoreLayout, root: BytePath): Promise<StatCache> {
  const file = await readFile(pathOf(layout, root)).catch(() => undefined);
  const body = file?.subarray(sumLength);
  if (file === undefined || body === undefined || body.length < headLength) return emptyStatCache;
  if (!hash('sha256', body, 'buffer').equals(file.subarray(0, sumLength))) return emptyStatCache;
  return body.subarray(0, magic.length).equals(magic) ? new FileStatCache(body) : emptyStatCache;
}

class FileStatCache implements StatCache {
  readonly size: number;
  readonly #looks: Float64Array;
  readonly #times: BigInt64Array;
  readonly #ends: Float64Array;
  readonly #paths: Float64Array;
  readonly #text: string;
  #next = 0;

  constructor(body: Buffer) {
    this.size = Number(body.readBigUInt64LE(magic.length));
    const { size } = this;
    const textAt = headLength + size * columns * 8;
    // Typed arrays need memory that is aligned.
    const { buffer } = new Uint8Array(body.subarray(headLength, textAt));
    const column = (at: number): [ArrayBuffer, number, number] => [buffer, size * at * 8, size];
    this.#looks = new Float64Array(buffer, 0, size * looks);
    this.#times = new BigInt64Array(...column(looks));
    this.#ends = new Float64Array(...column(looks + 1));
    this.#paths = new Float64Array(...column(looks + 2));
    this.#text = body.toString('latin1', textAt);
  }

  recall(path: BytePath, look: Look): Recalled | undefined {
    const name = escapeName(path);
    const index = this.#isAt(this.#next, name) ? this.#next : this.#search(name);
    if (index === undefined) return undefined;
    this.#next = index + 1;
    const known = this.#looks;
    const at = index * looks;
    const isSame =
      (known[at] === look.size || known[at] === -1) &&
      known[at + 1] === look.mtimeMs &&
      known[at + 2] === look.ctimeMs &&
      known[at + 3] === look.ino &&
      known[at + 4] === userAndMode(look) &&
      known[at + 5] === look.gid;
    if (!isSame) return undefined;
    const pathAt = this.#paths[index] ?? 0;
    const digest = known[at] === -1 ? '' : this.#text.slice(pathAt - digestLength - 1, pathAt - 1);
    const line = { text: this.#text, from: this.#startOf(index), to: this.#ends[index] ?? 0 };
    return { mtimeNs: this.#times[index] ?? 0n, digest, line };
  }

  #isAt(index: number, name: string): boolean {
    if (index >= this.size) return false;
    const at = this.#paths[index] ?? 0;
    return this.#text.startsWith(name, at) && this.#text[at + name.length] === '\t';
  }

  #search(name: string): number | undefined {
    const key = walkKey(name);
    let [low, high] = [0, this.size];
    while (low < high) {
      const middle = (low + high) >>> 1;
      const from = this.#paths[middle] ?? 0;
      if (walkKey(this.#text.slice(from, this.#text.indexOf('\t', from))) < key) low = middle + 1;
      else high = middle;
    }
    return this.#isAt(low, name) ? low : undefined;
  }

  #startOf(index: number): number {
    return index === 0 ? 0 : (this.#ends[index - 1] ?? 0);
  }
}

/**
 * Keeps what a scan learned for the next one. Lost after a crash without harm.
 *
 * @param names what was found, in the order of a walk, and what it is in a tree
 * @param scanStartedMs what changed at or shortly before this time is left out
 */
export async function saveStatCache(
  layout: StoreLayout,
  root: BytePath,
  names: readonly (readonly [node: DiskNode, entry: TreeEntry])[],
  scanStartedMs: number,
): Promise<void> {
  const settled = names.filter(([{ mtimeMs, ctimeMs }]) => Math.max(mtimeMs, ctimeMs) < scanStartedMs - settleMs);
  const temporary = temporaryPath(layout, 'stat');
  try {
    await writeFile(temporary, encode(settled), { mode: 0o600 });
    await rename(temporary, pathOf(layout, root));
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

function encode(names: readonly (readonly [node: DiskNode, entry: TreeEntry])[]): Buffer {
  const size = names.length;
  const known = new Float64Array(size * looks);
  const times = new BigInt64Array(size);
  const paths = new Float64Array(size);
  const { text, ends } = encodeLines(names.map(([, entry]) => entry));
  for (const [index, [node, { path, target }]] of names.entries()) {
    const at = index * looks;
    known[at] = node.type === 'file' ? node.size : -1;
    known[at + 1] = node.mtimeMs;
    known[at + 2] = node.ctimeMs;
    known[at + 3] = node.ino;
    known[at + 4] = userAndMode(node);
    known[at + 5] = node.gid;
    times[index] = node.mtimeNs;
    paths[index] = (ends[index] ?? 0) - escapeName(target).length - escapeName(path).length - 2;
  }
  const head = Buffer.alloc(headLength);
  magic.copy(head);
  head.writeBigUInt64LE(BigInt(size), magic.length);
  const numbers = [known, times, ends, paths].map(({ buffer }) => Buffer.from(buffer as ArrayBuffer));
  const file = Buffer.concat([Buffer.alloc(sumLength), head, ...numbers, Buffer.from(text, 'latin1')]);
  hash('sha256', file.subarray(sumLength), 'buffer').copy(file);
  return file;
}

function userAndMode({ uid, mode }: Pick<Look, 'uid' | 'mode'>): number {
  return uid * 0x1_0000 + (mode & 0o7777);
}

function pathOf(layout: StoreLayout, root: BytePath): string {
  return join(layout.statCaches, `${hash('sha256', Buffer.from(root, 'latin1'), 'hex').slice(0, 40)}.cache`);
}
