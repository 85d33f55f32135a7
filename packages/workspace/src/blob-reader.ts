import { createHash, hash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import type { BlobIndex } from './blob-index.ts';
import { toText } from './byte-path.ts';
import { corrupt } from './failures.ts';
import { unpackPiece } from './packed-piece.ts';
import type { TreeEntry } from './tree-entry.ts';

/** Up to this many bytes a file is handled whole in memory. */
export const smallFileBytes = 2 * 1024 * 1024;
const chunkBytes = 1024 * 1024;
const manifestEntry = { path: 'its manifest' };

/** What is needed of an entry to read its content. */
type Content = Pick<TreeEntry, 'path' | 'size' | 'digest'>;

/**
 * Reads the files of a snapshot and checks every byte against its digest.
 * Close it with `using` when the work is done: it keeps packs open.
 */
export class BlobReader implements Disposable {
  readonly #index: BlobIndex;
  readonly #snapshotId: string;
  readonly #files = new Map<string, number>();

  constructor(index: BlobIndex, snapshotId: string) {
    this.#index = index;
    this.#snapshotId = snapshotId;
  }

  /** @throws OpencodeToolsError `OCT_CHECKPOINT_CORRUPT` naming the entry's path */
  read(entry: Content): Buffer {
    const bytes = Buffer.allocUnsafe(entry.size);
    this.readInto(entry, bytes);
    return bytes;
  }

  /** Reads a whole file into a buffer of its size. @throws as `read` */
  readInto(entry: Content, bytes: Buffer): void {
    this.#fill(entry, 0, bytes);
    if (hash('sha256', bytes, 'hex') !== entry.digest) throw this.#damaged(entry, 'its bytes changed');
  }

  /** Reads a piece of the manifest, packed or not. @throws as `read` */
  readPiece(key: string): Buffer {
    const bytes = Buffer.allocUnsafe(this.#index.find(key)?.length ?? 0);
    const entry = { ...manifestEntry, digest: key, size: bytes.length };
    this.#fill(entry, 0, bytes);
    const text = hash('sha256', bytes, 'hex') === key ? bytes : unpackPiece(bytes, key);
    if (text === undefined) throw this.#damaged(entry, 'its bytes changed');
    return text;
  }

  /**
   * Yields a file, or what is stored of a piece of a manifest, chunk by chunk.
   *
   * @throws as `read`, for changed bytes after the last chunk
   */
  *chunks(entry: Content): Generator<Buffer> {
    const sum = createHash('sha256');
    let first: Buffer | undefined;
    for (let at = 0; at < entry.size; at += chunkBytes) {
      const bytes = Buffer.allocUnsafe(Math.min(chunkBytes, entry.size - at));
      this.#fill(entry, at, bytes);
      sum.update(bytes);
      first ??= bytes;
      yield bytes;
    }
    if (sum.digest('hex') === entry.digest) return;
    if (first?.length === entry.size && unpackPiece(first, entry.digest) !== undefined) return;
    throw this.#damaged(entry, 'its bytes changed');
  }

  [Symbol.dispose](): void {
    for (const file of this.#files.values()) closeSync(file);
    this.#files.clear();
  }

  #fill(entry: Content, from: number, buffer: Buffer): void {
    const blob = this.#index.find(entry.digest);
    if (blob === undefined) throw this.#damaged(entry, 'its content is not in the store');
    if (blob.length !== entry.size) throw this.#damaged(entry, 'its size changed');
    const { length } = buffer;
    const file = this.#open(blob.pack, entry);
    let done = 0;
    while (done < length) {
      const count = readSync(file, buffer, done, length - done, blob.offset + from + done);
      if (count === 0) throw this.#damaged(entry, 'its pack is cut short');
      done += count;
    }
  }

  #open(pack: string, entry: Content): number {
    const known = this.#files.get(pack);
    if (known !== undefined) return known;
    try {
      const file = openSync(pack, 'r');
      this.#files.set(pack, file);
      return file;
    } catch {
      throw this.#damaged(entry, 'its pack cannot be opened');
    }
  }

  #damaged(entry: Content, why: string) {
    return corrupt(this.#snapshotId, toText(entry.path), why);
  }
}
