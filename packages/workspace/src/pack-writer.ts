import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type BlobPlace, type PackForm, encodeIndex, magicLength, magicOf } from './pack-format.ts';
import { PackOutput, outputBufferBytes } from './pack-output.ts';
import { type StoreLayout, publish, temporaryPath } from './store-files.ts';

/**
 * Writes the blobs of one freeze into one new pack. Nothing is visible to others until `finish`; `discard` leaves no
 * trace. The file is made when the first blob arrives.
 */
export class PackWriter {
  readonly #layout: StoreLayout;
  readonly #temporary: string;
  readonly #places: BlobPlace[] = [];
  readonly #written = new Set<string>();
  #buffer: Buffer = Buffer.allocUnsafe(outputBufferBytes);
  #buffered = 0;
  #flushed = 0;
  #output: PackOutput | undefined;
  #size: number | undefined;

  constructor(layout: StoreLayout) {
    this.#layout = layout;
    this.#temporary = temporaryPath(layout, 'pack');
  }

  /** What the pack is called once it is finished; undefined as long as nothing is in it. */
  get name(): string | undefined {
    const name = this.#temporary.slice(this.#temporary.lastIndexOf('-') + 1);
    return this.#places.length === 0 ? undefined : `${name}.pack`;
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
    if (this.#buffered + bytes.length > outputBufferBytes) this.#drain();
    if (bytes.length > outputBufferBytes / 2) {
      this.#drain();
      this.#write(bytes);
      return;
    }
    this.#buffer.set(bytes, this.#buffered);
    this.#buffered += bytes.length;
  }

  /** Gives memory that bytes can be read into, so that `keep` need not copy them. Good until the next call of any of these. */
  room(length: number): Buffer {
    if (this.#buffered + length > outputBufferBytes) this.#drain();
    return this.#buffer.subarray(this.#buffered, this.#buffered + length);
  }

  /** Appends bytes that are at the start of the `room`. */
  keep(bytes: Uint8Array): void {
    this.#buffered += bytes.length;
  }

  /** Appends bytes that stay as they are until they are written. */
  lend(bytes: Uint8Array): { readonly position: number; readonly written: Promise<void> } {
    this.#drain();
    const { position } = this;
    const written = this.#open().lend(bytes, position);
    this.#flushed += bytes.length;
    return { position, written };
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
  async rewind(to: number): Promise<void> {
    const kept = to - magicLength;
    // What takes the place must not be written before what was there.
    if (kept < this.#flushed) await this.#output?.settle();
    this.#buffered = Math.max(0, kept - this.#flushed);
    this.#flushed = Math.min(this.#flushed, kept);
  }

  /** Ends what is in the pack: from now on only `finish` and `discard` may be called. @returns bytes added to the store */
  seal(): number {
    if (this.#places.length === 0) return 0;
    if (this.#size === undefined) {
      this.#drain();
      const form: PackForm = this.#places.some(({ packed }) => packed) ? 'packed' : 'plain';
      this.#write(encodeIndex(this.#places, this.position, form));
      this.#open().write(magicOf(form), 0);
      this.#size = this.position;
    }
    return this.#size;
  }

  /** Makes the pack durable and visible. @returns bytes added to the store */
  async finish(): Promise<number> {
    const { name } = this;
    const size = this.seal();
    if (name === undefined) {
      await this.discard();
      return 0;
    }
    await this.#open().finish(size);
    this.#close();
    await publish(this.#temporary, join(this.#layout.packs, name));
    return size;
  }

  async discard(): Promise<void> {
    await this.#output?.settle();
    this.#close();
    await rm(this.#temporary, { force: true });
  }

  #add(place: BlobPlace): void {
    this.#places.push(place);
    this.#written.add(place.digest);
  }

  #drain(): void {
    const length = this.#buffered;
    if (length === 0) return;
    this.#buffer = this.#open().hand(this.#buffer, length, magicLength + this.#flushed);
    this.#buffered = 0;
    this.#flushed += length;
  }

  #write(bytes: Uint8Array): void {
    this.#open().write(bytes, magicLength + this.#flushed);
    this.#flushed += bytes.length;
  }

  #open(): PackOutput {
    this.#output ??= new PackOutput(this.#temporary);
    return this.#output;
  }

  #close(): void {
    this.#output?.close();
    this.#output = undefined;
  }
}
