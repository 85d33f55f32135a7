import type { HomeId } from '@opencode-tools/core';
import type { Containers } from '../engine/containers.ts';
import { labelKeys } from '../plan/labels.ts';

const kinds = ['helper', 'layer-helper'];

/**
 * Containers of a home by which trees of volumes are read and written. Those that work on layers end with their process, unless it
 * died before they began.
 */
export async function listHelperContainers(
  containers: Containers,
  homeId: HomeId,
): Promise<readonly { readonly ref: string; readonly name: string; readonly createdAt: string }[]> {
  const ids = await Promise.all(
    kinds.map(async (kind) => containers.list([`${labelKeys.home}=${homeId}`, `${labelKeys.kind}=${kind}`])),
  );
  const found = await Promise.all(ids.flat().map(async (id) => containers.find(id)));
  return found
    .filter((one) => one !== undefined)
    .filter(({ Config, State }) => Config.Labels?.[labelKeys.kind] === 'helper' || State.Status === 'created')
    .map(({ Id, Name, Created }) => ({ ref: Id, name: Name.slice(1), createdAt: Created }));
}

/** Absent is fine; anything that is no helper of this home is left alone. */
export async function removeHelperContainer(containers: Containers, homeId: HomeId, ref: string): Promise<void> {
  const labels = (await containers.find(ref))?.Config.Labels;
  if (labels?.[labelKeys.home] === homeId && kinds.includes(labels[labelKeys.kind] ?? '')) await containers.remove(ref);
}
