import { type FileHandle, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '@opencode-tools/core';
import { BlobTable } from './blob-table.ts';
import { errnoOf } from './failures.ts';
import { type BlobPlace, type PackRows, decodeIndex, locateIndex, magicLength, trailerLength } from './pack-format.ts';
import type { StoreLayout } from './store-files.ts';

/** A blob in a pack of this store. */
export interface StoredBlob extends BlobPlace {
  readonly pack: string;
}

interface ReadPack {
  readonly name: string;
  readonly path: string;
  readonly rows: PackRows;
}

/** A pack as the index knows it. */
export interface KnownPack {
  readonly name: string;
  /** Undefined for a damaged pack. */
  readonly places: readonly BlobPlace[] | undefined;
}

/**
 * Knows where every blob of the store is. Packs never change, so each is read once; `refresh` looks for packs that other
 * processes added or removed. A damaged pack is reported and counts as absent, so that its blobs are written anew; so does
 * what only a condemned pack holds, which can still be read.
 */
export class BlobIndex {
  readonly #layout: Pick<StoreLayout, 'packs' | 'condemned'>;
  readonly #logger: Logger;
  /** Undefined for a damaged one. */
  readonly #packs = new Map<string, ReadPack | undefined>();
  #condemned: ReadonlySet<string> = new Set();
  #blobs = new BlobTable<ReadPack>();
  #hasPacked = false;

  constructor(layout: Pick<StoreLayout, 'packs' | 'condemned'>, logger: Logger) {
    this.#layout = layout;
    this.#logger = logger;
  }

  /** Where a blob can be read, if need be in a condemned pack. */
  find(digest: string): StoredBlob | undefined {
    const found = this.#blobs.find(digest);
    return found && { ...found.pack.rows.placeAt(found.row), pack: found.pack.path };
  }

  /** Whether a blob is stored to stay. */
  has(digest: string): boolean {
    return this.#stays(this.#blobs.find(digest));
  }

  /** As `has`, for the 32 bytes of a digest as they lie at a place. */
  hasIn(bytes: Buffer, at: number): boolean {
    return this.#stays(this.#blobs.findIn(bytes, at));
  }

  #stays(found: { readonly pack: ReadPack } | undefined): boolean {
    return found !== undefined && !this.#condemned.has(found.pack.name);
  }

  /** Whether any blob may be stored in less space. */
  get hasPacked(): boolean {
    return this.#hasPacked;
  }

  packs(): readonly KnownPack[] {
    return [...this.#packs].map(([name, pack]) => ({ name, places: pack?.rows.places() }));
  }

  /** The packs that stay. */
  keepers(): readonly string[] {
    return [...this.#packs].flatMap(([name, pack]) => (pack === undefined || this.#condemned.has(name) ? [] : [name]));
  }

  /** Whether packs are all there to stay. */
  keepsAll(names: readonly string[]): boolean {
    return names.every((name) => this.#packs.get(name) !== undefined && !this.#condemned.has(name));
  }

  async refresh(): Promise<void> {
    const condemned = new Set(await readdir(this.#layout.condemned).catch(() => []));
    const present = new Set((await readdir(this.#layout.packs)).filter((name) => name.endsWith('.pack')));
    const gone = [...this.#packs.keys()].filter((name) => !present.has(name));
    for (const name of gone) this.#packs.delete(name);
    const isAnew = gone.length > 0 || !isEqual(condemned, this.#condemned);
    this.#condemned = condemned;
    const added: string[] = [];
    for (const name of present) {
      if (this.#packs.has(name)) continue;
      const pack = await this.#read(name);
      if (pack === 'gone') continue;
      this.#packs.set(name, pack);
      added.push(name);
    }
    if (isAnew) this.#blobs = new BlobTable();
    const last = (name: string): number => (condemned.has(name) ? 1 : 0);
    const toAdd = (isAnew ? [...this.#packs.keys()] : added).toSorted((one, other) => last(one) - last(other));
    for (const name of toAdd) this.#add(name);
    this.#hasPacked = [...this.#packs.values()].some((pack) => pack?.rows.form === 'packed');
  }

  #add(name: string): void {
    const pack = this.#packs.get(name);
    if (pack !== undefined) this.#blobs.add(pack, (other) => this.#condemned.has(other.name));
  }

  /** The pack may have been collected since it was listed. */
  async #read(name: string): Promise<ReadPack | undefined | 'gone'> {
    const path = join(this.#layout.packs, name);
    const file = await open(path, 'r').catch((error: unknown) => {
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw error;
    });
    if (file === undefined) return 'gone';
    try {
      const rows = await readIndex(file);
      if (rows === undefined) this.#logger.warn('A pack of the store is damaged and left aside', { pack: name });
      return rows && { name, path, rows };
    } finally {
      await file.close();
    }
  }
}

function isEqual(one: ReadonlySet<string>, other: ReadonlySet<string>): boolean {
  return one.size === other.size && [...one].every((name) => other.has(name));
}

async function readIndex(file: FileHandle): Promise<PackRows | undefined> {
  const { size } = await file.stat();
  if (size < magicLength + trailerLength) return undefined;
  const magic = await readAt(file, 0, magicLength);
  const trailer = await readAt(file, size - trailerLength, trailerLength);
  const where = locateIndex(magic, trailer, size);
  if (where === undefined) return undefined;
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
