import type { EngineClient } from '../engine/engine-client.ts';
import { absentAsUndefined } from '../engine/containers.ts';
import { hasStatus } from '../engine/engine-error.ts';
import { type LabelName, fullLabels, labelKeys } from '../plan/labels.ts';

/** The parts that we read of the engine's description of a network. */
export interface NetworkDescription {
  readonly Id: string;
  readonly Name: string;
  readonly Created: string;
  readonly Labels: Readonly<Record<string, string>> | null;
  readonly IPAM: { readonly Config: readonly { readonly Subnet: string }[] | null };
  readonly Containers?: Readonly<Record<string, { readonly IPv4Address: string }>> | null;
}

/** Calls about networks. */
export class EngineNetworks {
  readonly #client: EngineClient;

  constructor(client: EngineClient) {
    this.#client = client;
  }

  async create(name: string, labels: Partial<Record<LabelName, string>>, options: object): Promise<string> {
    const body = { Name: name, CheckDuplicate: true, EnableIPv6: false, Labels: fullLabels(labels), ...options };
    return (await this.#client.call<{ Id: string }>({ method: 'POST', path: '/networks/create', body })).Id;
  }

  async find(id: string): Promise<NetworkDescription | undefined> {
    return absentAsUndefined(this.#client.call<NetworkDescription>({ method: 'GET', path: `/networks/${id}` }));
  }

  /** Oldest first. Which containers are in them, only `find` says. */
  async list(labels: Partial<Record<LabelName, string>>): Promise<readonly NetworkDescription[]> {
    const label = Object.entries(labels).map(([name, value]) => `${labelKeys[name as LabelName]}=${value}`);
    const query = { filters: JSON.stringify({ label }) };
    const found = await this.#client.call<readonly NetworkDescription[]>({ method: 'GET', path: '/networks', query });
    return found.toSorted((one, other) => (one.Created < other.Created ? -1 : 1));
  }

  /** Fine when it is in there already. Without an address it gets one that is free. */
  async connect(id: string, container: string, address?: string): Promise<void> {
    const endpoint = address === undefined ? {} : { EndpointConfig: { IPAMConfig: { IPv4Address: address } } };
    const body = { Container: container, ...endpoint };
    try {
      await this.#client.call({ method: 'POST', path: `/networks/${id}/connect`, body });
    } catch (error) {
      const network = hasStatus(error, 403) || hasStatus(error, 500) ? await this.find(id) : undefined;
      if (network?.Containers?.[container] === undefined) throw error;
    }
  }

  /** Fine when it is not in there, or either is gone. */
  async disconnect(id: string, container: string): Promise<void> {
    const body = { Container: container, Force: true };
    try {
      await this.#client.call({ method: 'POST', path: `/networks/${id}/disconnect`, body });
    } catch (error) {
      if (!hasStatus(error, 404) && !hasStatus(error, 403) && !hasStatus(error, 500)) throw error;
      const network = await this.find(id);
      if (network?.Containers?.[container] !== undefined) throw error;
    }
  }

  async remove(id: string): Promise<void> {
    await absentAsUndefined(this.#client.call({ method: 'DELETE', path: `/networks/${id}` }));
  }
}
