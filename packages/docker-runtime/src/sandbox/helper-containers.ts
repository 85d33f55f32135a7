import type { HelperFacts, HomeId } from '@opencode-tools/core';
import type { ContainerDescription, Containers } from '../engine/containers.ts';
import { labelKeys } from '../plan/labels.ts';

const kinds = ['helper', 'layer-helper'];

/** Containers of a home by which trees of volumes are read and written, but those that run: they end by themselves. */
export async function listHelperContainers(containers: Containers, homeId: HomeId): Promise<readonly HelperFacts[]> {
  const ids = await Promise.all(
    kinds.map(async (kind) => containers.list([`${labelKeys.home}=${homeId}`, `${labelKeys.kind}=${kind}`])),
  );
  const found = await Promise.all(ids.flat().map(async (id) => containers.find(id)));
  return found
    .filter((one) => one !== undefined)
    .filter(({ State }) => State.Status === 'created' || hasEnded(State))
    .map(({ Id, Name, Created, State }) => {
      const endedAt = hasEnded(State) ? State.FinishedAt : null;
      return { ref: Id, name: Name.slice(1), createdAt: Created, endedAt };
    });
}

function hasEnded({ Status }: ContainerDescription['State']): boolean {
  return Status === 'exited' || Status === 'dead';
}

/** Absent is fine; anything that is no helper of this home is left alone. */
export async function removeHelperContainer(containers: Containers, homeId: HomeId, ref: string): Promise<void> {
  const labels = (await containers.find(ref))?.Config.Labels;
  if (labels?.[labelKeys.home] === homeId && kinds.includes(labels[labelKeys.kind] ?? '')) await containers.remove(ref);
}
