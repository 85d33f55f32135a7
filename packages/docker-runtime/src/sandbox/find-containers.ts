import { realpath } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { OpencodeToolsError, type SandboxPlan, type SandboxRuntime, isWithin } from '@opencode-tools/core';
import type { ContainerDescription, Containers } from '../engine/containers.ts';
import { labelKeys } from '../plan/labels.ts';

/** How long a container may take from being made to being started before its maker counts as gone. */
export const makerLimitMs = 3_000;
const makerPollMs = 20;

/** The containers of sandboxes that fit. */
export async function findContainers(
  containers: Containers,
  filter: Parameters<SandboxRuntime['list']>[0],
): Promise<readonly ContainerDescription[]> {
  const labels = [`${labelKeys.home}=${filter.homeId}`, `${labelKeys.kind}=sandbox`];
  if (filter.taskId) labels.push(`${labelKeys.task}=${filter.taskId}`);
  if (filter.operationId) labels.push(`${labelKeys.operation}=${filter.operationId}`);
  const ids = await containers.list(labels);
  const found = await Promise.all(ids.map(async (id) => containers.find(id)));
  return found.filter((one) => one !== undefined);
}

/** The containers of sandboxes, of whatever home, that have not stopped and have a directory of the host, a part of it or what holds it. */
export async function findContainersIn(
  containers: Containers,
  directory: string,
): Promise<readonly ContainerDescription[]> {
  const real = await realpath(directory).catch(() => directory);
  const ids = await containers.list([`${labelKeys.kind}=sandbox`], { status: ['running', 'paused', 'restarting'] });
  const found = await Promise.all(ids.map(async (id) => containers.find(id)));
  return found.filter((one) => one !== undefined).filter((one) => hasDirectory(one, real));
}

function hasDirectory({ HostConfig }: ContainerDescription, directory: string): boolean {
  const sources = (HostConfig.Mounts ?? []).flatMap(({ Type, Source }) => (Type === 'bind' && Source ? [Source] : []));
  return sources.some((source) => isWithin(source, directory) || isWithin(directory, source));
}

/** What an earlier call for the same operation made. */
export async function findMade(
  containers: Containers,
  { homeId, operationId }: SandboxPlan,
): Promise<ContainerDescription | undefined> {
  return (await findContainers(containers, { homeId, operationId }))[0];
}

/** An engine takes a container's name before it shows the container. */
export async function madeByOther(
  containers: Containers,
  plan: SandboxPlan,
): Promise<ContainerDescription | undefined> {
  const deadline = performance.now() + makerLimitMs;
  for (;;) {
    const made = await findMade(containers, plan);
    if (made || performance.now() > deadline) return made;
    await delay(makerPollMs);
  }
}

/** A container that is not started yet may have a maker who is about to: two at its first stream would both be stuck. */
export async function afterItsMaker(
  containers: Containers,
  container: ContainerDescription,
): Promise<ContainerDescription> {
  const deadline = performance.now() + makerLimitMs;
  let now: ContainerDescription | undefined = container;
  while (now?.State.Status === 'created' && performance.now() < deadline) {
    await delay(makerPollMs);
    now = await containers.find(container.Id);
  }
  if (now) return now;
  throw new OpencodeToolsError('OCT_SANDBOX_NOT_FOUND', 'The sandbox was removed while it was made', {
    details: { sandbox: container.Id },
  });
}
