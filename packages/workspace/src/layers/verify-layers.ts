import type { LayerPort } from '@opencode-tools/core';
import { corrupt } from '../failures.ts';
import type { LayerSnapshot } from './layer-files.ts';

/**
 * Reads every layer of a snapshot and compares it with what it was when it was made. Where the holes of a sparse file are cannot be
 * noticed.
 *
 * @throws OpencodeToolsError `OCT_CHECKPOINT_CORRUPT` naming the layer
 */
export async function verifyLayers(layers: LayerPort, { id, layers: names, sums }: LayerSnapshot): Promise<void> {
  for (const [at, layer] of names.entries()) {
    const digest = await layers.digest(layer);
    if (digest === undefined) throw corrupt(id, `layer ${layer}`, 'it is gone from the engine');
    if (digest !== sums[at]) throw corrupt(id, `layer ${layer}`, 'it is not what it was');
  }
}
