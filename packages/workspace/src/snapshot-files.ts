import { type Hash, createHash, hash } from 'node:crypto';
import { readFile, readdir, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { OpencodeToolsError, type SnapshotRef, allEnded } from '@opencode-tools/core';
import type { BlobIndex } from './blob-index.ts';
import { BlobReader } from './blob-reader.ts';
import { corrupt, errnoOf } from './failures.ts';
import { type KnownLines, type TreePart, addKnown, isKnown } from './known-lines.ts';
import { type Manifest, type Piece, decodeManifest, decodePiece, encodeManifest, snapshotIdOf } from './manifest.ts';
import type { PackWriter } from './pack-writer.ts';
import { packPiece, packedKeyOf } from './packed-piece.ts';
import { storeSmall } from './store-contents.ts';
import type { StoredManifest } from './save-stat-cache.ts';
import type { StatCache } from './stat-cache.ts';
import { type StoreLayout, publish, writeFlushed } from './store-files.ts';
import type { TreeEntry } from './tree-entry.ts';

/*
 * A snapshot's file: 8 bytes of magic, bytes added to the store (64 bits, little-endian), SHA-256 over all the rest, then
 * what the pieces of the manifest are known by: the digest of one that is a blob like any file, the key of a packed one.
 */
const magic = Buffer.from('OCTSNAP\u0001', 'latin1');
const headLength = 48;
const ending = '.manifest';
/** Pieces are packed when at most one of so many is new. */
const leastKnown = 4;
const idForm = /^snp_[0-9a-f]{40}$/;

/** A snapshot with its manifest read. */
export interface LoadedSnapshot {
  readonly ref: SnapshotRef;
  readonly entries: readonly TreeEntry[];
}

/** The files that say what each snapshot holds. */
export class SnapshotFiles {
  readonly #layout: StoreLayout;
  readonly #index: BlobIndex;

  constructor(layout: StoreLayout, index: BlobIndex) {
    this.#layout = layout;
    this.#index = index;
  }

  /**
   * Finishes the pack with the manifest of the canonical tree whose blobs it has, then writes the snapshot's file.
   *
   * @param learn told of the manifest while the pack is flushed; after a crash in between not all that it hears of is there
   */
  async save(
    tree: readonly TreePart[],
    pack: PackWriter,
    learn?: (manifest: StoredManifest) => Promise<void>,
  ): Promise<SnapshotRef> {
    const { text, pieces, entries, bytes } = encodeManifest(tree);
    const keys = storePieces(pieces, { index: this.#index, pack });
    const packBytes = pack.seal();
    const packs = [...this.#index.keepers(), ...(pack.name === undefined ? [] : [pack.name])];
    const stored = pieces.map(({ from, to }, at) => ({ from, to, key: keys[at] ?? '' }));
    const finish = () => allEnded(pack.finish(), learn?.({ pieces: stored, packs }) ?? Promise.resolve());
    const digest = hash('sha256', text, 'hex');
    const id = snapshotIdOf(digest);
    const ref = { store: 'content', id, digest, entries, bytes } as const;
    if ((await this.#names(id, new Set(keys))) && (await this.has(id))) {
      await finish();
      return { ...ref, addedBytes: packBytes };
    }
    const body = Buffer.from(keys.join(''), 'hex');
    const addedBytes = packBytes + headLength + body.length;
    // Both are flushed at once; only then the pack gets its name, and after that the snapshot.
    const written = writeFlushed(this.#layout, [encodeHead(body, addedBytes), body]);
    try {
      const [temporary] = await allEnded(written, finish());
      await publish(temporary, this.#path(id));
    } catch (error) {
      const temporary = await written.catch(() => undefined);
      if (temporary !== undefined) await rm(temporary, { force: true });
      throw error;
    }
    return { ...ref, addedBytes };
  }

  /** Whether there is such a snapshot; if so, no collection removes it for the next hour. */
  async has(id: string): Promise<boolean> {
    if (!idForm.test(id)) return false;
    const now = new Date();
    return utimes(this.#path(id), now, now).then(
      () => true,
      (error: unknown) => {
        // Of a store that cannot be written nothing is collected.
        if (errnoOf(error) === 'EROFS') return true;
        return false;
      },
    );
  }

  /** Those that were frozen or asked for since a moment. */
  async usedSince(sinceMs: number): Promise<readonly string[]> {
    const used: string[] = [];
    for (const id of await this.list()) {
      const facts = await stat(this.#path(id)).catch(() => undefined);
      if (facts === undefined || facts.mtimeMs > sinceMs) used.push(id);
    }
    return used;
  }

  async list(): Promise<readonly string[]> {
    const names = await readdir(this.#layout.snapshots);
    return names.filter((name) => name.endsWith(ending)).map((name) => name.slice(0, -ending.length));
  }

  /** Whether the file of a snapshot is sound and all its pieces are stored; they are not read. */
  async isWhole(id: string): Promise<boolean> {
    if (!idForm.test(id)) return false;
    await this.#index.refresh();
    return this.#names(id, new Set());
  }

  /** The digests of the pieces of a snapshot's manifest. @throws as `load` */
  async pieces(id: string): Promise<readonly string[]> {
    return piecesOf(id, await this.#read(id));
  }

  /** @throws OpencodeToolsError `OCT_CHECKPOINT_NOT_FOUND`, `OCT_CHECKPOINT_CORRUPT` */
  async load(id: string): Promise<LoadedSnapshot> {
    const file = await this.#read(id);
    await this.#index.refresh();
    const { digest, entries, bytes } = this.#decode(id, file);
    const addedBytes = Number(file.readBigUInt64LE(8));
    return { ref: { store: 'content', id, digest, entries: entries.length, bytes, addedBytes }, entries };
  }

  /**
   * A snapshot with its manifest read and checked; what a cache has of it is given as what is known.
   *
   * @throws as `load`
   */
  async loadBeside(id: string, cache: StatCache): Promise<readonly TreePart[]> {
    const file = await this.#read(id);
    await this.#index.refresh();
    using blobs = new BlobReader(this.#index, id);
    const parts: ({ readonly type: 'piece'; readonly bytes: Buffer } | KnownLines)[] = [];
    for (const key of piecesOf(id, file)) {
      const [from, to] = cache.linesOf(key) ?? [];
      if (from === undefined || to === undefined) parts.push({ type: 'piece', bytes: blobs.readPiece(key) });
      else addKnown(parts, cache, from, to);
    }
    const sum = createHash('sha256');
    for (const part of parts) sum.update(isKnown(part) ? cache.lines(part.from, part.to) : part.bytes);
    checkSum(id, sum);
    return parts.flatMap((part, at): readonly TreePart[] =>
      isKnown(part) ? [part] : decodePiece(part.bytes, at === 0),
    );
  }

  /**
   * What two snapshots have apart from each other: all that differs is in it, and some that does not. Both manifests are read and
   * checked whole; null is an empty tree.
   *
   * @throws as `load`
   */
  async loadApart(
    fromId: string | null,
    toId: string | null,
  ): Promise<Readonly<Record<'from' | 'to', readonly TreeEntry[]>>> {
    const files = [fromId, toId].map(async (id) => (id === null ? undefined : { id, file: await this.#read(id) }));
    const [from, to] = await Promise.all(files);
    await this.#index.refresh();
    const before = from && this.#pieces(from.id, from.file);
    const after = to && this.#pieces(to.id, to.file, before);
    return { from: entriesApart(before, after), to: entriesApart(after, before) };
  }

  #decode(id: string, file: Buffer): Manifest {
    return decodeManifest(Buffer.concat([...this.#pieces(id, file).values()]));
  }

  /** The texts of all pieces in order, by what each is known by. */
  #pieces(id: string, file: Buffer, known?: ReadonlyMap<string, Buffer>): ReadonlyMap<string, Buffer> {
    using blobs = new BlobReader(this.#index, id);
    const pieces = new Map(piecesOf(id, file).map((key) => [key, known?.get(key) ?? blobs.readPiece(key)]));
    const sum = createHash('sha256');
    for (const piece of pieces.values()) sum.update(piece);
    checkSum(id, sum);
    return pieces;
  }

  /** Whether the file is sound and names pieces that are stored: another form of one may have been before it was lost. */
  async #names(id: string, stored: ReadonlySet<string>): Promise<boolean> {
    const file = await readFile(this.#path(id)).catch(() => undefined);
    if (file === undefined || checkEnvelope(file) !== undefined) return false;
    for (let at = headLength; at < file.length; at += 32)
      if (!this.#index.hasIn(file, at) && !stored.has(file.toString('hex', at, at + 32))) return false;
    return true;
  }

  async #read(id: string): Promise<Buffer> {
    if (!idForm.test(id)) throw unknown(id);
    const path = this.#path(id);
    // A collection moves a manifest aside for a moment, before it knows that it stays.
    for (const place of [path, join(this.#layout.leaving, `${id}${ending}`), path]) {
      try {
        return await readFile(place);
      } catch (error) {
        if (errnoOf(error) !== 'ENOENT') throw error;
      }
    }
    throw corrupt(id, 'its manifest', 'the file is missing');
  }

  #path(id: string): string {
    return join(this.#layout.snapshots, `${id}${ending}`);
  }
}

/** Stores the pieces that the store lacks. @returns what each is known by */
function storePieces(
  pieces: readonly Piece[],
  store: { readonly index: BlobIndex; readonly pack: PackWriter },
): readonly string[] {
  const has = (key: string): boolean => store.index.has(key) || store.pack.has(key);
  let kept: readonly string[] | undefined;
  const isKept = (packs: readonly string[]): boolean => {
    if (packs !== kept && store.index.keepsAll(packs)) kept = packs;
    return packs === kept;
  };
  const known = pieces.map(({ bytes, known: before }) => {
    if (before !== undefined && isKept(before.packs)) return before.key;
    const digest = hash('sha256', bytes, 'hex');
    if (has(digest)) return digest;
    const key = packedKeyOf(digest);
    return has(key) ? key : undefined;
  });
  const missing = known.filter((key) => key === undefined).length;
  // Packing takes longer than writing, so it is for manifests that say little new.
  const packs = missing * leastKnown <= pieces.length;
  return pieces.map(
    ({ bytes }, at) => known[at] ?? (packs ? storePacked(bytes, store) : storeSmall(bytes, store).digest),
  );
}

function storePacked(piece: Buffer, store: { readonly index: BlobIndex; readonly pack: PackWriter }): string {
  const packed = packPiece(piece);
  if (packed.length >= piece.length) return storeSmall(piece, store).digest;
  const key = packedKeyOf(hash('sha256', piece, 'hex'));
  if (store.pack.has(key)) return key;
  const from = store.pack.position;
  store.pack.append(packed);
  store.pack.record(key, from);
  return key;
}

/** The entries in pieces that another manifest does not have. */
function entriesApart(
  pieces: ReadonlyMap<string, Buffer> | undefined,
  others: ReadonlyMap<string, Buffer> | undefined,
): readonly TreeEntry[] {
  const keys = [...(pieces?.keys() ?? [])];
  return keys.flatMap((key, at) =>
    others?.has(key) ? [] : decodePiece(pieces?.get(key) ?? Buffer.alloc(0), at === 0),
  );
}

function piecesOf(id: string, file: Buffer): readonly string[] {
  const fault = checkEnvelope(file);
  if (fault !== undefined) throw corrupt(id, 'its manifest', fault);
  const digests: string[] = [];
  for (let at = headLength; at < file.length; at += 32) digests.push(file.toString('hex', at, at + 32));
  return digests;
}

function checkSum(id: string, sum: Hash): void {
  if (snapshotIdOf(sum.digest('hex')) !== id) throw corrupt(id, 'its manifest', 'it belongs to another snapshot');
}

function encodeHead(body: Buffer, addedBytes: number): Buffer {
  const head = Buffer.alloc(headLength);
  magic.copy(head);
  head.writeBigUInt64LE(BigInt(addedBytes), 8);
  sumOf(head, body).copy(head, 16);
  return head;
}

function checkEnvelope(file: Buffer): string | undefined {
  if (file.length < headLength || !file.subarray(0, 8).equals(magic)) return 'it is no manifest';
  const sum = sumOf(file, file.subarray(headLength));
  return sum.equals(file.subarray(16, headLength)) ? undefined : 'its bytes changed';
}

function sumOf(head: Buffer, body: Buffer): Buffer {
  return hash('sha256', Buffer.concat([head.subarray(0, 16), body]), 'buffer');
}

function unknown(id: string): OpencodeToolsError {
  return new OpencodeToolsError('OCT_CHECKPOINT_NOT_FOUND', `No snapshot ${id.slice(0, 80)} in this store`, {
    details: { snapshotId: id.slice(0, 80) },
  });
}
