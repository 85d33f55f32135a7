import type { HomeId } from '@opencode-tools/core';
import type { Containers } from '../engine/containers.ts';
import { labelKeys } from '../plan/labels.ts';

/** Containers of a home by which trees of volumes are read and written. */
export async function listHelperContainers(
  containers: Containers,
  homeId: HomeId,
): Promise<readonly { readonly ref: string; readonly name: string; readonly createdAt: string }[]> {
  const ids = await containers.list([`${labelKeys.home}=${homeId}`, `${labelKeys.kind}=helper`]);
  const found = await Promise.all(ids.map(async (id) => containers.find(id)));
  return found
    .filter((one) => one !== undefined)
    .map(({ Id, Name, Created }) => ({ ref: Id, name: Name.slice(1), createdAt: Created }));
}

/** Absent is fine; anything that is no helper of this home is left alone. */
export async function removeHelperContainer(containers: Containers, homeId: HomeId, ref: string): Promise<void> {
  const labels = (await containers.find(ref))?.Config.Labels;
  if (labels?.[labelKeys.home] === homeId && labels[labelKeys.kind] === 'helper') await containers.remove(ref);
}
