import type { NetworkFacts } from '@opencode-tools/core';
import type { ContainerDescription } from '../engine/containers.ts';
import { labelKeys } from '../plan/labels.ts';
import type { EngineNetworks, NetworkDescription } from './engine-networks.ts';

/**
 * Puts a gateway back into the uplink that it was made in, when somebody took it out.
 *
 * @returns false when that uplink is gone: the gateway has to be made anew, since an engine starts nothing in a network that is not there
 */
export async function rejoinUplink(networks: EngineNetworks, gateway: ContainerDescription): Promise<boolean> {
  const uplink = gateway.HostConfig.NetworkMode ?? '';
  const isIn = isJoined(gateway, uplink);
  if (isIn && gateway.State.Running) return true;
  if ((await networks.find(uplink)) === undefined) return false;
  if (!isIn) await networks.connect(uplink, gateway.Id);
  return true;
}

/** A gateway, with the networks of its home that it runs without, or that it does not run. */
export function gatewayFacts(gateway: ContainerDescription, networks: readonly NetworkDescription[]): NetworkFacts {
  const { Id, Name, Created, State } = gateway;
  const facts = { kind: 'gateway', ref: Id, name: Name.slice(1), taskId: null, createdAt: Created } as const;
  if (!State.Running || State.Paused) return { ...facts, stopped: true };
  const hasUplink = networks.some(({ Labels }) => Labels?.[labelKeys.kind] === 'uplink');
  const apartFrom = [
    ...(hasUplink ? [] : ['its uplink, which is gone']),
    ...networks.filter((network) => !isJoined(gateway, network.Id)).map((network) => network.Name),
  ];
  return apartFrom.length === 0 ? facts : { ...facts, apartFrom };
}

/** One that never started says no ids. */
function isJoined({ NetworkSettings }: ContainerDescription, network: string): boolean {
  return Object.values(NetworkSettings?.Networks ?? {}).some(({ NetworkID }) => ['', network].includes(NetworkID));
}
