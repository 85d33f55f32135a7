import type { SnapshotRef } from '@opencode-tools/core';
import { toBytePath } from './byte-path.ts';
import { storeFailure, throwIfCancelled } from './failures.ts';
import { type FreezeDirectoryOptions, type FrozenTree, freezeDirectory } from './freeze-directory.ts';
import { PackWriter } from './pack-writer.ts';
import type { Collect, StoreParts } from './store-parts.ts';

/**
 * Saves the tree that is read into a new pack as a snapshot. Of what fails nothing is left.
 *
 * @returns undefined where nothing was read
 */
export function saveTree(parts: StoreParts, collect: Collect, signal: AbortSignal | undefined): Promise<SnapshotRef>;
export function saveTree(
  parts: StoreParts,
  collect: Collect<undefined>,
  signal: AbortSignal | undefined,
): Promise<SnapshotRef | undefined>;
export async function saveTree(
  { layout, index, snapshots, uses }: StoreParts,
  collect: Collect<undefined>,
  signal: AbortSignal | undefined,
): Promise<SnapshotRef | undefined> {
  const pack = new PackWriter(layout);
  await using _ = await uses.begin();
  try {
    await index.refresh();
    const collected = await collect({ layout, index, pack });
    if (collected !== undefined) {
      const { tree, learn }: FrozenTree = 'tree' in collected ? collected : { tree: collected };
      return await snapshots.save(tree, pack, learn);
    }
    await pack.discard();
    return undefined;
  } catch (error) {
    await pack.discard();
    throwIfCancelled(signal);
    throw storeFailure(layout.root, error);
  }
}

/** Saves a directory of the host. @param path its real path */
export function saveDirectory(parts: StoreParts, path: string, options: FreezeDirectoryOptions): Promise<SnapshotRef> {
  return saveTree(parts, (store) => freezeDirectory(toBytePath(path), store, options), options.signal);
}
