import { isOpencodeToolsError } from '@opencode-tools/core';
import type { BlobIndex } from './blob-index.ts';
import { BlobReader } from './blob-reader.ts';
import { digestsIn } from './manifest.ts';
import type { Pacer } from './pacer.ts';
import type { SnapshotFiles } from './snapshot-files.ts';

/**
 * The blobs that snapshots need: the pieces of their manifests, and what these name. A piece that several snapshots share is
 * read once, however often it is asked for.
 */
export class LiveBlobs {
  readonly #snapshots: SnapshotFiles;
  readonly #index: BlobIndex;
  readonly #pieces = new Map<string, readonly string[]>();

  constructor(snapshots: SnapshotFiles, index: BlobIndex) {
    this.#snapshots = snapshots;
    this.#index = index;
  }

  /** @throws OpencodeToolsError `OCT_CHECKPOINT_CORRUPT` when a manifest cannot be read: then nothing is known to be unneeded */
  async of(ids: readonly string[], pacer: Pacer): Promise<ReadonlySet<string>> {
    await this.#index.refresh();
    const live = new Set<string>();
    const done = new Set<string>();
    for (const id of ids) {
      using blobs = new BlobReader(this.#index, id);
      for (const piece of await this.#snapshots.pieces(id)) {
        if (done.has(piece)) continue;
        done.add(piece);
        live.add(piece);
        for (const digest of this.#contentsOf(piece, blobs)) live.add(digest);
        if (pacer.due()) await pacer.rest();
      }
    }
    return live;
  }

  /** The blobs that snapshots need with their bytes; what cannot be read is left out. */
  async sizesOf(ids: readonly string[], pacer: Pacer): Promise<ReadonlyMap<string, number>> {
    const sizes = new Map<string, number>();
    for (const id of new Set(ids)) {
      const live = await this.of([id], pacer).catch((error: unknown) => {
        if (isOpencodeToolsError(error)) return new Set<string>();
        throw error;
      });
      for (const digest of live) sizes.set(digest, this.#index.find(digest)?.stored ?? 0);
    }
    return sizes;
  }

  /** The pieces of manifests that were read, which are read again and again. */
  pieces(): ReadonlySet<string> {
    return new Set(this.#pieces.keys());
  }

  #contentsOf(piece: string, blobs: BlobReader): readonly string[] {
    const known = this.#pieces.get(piece) ?? digestsIn(blobs.readPiece(piece));
    this.#pieces.set(piece, known);
    return known;
  }
}
