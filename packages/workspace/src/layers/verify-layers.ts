import type { LayerPort } from '@opencode-tools/core';
import { corrupt } from '../failures.ts';
import type { LayerFiles, LayerSnapshot } from './layer-files.ts';

/**
 * Reads every layer of a snapshot and compares it with what it was when it was first read. A change before the first reading
 * cannot be noticed, and neither can where the holes of a sparse file are.
 *
 * @throws OpencodeToolsError `OCT_CHECKPOINT_CORRUPT` naming the layer
 */
export async function verifyLayers(layers: LayerPort, files: LayerFiles, snapshot: LayerSnapshot): Promise<void> {
  for (const layer of snapshot.layers) {
    const digest = await layers.digest(layer);
    if (digest === undefined) throw corrupt(snapshot.id, `layer ${layer}`, 'it is gone from the engine');
    const known = await files.findDigest(layer);
    if (known === undefined) await files.saveDigest(layer, digest);
    else if (known !== digest) throw corrupt(snapshot.id, `layer ${layer}`, 'it is not what it was');
  }
}
