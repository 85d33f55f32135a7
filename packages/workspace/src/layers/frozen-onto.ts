import { type LayerPort, type SnapshotRef, isOpencodeToolsError } from '@opencode-tools/core';
import type { ContentStore } from '../content-store-contract.ts';
import type { LayerFiles, LayerSnapshot } from './layer-files.ts';

/** What is read into memory at most. */
const mostBytes = 32 * 1024 * 1024;
const mostEntries = 20_000;

/**
 * Turns a stack of layers into a snapshot of the content store by reading only the layers above a beginning of it that the store
 * has already, such as the commit that its volume began with.
 *
 * @returns undefined where the whole tree has to be read
 */
export async function frozenOnto(
  { content, layers }: { readonly content: ContentStore; readonly layers: LayerPort },
  files: LayerFiles,
  snapshot: LayerSnapshot,
  signal: AbortSignal | undefined,
): Promise<SnapshotRef | undefined> {
  for await (const beginning of files.beginnings(snapshot)) {
    const known = await files.findEqual('content', beginning.id);
    if (known === undefined || !(await content.has(known))) continue;
    const above = snapshot.layers.slice(0, snapshot.layers.length - beginning.layers.length).toReversed();
    const { bytes, entries } = snapshot;
    if (bytes - beginning.bytes > mostBytes || entries - beginning.entries > mostEntries) return undefined;
    const readers = above.map((layer) => () => layers.read(layer));
    const made = await content.freezeOnto(known, readers, signal).catch((error: unknown) => {
      if (isOpencodeToolsError(error, 'OCT_CHECKPOINT_CORRUPT')) return undefined;
      throw error;
    });
    if (made !== undefined) await files.saveEqual('content', snapshot.id, made.id);
    return made;
  }
  return undefined;
}
