import { createHash, hash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { OpencodeToolsError, type SnapshotRef } from '@opencode-tools/core';
import type { BlobIndex } from './blob-index.ts';
import { BlobReader } from './blob-reader.ts';
import { corrupt, errnoOf } from './failures.ts';
import { type Manifest, decodeManifest, encodeManifest, snapshotIdOf } from './manifest.ts';
import type { PackWriter } from './pack-writer.ts';
import { storeSmall } from './freeze-directory.ts';
import { type StoreLayout, writeDurably } from './store-files.ts';
import type { TreeEntry } from './tree-entry.ts';

/*
 * A snapshot's file: 8 bytes of magic, bytes added to the store (64 bits, little-endian), SHA-256 over all the rest, then
 * the digests of the pieces of the manifest, which are blobs like any file.
 */
const magic = Buffer.from('OCTSNAP\u0001', 'latin1');
const headLength = 48;
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

  /** Finishes the pack with the manifest of the canonical tree whose blobs it has, then writes the snapshot's file. */
  async save(entries: readonly TreeEntry[], pack: PackWriter): Promise<SnapshotRef> {
    const sum = createHash('sha256');
    const digests: string[] = [];
    for (const piece of encodeManifest(entries)) {
      sum.update(piece);
      digests.push(storeSmall(piece, { index: this.#index, pack }).digest);
    }
    const packBytes = await pack.finish();
    const digest = sum.digest('hex');
    const id = snapshotIdOf(digest);
    const bytes = entries.reduce((total, entry) => total + (entry.type === 'file' ? entry.size : 0), 0);
    const ref = { store: 'content', id, digest, entries: entries.length, bytes } as const;
    if (await this.#isSound(id)) return { ...ref, addedBytes: packBytes };
    const body = Buffer.from(digests.join(''), 'hex');
    const addedBytes = packBytes + headLength + body.length;
    await writeDurably(this.#layout, this.#path(id), [encodeHead(body, addedBytes), body]);
    return { ...ref, addedBytes };
  }

  async has(id: string): Promise<boolean> {
    if (!idForm.test(id)) return false;
    return stat(this.#path(id)).then(
      () => true,
      () => false,
    );
  }

  /** @throws OpencodeToolsError `OCT_CHECKPOINT_NOT_FOUND`, `OCT_CHECKPOINT_CORRUPT` */
  async load(id: string): Promise<LoadedSnapshot> {
    const file = await this.#read(id);
    await this.#index.refresh();
    const { digest, entries, bytes } = this.#decode(id, file);
    const addedBytes = Number(file.readBigUInt64LE(8));
    return { ref: { store: 'content', id, digest, entries: entries.length, bytes, addedBytes }, entries };
  }

  #decode(id: string, file: Buffer): Manifest {
    const fault = checkEnvelope(file);
    if (fault !== undefined) throw corrupt(id, 'its manifest', fault);
    using blobs = new BlobReader(this.#index, id);
    const pieces: Buffer[] = [];
    for (let at = headLength; at < file.length; at += 32) {
      pieces.push(blobs.readPiece(file.toString('hex', at, at + 32)));
    }
    const manifest = decodeManifest(Buffer.concat(pieces));
    if (snapshotIdOf(manifest.digest) !== id) throw corrupt(id, 'its manifest', 'it belongs to another snapshot');
    return manifest;
  }

  async #isSound(id: string): Promise<boolean> {
    const file = await readFile(this.#path(id)).catch(() => undefined);
    return file !== undefined && checkEnvelope(file) === undefined;
  }

  async #read(id: string): Promise<Buffer> {
    if (!idForm.test(id)) throw unknown(id);
    try {
      return await readFile(this.#path(id));
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') throw unknown(id);
      throw error;
    }
  }

  #path(id: string): string {
    return join(this.#layout.snapshots, `${id}.manifest`);
  }
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
