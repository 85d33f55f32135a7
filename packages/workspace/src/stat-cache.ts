import { hash } from 'node:crypto';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BytePath } from './byte-path.ts';
import type { DiskNode, Look } from './scan-directory.ts';
import { type StoreLayout, temporaryPath } from './store-files.ts';
import { walkKey } from './tree-entry.ts';

/*
 * A cache file: SHA-256 over all the rest, 8 bytes of magic, the number of names (little-endian 64 bits), then of all names, in the
 * order of a walk, what `lstat` said (size, times in milliseconds, inode), the time of change in nanoseconds, the end of the path in the
 * text of paths, the digest (64 characters, blank without one), and last the paths one after the other.
 */
const sumLength = 32;
const headLength = 16;
const magic = Buffer.from('OCTSTAT\u0002', 'latin1');
const looks = 4;
const digestLength = 64;
const noDigest = ' '.repeat(digestLength);
/** What changed less than this before the scan may change again without a new time stamp, so it is not trusted. */
const settleMs = 100;

/** What a name was when it was last scanned, as long as it looks the same. */
export interface Recalled {
  readonly mtimeNs: bigint;
  /** Of a file; empty for what is none. */
  readonly digest: string;
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
  readonly #digests: string;
  readonly #paths: string;
  #next = 0;

  constructor(body: Buffer) {
    this.size = Number(body.readBigUInt64LE(magic.length));
    const { size } = this;
    // Typed arrays need memory that is aligned.
    const numbers = new Uint8Array(body.subarray(headLength, headLength + size * (looks + 2) * 8)).buffer;
    this.#looks = new Float64Array(numbers, 0, size * looks);
    this.#times = new BigInt64Array(numbers, size * looks * 8, size);
    this.#ends = new Float64Array(numbers, size * (looks + 1) * 8, size);
    const digestsAt = headLength + numbers.byteLength;
    this.#digests = body.toString('latin1', digestsAt, digestsAt + size * digestLength);
    this.#paths = body.toString('latin1', digestsAt + size * digestLength);
  }

  recall(path: BytePath, look: Look): Recalled | undefined {
    const index = this.#isAt(this.#next, path) ? this.#next : this.#search(path);
    if (index === undefined) return undefined;
    this.#next = index + 1;
    const known = this.#looks;
    const at = index * looks;
    const isSame =
      known[at] === look.size &&
      known[at + 1] === look.mtimeMs &&
      known[at + 2] === look.ctimeMs &&
      known[at + 3] === look.ino;
    if (!isSame) return undefined;
    const from = index * digestLength;
    const digest = this.#digests[from] === ' ' ? '' : this.#digests.slice(from, from + digestLength);
    return { mtimeNs: this.#times[index] ?? 0n, digest };
  }

  #isAt(index: number, path: BytePath): boolean {
    const from = this.#startOf(index);
    return index < this.size && (this.#ends[index] ?? 0) - from === path.length && this.#paths.startsWith(path, from);
  }

  #search(path: BytePath): number | undefined {
    const key = walkKey(path);
    let [low, high] = [0, this.size];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (walkKey(this.#paths.slice(this.#startOf(middle), this.#ends[middle])) < key) low = middle + 1;
      else high = middle;
    }
    return this.#isAt(low, path) ? low : undefined;
  }

  #startOf(index: number): number {
    return index === 0 ? 0 : (this.#ends[index - 1] ?? 0);
  }
}

/**
 * Keeps what a scan learned for the next one. Lost after a crash without harm.
 *
 * @param nodes what was found, in the order of a walk, with the digests of files
 * @param scanStartedMs what changed at or shortly before this time is left out
 */
export async function saveStatCache(
  layout: StoreLayout,
  root: BytePath,
  nodes: readonly (readonly [node: DiskNode, digest: string])[],
  scanStartedMs: number,
): Promise<void> {
  const settled = nodes.filter(([{ mtimeMs, ctimeMs }]) => Math.max(mtimeMs, ctimeMs) < scanStartedMs - settleMs);
  const temporary = temporaryPath(layout, 'stat');
  try {
    const parts = encode(settled);
    await writeFile(temporary, parts, { mode: 0o600 });
    await rename(temporary, pathOf(layout, root));
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

function encode(nodes: readonly (readonly [node: DiskNode, digest: string])[]): Buffer {
  const size = nodes.length;
  const known = new Float64Array(size * looks);
  const times = new BigInt64Array(size);
  const ends = new Float64Array(size);
  const digests: string[] = [];
  const paths: string[] = [];
  let end = 0;
  for (const [index, [node, digest]] of nodes.entries()) {
    known.set([node.size, node.mtimeMs, node.ctimeMs, node.ino], index * looks);
    times[index] = node.mtimeNs;
    end += node.path.length;
    ends[index] = end;
    digests.push(digest === '' ? noDigest : digest);
    paths.push(node.path);
  }
  const head = Buffer.alloc(headLength);
  magic.copy(head);
  head.writeBigUInt64LE(BigInt(size), magic.length);
  const numbers = [known, times, ends].map(({ buffer }) => Buffer.from(buffer));
  const texts = [digests, paths].map((all) => Buffer.from(all.join(''), 'latin1'));
  const file = Buffer.concat([Buffer.alloc(sumLength), head, ...numbers, ...texts]);
  hash('sha256', file.subarray(sumLength), 'buffer').copy(file);
  return file;
}

function pathOf(layout: StoreLayout, root: BytePath): string {
  return join(layout.statCaches, `${hash('sha256', Buffer.from(root, 'latin1'), 'hex').slice(0, 40)}.cache`);
}
