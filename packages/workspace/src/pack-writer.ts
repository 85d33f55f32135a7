import { closeSync, fdatasync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type BlobPlace, type PackForm, encodeIndex, magicLength, magicOf } from './pack-format.ts';
import { type StoreLayout, publish, temporaryPath } from './store-files.ts';

const flush = promisify(fdatasync);
const bufferLength = 4 * 1024 * 1024;

/**
 * Writes the blobs of one freeze into one new pack. Nothing is visible to others until `finish`; `discard` leaves no
 * trace. The file is made when the first blob arrives.
 */
export class PackWriter {
  readonly #layout: StoreLayout;
  readonly #temporary: string;
  readonly #places: BlobPlace[] = [];
  readonly #written = new Set<string>();
  readonly #buffer = Buffer.allocUnsafe(bufferLength);
  #buffered = 0;
  #flushed = 0;
  #file: number | undefined;

  constructor(layout: StoreLayout) {
    this.#layout = layout;
    this.#temporary = temporaryPath(layout, 'pack');
  }

  has(digest: string): boolean {
    return this.#written.has(digest);
  }

  /** Where the next byte will be. */
  get position(): number {
    return magicLength + this.#flushed + this.#buffered;
  }

  /** Appends bytes of a blob that `record` will name, or `rewind` forget. */
  append(bytes: Uint8Array): void {
    if (this.#buffered + bytes.length > bufferLength) this.#drain();
    if (bytes.length > bufferLength / 2) {
      this.#write(bytes);
      return;
    }
    this.#buffer.set(bytes, this.#buffered);
    this.#buffered += bytes.length;
  }

  /** Names everything appended from one position to another, or to the present one, as one blob. */
  record(digest: string, from: number, to = this.position): void {
    const length = to - from;
    this.#add({ digest, offset: from, length, stored: length, packed: false });
  }

  /** Names what was appended between two positions as one blob of so many bytes, packed. */
  recordPacked(digest: string, from: number, to: number, length: number): void {
    this.#add({ digest, offset: from, length, stored: to - from, packed: true });
  }

  /** Forgets everything appended since the position. */
  rewind(to: number): void {
    const kept = to - magicLength;
    this.#buffered = Math.max(0, kept - this.#flushed);
    this.#flushed = Math.min(this.#flushed, kept);
  }

  /** Makes the pack durable and visible. @returns bytes added to the store */
  async finish(): Promise<number> {
    if (this.#places.length === 0) {
      await this.discard();
      return 0;
    }
    this.#drain();
    const indexOffset = this.position;
    const form: PackForm = this.#places.some(({ packed }) => packed) ? 'packed' : 'plain';
    this.#write(encodeIndex(this.#places, indexOffset, form));
    const size = this.position;
    const file = this.#open();
    writeSync(file, magicOf(form), 0, magicLength, 0);
    ftruncateSync(file, size);
    await flush(file);
    this.#close();
    const name = this.#temporary.slice(this.#temporary.lastIndexOf('-') + 1);
    await publish(this.#temporary, join(this.#layout.packs, `${name}.pack`));
    return size;
  }

  async discard(): Promise<void> {
    this.#close();
    await rm(this.#temporary, { force: true });
  }

  #add(place: BlobPlace): void {
    this.#places.push(place);
    this.#written.add(place.digest);
  }

  #drain(): void {
    const length = this.#buffered;
    this.#buffered = 0;
    if (length > 0) this.#write(this.#buffer.subarray(0, length));
  }

  #write(bytes: Uint8Array): void {
    const file = this.#open();
    let done = 0;
    while (done < bytes.length) {
      done += writeSync(file, bytes, done, bytes.length - done, magicLength + this.#flushed + done);
    }
    this.#flushed += bytes.length;
  }

  #open(): number {
    if (this.#file === undefined) {
      this.#file = openSync(this.#temporary, 'wx', 0o600);
    }
    return this.#file;
  }

  #close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }
}
