import type { LeftOut } from '@opencode-tools/core';
import type { CopiedOut, LayerFiles, LayerSnapshot } from './layer-files.ts';
import { newName } from './layer-names.ts';
import type { LayeredStoreOptions } from './layered-store-options.ts';

/** Freezes what a stack of layers shows into the content store, by a mount for the time of this call. */
export async function freezeMounted(
  options: LayeredStoreOptions,
  files: LayerFiles,
  snapshot: LayerSnapshot,
  signal: AbortSignal | undefined,
): Promise<CopiedOut> {
  const { content, layers, volumes, labels } = options;
  const volume = `oct-view-${newName()}`;
  await using above = await aboveSingle(options, files, snapshot);
  await layers.stack({ name: volume, labels }, { upper: null, lowers: [...above.layers, ...snapshot.layers] });
  try {
    const leftOut: LeftOut[] = [];
    const onLeftOut = (one: LeftOut): void => void leftOut.push(one);
    const told = { onLeftOut, ...(signal === undefined ? {} : { signal }) };
    const { id } = await content.freeze({ kind: 'volume', volume }, told);
    return { equal: id, leftOut };
  } finally {
    await volumes.remove(volume);
  }
}

/**
 * A mount for reading takes two layers at least. The one above a single one has nothing but the attributes of the top directory,
 * which the layer may not have as the tree does, and goes afterwards.
 */
async function aboveSingle(
  { layers }: LayeredStoreOptions,
  files: LayerFiles,
  { layers: tree, root }: LayerSnapshot,
): Promise<AsyncDisposable & Pick<LayerSnapshot, 'layers'>> {
  const made = tree.length === 1 ? [newName()] : [];
  const remove = async (): Promise<void> => {
    await layers.remove(made);
    await files.marks.done(made);
  };
  await files.marks.begin(made);
  await layers.prepare(made.map((name) => ({ name, root, like: tree[0] })));
  return { layers: made, [Symbol.asyncDispose]: made.length === 0 ? () => Promise.resolve() : remove };
}
