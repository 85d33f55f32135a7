import type { ContainerDescription, Containers } from '../engine/containers.ts';
import { makerLimitMs } from './find-containers.ts';

/** What was made since, when whoever waits for its maker no longer did and started it. The time is of `performance.now()`. */
export async function takenOver(
  containers: Containers,
  id: string,
  since: number,
): Promise<ContainerDescription | undefined> {
  if (performance.now() - since < makerLimitMs) return undefined;
  const now = await containers.find(id);
  return now?.State.Running ? now : undefined;
}
