import {
  type GatewayPlan,
  type HomeId,
  type Logger,
  type NetworkFacts,
  type NetworkPort,
  OpencodeToolsError,
  type TaskId,
  type TaskNetwork,
  shortId,
} from '@opencode-tools/core';
import { buffer } from 'node:stream/consumers';
import { Containers, absentAsUndefined } from '../engine/containers.ts';
import type { EngineClient } from '../engine/engine-client.ts';
import type { Engine } from '../engine/engine.ts';
import { asPortError, hasStatus } from '../engine/engine-error.ts';
import { labelKeys } from '../plan/labels.ts';
import { EngineNetworks, type NetworkDescription } from './engine-networks.ts';
import { gatewayOptions } from './gateway-options.ts';
import { gatewayFacts, rejoinUplink } from './joined-networks.ts';
import { ensureNodeImage } from './node-image.ts';
import { outputOf } from './output-of.ts';
import { type Subnet, subnetOf, subnetsFor } from './subnets.ts';

const subnetTries = 40;
const attempts = 3;

interface Tools {
  readonly client: EngineClient;
  readonly containers: Containers;
  readonly networks: EngineNetworks;
}

interface Joined {
  readonly NetworkSettings: { readonly Networks: Readonly<Record<string, { readonly NetworkID: string }>> | null };
}

/**
 * Networks on a Docker Engine. A task's network is internal and `inhibit_ipv4` keeps the host out of it: without that an internal
 * network still leads to whatever listens on the host. In it are the sandbox and the gateway; the gateway's container is
 * also in the home's uplink, an ordinary network, and forwards no packets between them.
 */
export class DockerNetworks implements NetworkPort {
  readonly #engine: Engine;
  readonly #homeId: HomeId;
  readonly #logger: Logger;

  constructor(engine: Engine, homeId: HomeId, logger: Logger) {
    this.#engine = engine;
    this.#homeId = homeId;
    this.#logger = logger;
  }

  async attach(taskId: TaskId, sandboxRef: string, plan: GatewayPlan): Promise<TaskNetwork> {
    try {
      return await this.#attach(await this.#tools(), taskId, sandboxRef, plan);
    } catch (error) {
      throw asPortError(error, 'Giving a sandbox its network');
    }
  }

  async detach(taskId: TaskId, sandboxRef: string | null): Promise<boolean> {
    try {
      const tools = await this.#tools();
      const networks = await tools.networks.list(this.#of(taskId));
      for (const { Id } of networks) await this.#dissolve(tools, Id, sandboxRef);
      if (networks.length > 0) await this.#removeIdleGateway(tools);
      return networks.length > 0;
    } catch (error) {
      throw asPortError(error, 'Taking the network from a sandbox');
    }
  }

  async tell(plan: GatewayPlan, argv: readonly string[], told: string): Promise<string> {
    try {
      const { containers } = await this.#tools();
      const user = `${plan.user.uid}:${plan.user.gid}`;
      const stream = await containers.exec(this.#gatewayName(), {
        user,
        env: [],
        argv: ['node', ...plan.argv, ...argv],
      });
      stream.end(told);
      const [, said] = /taken([^]*)/.exec(outputOf(await buffer(stream))) ?? [];
      if (said !== undefined) return said;
      throw new OpencodeToolsError('OCT_ENGINE_UNAVAILABLE', 'The egress gateway did not take what it was told');
    } catch (error) {
      throw asPortError(error, 'Speaking to the egress gateway');
    }
  }

  async list(): Promise<readonly NetworkFacts[]> {
    try {
      const { containers, networks } = await this.#tools();
      const found = await networks.list({ home: this.#homeId });
      const gateways = await containers.list([`${labelKeys.home}=${this.#homeId}`, `${labelKeys.kind}=gateway`]);
      const described = await Promise.all(gateways.map((id) => containers.find(id)));
      return [
        ...found.map(networkFacts),
        ...described.filter((one) => one !== undefined).map((one) => gatewayFacts(one, found)),
      ];
    } catch (error) {
      throw asPortError(error, 'Listing networks');
    }
  }

  /** Another process may take the gateway away with the last network of its own: then everything is looked at again. */
  async #attach(tools: Tools, taskId: TaskId, sandbox: string, plan: GatewayPlan): Promise<TaskNetwork> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        const gateway = await this.#ensureGateway(tools, plan);
        const { Id, Name, IPAM } = await this.#ensureNetwork(tools, taskId);
        const subnet = subnetOf(IPAM.Config?.[0]?.Subnet ?? '');
        await tools.networks.connect(Id, gateway, subnet.gatewayAddress);
        await this.#join(tools, Id, sandbox, subnet);
        const { gatewayAddress, sandboxAddress } = subnet;
        const gatewayStartedAt = (await tools.containers.find(gateway))?.State.StartedAt ?? '';
        return { name: Name, gatewayAddress, sandboxAddress, gatewayStartedAt };
      } catch (error) {
        if (attempt >= attempts || !(hasStatus(error, 404) || hasStatus(error, 409))) throw error;
      }
    }
  }

  /** A container without a network is in the network `none`, which has to be left first. */
  async #join({ client, networks }: Tools, network: string, sandbox: string, subnet: Subnet): Promise<void> {
    const { NetworkSettings } = await client.call<Joined>({ method: 'GET', path: `/containers/${sandbox}/json` });
    const others = Object.values(NetworkSettings.Networks ?? {}).filter(({ NetworkID }) => NetworkID !== network);
    for (const { NetworkID } of others) if (NetworkID !== '') await networks.disconnect(NetworkID, sandbox);
    await networks.connect(network, sandbox, subnet.sandboxAddress);
  }

  async #ensureNetwork({ networks }: Tools, taskId: TaskId): Promise<NetworkDescription> {
    const [existing] = await networks.list(this.#of(taskId));
    if (existing !== undefined) return existing;
    for (const { cidr } of subnetsFor(taskId, subnetTries)) {
      try {
        const id = await networks.create(`oct-net-${shortId(this.#homeId)}-${shortId(taskId)}`, this.#of(taskId), {
          Internal: true,
          IPAM: { Driver: 'default', Config: [{ Subnet: cidr }] },
          Options: { 'com.docker.network.bridge.inhibit_ipv4': 'true' },
        });
        const made = await networks.find(id);
        if (made !== undefined) return made;
      } catch (error) {
        const [other] = hasStatus(error, 409) ? await networks.list(this.#of(taskId)) : [];
        if (other !== undefined) return other;
        if (!/overlap/i.test(String(error))) throw error;
      }
    }
    throw new OpencodeToolsError('OCT_RESOURCE_LIMIT', 'The engine has no free addresses for the network of a task', {
      remedy: 'Remove networks that are not used any more.',
      details: { limit: 'networks' },
    });
  }

  /** The id of the gateway's container, running. */
  async #ensureGateway(tools: Tools, plan: GatewayPlan): Promise<string> {
    const { containers, networks } = tools;
    const found = await containers.find(this.#gatewayName());
    if (found?.Config.Labels?.[labelKeys.inputs] === plan.version && (await rejoinUplink(networks, found))) {
      if (found.State.Paused) await containers.act(found.Id, 'unpause');
      else if (!found.State.Running) await this.#startGateway(tools, found.Id);
      return found.Id;
    }
    if (found !== undefined) await containers.remove(found.Id);
    const image = plan.image ?? (await ensureNodeImage(tools.client));
    const uplink = await this.#ensureUplink(tools);
    const id = await this.#createGateway(tools, plan, image, uplink);
    for (const { Id, IPAM } of await networks.list({ home: this.#homeId, kind: 'network' })) {
      await networks.connect(Id, id, subnetOf(IPAM.Config?.[0]?.Subnet ?? '').gatewayAddress);
    }
    await this.#startGateway(tools, id);
    return id;
  }

  /** Another process may make its uplink at any time until it finds the gateway: an engine starts nothing in one of two. */
  async #startGateway(tools: Tools, id: string): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      await this.#removeOtherUplinks(tools, id);
      try {
        return await tools.containers.act(id, 'start');
      } catch (error) {
        if (attempt >= attempts || !/is ambiguous/.test(String(error))) throw error;
      }
    }
  }

  async #createGateway({ containers }: Tools, plan: GatewayPlan, image: string, uplink: string): Promise<string> {
    const name = this.#gatewayName();
    try {
      return await containers.create(name, gatewayOptions(plan, image, this.#homeId, uplink));
    } catch (error) {
      const other = hasStatus(error, 409) ? await containers.find(name) : undefined;
      if (other !== undefined) return other.Id;
      if (!/bind source path does not exist/.test(String(error))) throw error;
      throw new OpencodeToolsError('OCT_CAPABILITY_UNSUPPORTED', 'The engine does not see the directory of the home', {
        remedy: 'Egress policies need an engine on this host; use one, or a task without a network.',
        cause: error,
      });
    }
  }

  /** Two processes at once make two uplinks, since an engine takes a name twice; of the gateway there is one. */
  async #removeOtherUplinks({ client, networks }: Tools, gateway: string): Promise<void> {
    const uplinks = await networks.list({ home: this.#homeId, kind: 'uplink' });
    if (uplinks.length < 2) return;
    const path = `/containers/${gateway}/json`;
    const { HostConfig } = await client.call<{ HostConfig: { NetworkMode: string } }>({ method: 'GET', path });
    for (const { Id } of uplinks) if (Id !== HostConfig.NetworkMode) await networks.remove(Id);
  }

  async #ensureUplink({ networks }: Tools): Promise<string> {
    const [existing] = await networks.list({ home: this.#homeId, kind: 'uplink' });
    if (existing !== undefined) return existing.Id;
    const name = `oct-uplink-${shortId(this.#homeId)}`;
    const options = { Options: { 'com.docker.network.bridge.enable_icc': 'false' } };
    try {
      return await networks.create(name, { home: this.#homeId, kind: 'uplink' }, options);
    } catch (error) {
      const [other] = hasStatus(error, 409) ? await networks.list({ home: this.#homeId, kind: 'uplink' }) : [];
      if (other !== undefined) return other.Id;
      throw error;
    }
  }

  async #dissolve({ networks, containers }: Tools, id: string, sandbox: string | null): Promise<void> {
    const gateway = await containers.find(this.#gatewayName());
    if (sandbox !== null) await networks.disconnect(id, sandbox);
    if (gateway !== undefined) await networks.disconnect(id, gateway.Id);
    const left = Object.keys((await networks.find(id))?.Containers ?? {});
    for (const container of left) await networks.disconnect(id, container);
    await networks.remove(id);
  }

  async #removeIdleGateway({ networks, containers, client }: Tools): Promise<void> {
    const left = await networks.list({ home: this.#homeId });
    if (left.some(({ Labels }) => Labels?.[labelKeys.kind] === 'network')) return;
    try {
      const gateway = await containers.find(this.#gatewayName());
      if (gateway !== undefined) await containers.remove(gateway.Id);
      for (const { Id } of left) await absentAsUndefined(client.call({ method: 'DELETE', path: `/networks/${Id}` }));
    } catch (error) {
      this.#logger.warn('The idle egress gateway was not removed', { error: String(error) });
    }
  }

  #of(taskId: TaskId) {
    return { home: this.#homeId, task: taskId, kind: 'network' } as const;
  }

  #gatewayName(): string {
    return `oct-gateway-${shortId(this.#homeId)}`;
  }

  async #tools(): Promise<Tools> {
    const client = await this.#engine.client();
    return { client, containers: new Containers(client), networks: new EngineNetworks(client) };
  }
}

function networkFacts({ Id, Name, Labels, Created }: NetworkDescription): NetworkFacts {
  const taskId = Labels?.[labelKeys.task] ?? '';
  const kind = Labels?.[labelKeys.kind] === 'uplink' ? 'uplink' : 'network';
  return { kind, ref: Id, name: Name, taskId: taskId === '' ? null : (taskId as TaskId), createdAt: Created };
}
