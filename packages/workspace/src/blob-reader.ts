import { createHash, hash } from 'node:crypto';
import type { BlobIndex, StoredBlob } from './blob-index.ts';
import { toText } from './byte-path.ts';
import { corrupt } from './failures.ts';
import { PackFile } from './pack-file.ts';
import { type Part, partBytes, readTable, tableLength, unpackPart } from './packed-blob.ts';
import { unpackPiece } from './packed-piece.ts';
import type { TreeEntry } from './tree-entry.ts';

/** Up to this many bytes a file is handled whole in memory. */
export const smallFileBytes = 2 * 1024 * 1024;
/** Only so many packs are read ahead at once. */
const mostWindows = 32;
const none: ReadonlySet<number> = new Set();
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
  readonly #files = new Map<string, PackFile>();

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
    for (let at = 0; at < entry.size; at += partBytes) {
      const bytes = Buffer.allocUnsafe(Math.min(partBytes, entry.size - at));
      this.#fill(entry, at, bytes);
      sum.update(bytes);
      first ??= bytes;
      yield bytes;
    }
    if (sum.digest('hex') === entry.digest) return;
    if (first?.length === entry.size && unpackPiece(first, entry.digest) !== undefined) return;
    throw this.#damaged(entry, 'its bytes changed');
  }

  /** Which mebibytes of a file are stored as holes; empty when none is, or when that cannot be told without reading all. */
  holesOf(entry: Content): ReadonlySet<number> {
    const blob = this.#index.hasPacked ? this.#index.find(entry.digest) : undefined;
    if (blob?.packed !== true) return none;
    return new Set([...this.#partsOf(entry, blob).entries()].flatMap(([at, { stored }]) => (stored === 0 ? [at] : [])));
  }

  [Symbol.dispose](): void {
    for (const file of this.#files.values()) file[Symbol.dispose]();
    this.#files.clear();
  }

  #fill(entry: Content, from: number, buffer: Buffer): void {
    const blob = this.#index.find(entry.digest);
    if (blob === undefined) throw this.#damaged(entry, 'its content is not in the store');
    if (blob.length !== entry.size) throw this.#damaged(entry, 'its size changed');
    if (blob.packed) this.#unpack(entry, blob, from, buffer);
    else this.#readAt(entry, blob, from, buffer);
  }

  /** Fills a buffer with bytes of a packed blob from a whole part on. */
  #unpack(entry: Content, blob: StoredBlob, from: number, buffer: Buffer): void {
    // Most blobs have one part, and are read at once.
    const whole = blob.length <= partBytes ? Buffer.allocUnsafe(blob.stored) : undefined;
    if (whole !== undefined) this.#readAt(entry, blob, 0, whole);
    const parts = this.#partsOf(entry, blob, whole);
    for (let done = 0; done < buffer.length; done += partBytes) {
      const part = parts[(from + done) / partBytes];
      if (part === undefined) throw this.#damaged(entry, 'its bytes changed');
      const stored = whole?.subarray(0, part.stored) ?? Buffer.allocUnsafe(part.stored);
      if (whole === undefined) this.#readAt(entry, blob, part.offset, stored);
      const bytes = unpackPart(stored, part);
      if (bytes === undefined) throw this.#damaged(entry, 'its bytes changed');
      bytes.copy(buffer, done);
    }
  }

  #partsOf(entry: Content, blob: StoredBlob, whole?: Buffer): readonly Part[] {
    const length = Math.min(tableLength(blob.length), blob.stored);
    const table = whole?.subarray(blob.stored - length) ?? Buffer.allocUnsafe(length);
    if (whole === undefined) this.#readAt(entry, blob, blob.stored - length, table);
    const parts = readTable(table, blob.stored, blob.length);
    if (parts === undefined) throw this.#damaged(entry, 'its bytes changed');
    return parts;
  }

  #readAt(entry: Content, { pack, offset }: StoredBlob, from: number, buffer: Buffer): void {
    if (!this.#open(pack, entry).read(buffer, offset + from)) throw this.#damaged(entry, 'its pack is cut short');
  }

  #open(pack: string, entry: Content): PackFile {
    const known = this.#files.get(pack);
    if (known !== undefined) return known;
    try {
      const file = new PackFile(pack, this.#files.size < mostWindows);
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
