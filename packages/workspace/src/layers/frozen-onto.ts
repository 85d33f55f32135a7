import { type LayerPort, type LeftOut, isOpencodeToolsError } from '@opencode-tools/core';
import type { ContentStore } from '../content-store-contract.ts';
import type { CopiedOut, LayerFiles, LayerSnapshot } from './layer-files.ts';
import { inLayersOf } from './layer-names.ts';

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
): Promise<CopiedOut | undefined> {
  for await (const beginning of files.beginnings(snapshot)) {
    const { equal: known, leftOut: lacking = [] } = (await files.findContent(beginning.id)) ?? {};
    // Whether what is not in it is still there only the whole tree tells.
    if (known === undefined || lacking.length > 0 || !(await content.has(known))) continue;
    const above = snapshot.layers.slice(0, snapshot.layers.length - beginning.layers.length).toReversed();
    const [all, below] = [inLayersOf(snapshot), inLayersOf(beginning)];
    if (all.bytes - below.bytes > mostBytes || all.entries - below.entries > mostEntries) return undefined;
    const readers = above.map((layer) => () => layers.read(layer));
    const leftOut: LeftOut[] = [];
    const onLeftOut = (one: LeftOut): void => void leftOut.push(one);
    const options = { onLeftOut, ...(signal === undefined ? {} : { signal }) };
    const made = await content.freezeOnto(known, readers, options).catch((error: unknown) => {
      if (isOpencodeToolsError(error, 'OCT_CHECKPOINT_CORRUPT')) return undefined;
      throw error;
    });
    if (made === undefined) return undefined;
    await files.saveEqual('content', snapshot.id, made.id, leftOut);
    return { equal: made.id, leftOut };
  }
  return undefined;
}
