import type { ApplyWork, Logger, WorkPort } from '@opencode-tools/core';
import { applyWork } from './apply-work.ts';
import { BlobIndex } from './blob-index.ts';
import { BlobReader } from './blob-reader.ts';
import { realDirectory, refuseOwnHome } from './check-directory.ts';
import { errnoOf, storeFailure, throwIfCancelled } from './failures.ts';
import { type WorkChange, reviewWork, workChanges } from './review-work.ts';
import { SnapshotFiles } from './snapshot-files.ts';
import { layoutOf } from './store-files.ts';

/** Reads the frozen trees of the content store in the directory, and brings their work into directories of the user. */
export function createWork(options: { readonly directory: string; readonly logger: Logger }): WorkPort {
  const layout = layoutOf(options.directory);
  const index = new BlobIndex(layout.packs, options.logger);
  const snapshots = new SnapshotFiles(layout, index);
  const between = async (fromId: string | null, toId: string): Promise<readonly WorkChange[]> => {
    await index.refresh();
    const from = fromId === null ? [] : (await snapshots.load(fromId)).entries;
    return workChanges(from, (await snapshots.load(toId)).entries);
  };
  return {
    review: async (fromId, toId) => {
      const changes = await between(fromId, toId);
      using blobs = new BlobReader(index, toId);
      return reviewWork(changes, blobs);
    },
    apply: async (work: ApplyWork) => {
      const directory = await realDirectory(work.directory);
      refuseOwnHome(directory, options.directory);
      const changes = await between(work.fromId, work.toId);
      throwIfCancelled(work.signal);
      using blobs = new BlobReader(index, work.toId);
      try {
        return applyWork({ ...work, directory }, changes, blobs);
      } catch (error) {
        throw errnoOf(error) === undefined ? error : storeFailure(directory, error);
      }
    },
  };
}
