import { type FileHandle, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '@opencode-tools/core';
import { type BlobPlace, decodeIndex, locateIndex, packMagic, trailerLength } from './pack-format.ts';

/** A blob in a pack of this store. */
export interface StoredBlob extends BlobPlace {
  readonly pack: string;
}

/**
 * Knows where every blob of the store is. Packs never change, so each is read once; `refresh` looks for packs that other
 * processes added or removed. A damaged pack is reported and counts as absent, so that its blobs are written anew.
 */
export class BlobIndex {
  readonly #directory: string;
  readonly #logger: Logger;
  readonly #packs = new Map<string, readonly BlobPlace[]>();
  #blobs = new Map<string, StoredBlob>();

  constructor(directory: string, logger: Logger) {
    this.#directory = directory;
    this.#logger = logger;
  }

  find(digest: string): StoredBlob | undefined {
    return this.#blobs.get(digest);
  }

  has(digest: string): boolean {
    return this.#blobs.has(digest);
  }

  async refresh(): Promise<void> {
    const present = new Set((await readdir(this.#directory)).filter((name) => name.endsWith('.pack')));
    const gone = [...this.#packs.keys()].filter((name) => !present.has(name));
    for (const name of gone) this.#packs.delete(name);
    if (gone.length > 0) this.#blobs = new Map();
    for (const [name, places] of gone.length > 0 ? this.#packs : []) this.#add(name, places);
    for (const name of present) {
      if (this.#packs.has(name)) continue;
      const places = await this.#read(name);
      this.#packs.set(name, places);
      this.#add(name, places);
    }
  }

  #add(name: string, places: readonly BlobPlace[]): void {
    const pack = join(this.#directory, name);
    for (const { digest, offset, length } of places) this.#blobs.set(digest, { digest, offset, length, pack });
  }

  async #read(name: string): Promise<readonly BlobPlace[]> {
    const file = await open(join(this.#directory, name), 'r');
    try {
      const places = await readIndex(file);
      if (places === undefined) this.#logger.warn('A pack of the store is damaged and left aside', { pack: name });
      return places ?? [];
    } finally {
      await file.close();
    }
  }
}

async function readIndex(file: FileHandle): Promise<readonly BlobPlace[] | undefined> {
  const { size } = await file.stat();
  if (size < packMagic.length + trailerLength) return undefined;
  const trailer = await readAt(file, size - trailerLength, trailerLength);
  const where = locateIndex(trailer, size);
  if (where === undefined) return undefined;
  const magic = await readAt(file, 0, packMagic.length);
  return decodeIndex(magic, await readAt(file, where.offset, where.length), trailer);
}

async function readAt(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await file.read(buffer, done, length - done, position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return buffer;
}
