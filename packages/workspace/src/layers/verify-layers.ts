import type { AlreadyRead, LayerPort } from '@opencode-tools/core';
import { corrupt } from '../failures.ts';
import type { LayerSnapshot } from './layer-files.ts';
import { layerGone } from './layer-stock.ts';

/**
 * Reads every layer of a snapshot that was not read already, and compares it with what it was when it was made. Where the holes of a sparse file are cannot be
 * noticed.
 *
 * @throws OpencodeToolsError `OCT_CHECKPOINT_CORRUPT` naming the layer
 */
export async function verifyLayers(
  layers: LayerPort,
  { id, layers: names, sums }: LayerSnapshot,
  already: AlreadyRead,
): Promise<void> {
  for (const [at, layer] of names.entries()) {
    const reading = already.get(layer) ?? layers.digest(layer);
    already.set(layer, reading);
    const digest = await reading;
    if (digest === undefined) throw layerGone(id, layer);
    if (digest !== sums[at]) throw corrupt(id, `layer ${layer}`, 'it is not what it was');
  }
}
