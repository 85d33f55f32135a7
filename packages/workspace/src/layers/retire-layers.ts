import type { LayerPort } from '@opencode-tools/core';
import type { LayerFiles } from './layer-files.ts';

/**
 * Removes the volume of layers when all that it holds was made ahead: a layer without content, and spare uppers. Who wants to begin
 * work on layers meanwhile waits; who has begun is seen here, and then nothing goes.
 *
 * @returns false when something needs it
 */
export async function retireLayers(layers: LayerPort, files: LayerFiles): Promise<boolean> {
  return files.marks.alone(async () => {
    const empty = await files.findEqual('base', 'empty');
    const isNeeded =
      (await files.listSnapshots()).some((id) => id !== empty) ||
      (await files.marks.listUnderWay()).length > 0 ||
      (await layers.stacks()).length > 0;
    // Another process may have its helper in the volume; then what is known of it stays true.
    if (isNeeded || !(await layers.retire())) return false;
    await files.forgetAll();
    return true;
  });
}
