import { Resolver } from 'node:dns/promises';
import { type Socket, connect, isIP } from 'node:net';
import type { EgressDecision, EgressRequest, NetworkSpec } from '@opencode-tools/core';
import { decideAddress } from '../decide.ts';
import { normaliseHost } from '../host.ts';

/** The address that a connection goes to, or why there is none. */
export type Destination =
  | { readonly kind: 'address'; readonly address: string }
  | { readonly kind: 'denied'; readonly decision: EgressDecision }
  | { readonly kind: 'unknown'; readonly reason: string };

const connectLimitMs = 10_000;
const rememberMs = 5_000;
const mostRemembered = 1_000;

/** Looks names up, once for all who ask at the same time, and remembers answers for a moment. */
export class Names {
  readonly #resolver = new Resolver({ timeout: 2_000, tries: 2 });
  readonly #known = new Map<string, { readonly until: number; readonly addresses: Promise<readonly string[]> }>();

  constructor(servers: readonly string[]) {
    if (servers.length > 0) this.#resolver.setServers(servers);
  }

  async addresses(name: string): Promise<readonly string[]> {
    const known = this.#known.get(name);
    if (known !== undefined && known.until > performance.now()) return known.addresses;
    if (this.#known.size >= mostRemembered) this.#known.clear();
    const addresses = this.#resolver.resolve4(name);
    this.#known.set(name, { until: performance.now() + rememberMs, addresses });
    addresses.catch(() => this.#known.delete(name));
    return addresses;
  }
}

/**
 * Finds the address for an allowed request and decides about it. Whoever connects uses this very address: a name that leads
 * elsewhere a moment later changes nothing.
 */
export async function findDestination(
  network: NetworkSpec,
  request: EgressRequest,
  names: Names,
): Promise<Destination> {
  const host = normaliseHost(request.host);
  if (host.kind === 'invalid') return { kind: 'unknown', reason: host.reason };
  if (host.kind === 'address') return { kind: 'address', address: host.address.text };
  let addresses: readonly string[];
  try {
    addresses = await names.addresses(host.name);
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? String(error);
    return { kind: 'unknown', reason: `the name servers do not know ${host.name} (${reason})` };
  }
  let denied: EgressDecision | undefined;
  for (const address of addresses) {
    const decision = decideAddress(network, request, address);
    if (decision.allowed) return { kind: 'address', address };
    denied ??= decision;
  }
  if (denied !== undefined) return { kind: 'denied', decision: denied };
  return { kind: 'unknown', reason: `the name servers know no address of ${host.name}` };
}

/** Connects to an address, never to a name. */
export async function connectTo(address: string, port: number): Promise<Socket> {
  if (isIP(address) === 0) throw new Error('not an address');
  return new Promise((resolve, reject) => {
    const socket = connect({ host: address, port, noDelay: true, allowHalfOpen: true });
    const timer = setTimeout(() => socket.destroy(new Error('it does not answer')), connectLimitMs);
    socket.once('connect', () => {
      clearTimeout(timer);
      socket.off('error', reject);
      resolve(socket);
    });
    socket.once('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
  });
}
