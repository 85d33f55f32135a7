import type { GroupUsage, LayerPort } from '@opencode-tools/core';
import { type Needed, measureUse } from '../measure-use.ts';
import type { LayerFiles } from './layer-files.ts';
import { isLayered } from './layer-names.ts';

/** What the layered snapshots of each group take; the others are the content store's. */
export async function layerUsage(
  layers: LayerPort,
  files: LayerFiles,
  groups: readonly (readonly string[])[],
): Promise<readonly GroupUsage[]> {
  const sizes = new Map((await layers.list()).map(({ name, diskBytes }) => [name, diskBytes]));
  const neededBy = async (ids: readonly string[]): Promise<Needed> => {
    const found = await Promise.all(ids.filter(isLayered).map((id) => files.findSnapshot(id)));
    const names = found.flatMap((snapshot) => snapshot?.layers ?? []);
    return new Map(names.map((name) => [name, sizes.get(name) ?? 0]));
  };
  return measureUse(await Promise.all(groups.map(neededBy)));
}
