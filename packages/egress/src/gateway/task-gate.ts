import type { IncomingMessage } from 'node:http';
import { type Server, type Socket, createServer } from 'node:net';
import type { EgressDecision, EgressRequest, Redactor } from '@opencode-tools/core';
import { allowingRule, decide, decideName, deny, shownTarget } from '../decide.ts';
import type { Authority } from './authority.ts';
import type { DecisionLog } from './decision-log.ts';
import { type DnsServer, listening, startDnsServer } from './dns-server.ts';
import { type HttpFront, createHttpFront } from './http-front.ts';
import type { Secrets } from './secrets.ts';
import { type TaskPolicy, gatewayPorts, transparentPorts } from './task-policy.ts';
import type { UpstreamTrust } from './upstream-trust.ts';
import { type TunnelGate, serveConnect, serveTransparent } from './tunnel.ts';
import { type Destination, type Names, findDestination } from './upstream.ts';

/** What all tasks share. */
export interface GateParts {
  readonly names: Names;
  readonly authority: Authority;
  readonly trust: UpstreamTrust;
  readonly log: DecisionLog;
  readonly secrets: Secrets;
}

interface Held {
  readonly request: EgressRequest;
  readonly end: () => void;
}

const mostConnections = 512;
/** A few connections are fast, and many of them do not hold much. */
const buffers = { usualBytes: 64 * 1024, few: 32, manyBytes: 16 * 1024 };

/** One task's way out: listeners on the gateway's address in the task's network, under the policy of the moment. */
export class TaskGate implements TunnelGate {
  readonly #parts: GateParts;
  readonly #listeners = new Map<number, Server>();
  readonly #clients = new Set<Socket>();
  readonly #held = new Set<Held>();
  readonly front: HttpFront;
  #policy: TaskPolicy;
  #dns: DnsServer | undefined;

  constructor(policy: TaskPolicy, parts: GateParts) {
    this.#policy = policy;
    this.#parts = parts;
    this.front = createHttpFront(this);
  }

  get authority(): Authority {
    return this.#parts.authority;
  }

  get trust(): UpstreamTrust {
    return this.#parts.trust;
  }

  get bufferBytes(): number {
    return this.#clients.size > buffers.few ? buffers.manyBytes : buffers.usualBytes;
  }

  get policy(): TaskPolicy {
    return this.#policy;
  }

  /** Listens where the policy wants it; what listens already stays. @throws while the address is not there yet */
  async open(): Promise<void> {
    const { gatewayAddress, network } = this.#policy;
    if (this.#dns === undefined) {
      const dns = startDnsServer(gatewayAddress, gatewayPorts.dns, (name, type) => this.#allowsName(name, type));
      await dns.ready;
      this.#dns = dns;
    }
    const wanted = [gatewayPorts.proxy, ...transparentPorts(network)];
    for (const port of wanted) if (!this.#listeners.has(port)) await this.#listen(gatewayAddress, port);
    for (const [port, server] of this.#listeners) {
      if (wanted.includes(port)) continue;
      server.close();
      this.#listeners.delete(port);
    }
  }

  /** Puts another policy of the same addresses in force: connections that it does not allow end now. */
  update(policy: TaskPolicy): void {
    this.#policy = policy;
    for (const { request, end } of this.#held) if (!decide(policy.network, request).allowed) end();
  }

  close(): void {
    this.#dns?.close();
    for (const server of this.#listeners.values()) server.close();
    for (const client of this.#clients) client.destroy();
    this.front.close();
    this.#parts.log.close();
  }

  decide(via: string, request: EgressRequest): EgressDecision {
    const decision = decide(this.#policy.network, request);
    this.record(via, request, decision);
    return decision;
  }

  record(via: string, request: EgressRequest, decision: EgressDecision): void {
    this.#parts.log.add(via, request, decision);
  }

  /** A lookup takes time: what the policy does not allow any more when it ends is denied. */
  async find(request: EgressRequest): Promise<Destination> {
    for (;;) {
      const { network } = this.#policy;
      const found = await findDestination(network, request, this.#parts.names);
      const now = this.#policy.network;
      if (now === network) return found;
      const decision = decide(now, request);
      if (!decision.allowed) return { kind: 'denied', decision };
    }
  }

  injects(request: EgressRequest): boolean {
    return (allowingRule(this.#policy.network, request)?.inject ?? []).length > 0;
  }

  masking(): (() => Redactor) | undefined {
    return this.#parts.secrets.maskingOf(this.#policy.taskId);
  }

  injected(request: EgressRequest): readonly (readonly [string, string])[] | undefined {
    const rule = allowingRule(this.#policy.network, request);
    const values = this.#parts.secrets.valuesOf(this.#policy.taskId);
    const headers: (readonly [string, string])[] = [];
    for (const { header, prefix } of rule?.inject ?? []) {
      const value = values[`${rule?.name ?? ''} ${header}`];
      if (value === undefined) return undefined;
      headers.push([header, `${prefix}${value}`]);
    }
    return headers;
  }

  hold(request: EgressRequest, end: () => void): () => void {
    const held = { request, end };
    this.#held.add(held);
    // Connecting takes time as well.
    if (!decide(this.#policy.network, request).allowed) end();
    return () => void this.#held.delete(held);
  }

  connect(request: IncomingMessage, socket: Socket, head: Buffer): void {
    void serveConnect(this, request, socket, head);
  }

  #allowsName(name: string, type: number): boolean {
    const decision = decideName(this.#policy.network, name);
    if (!decision.allowed) this.record(`dns/${type}`, { host: name, port: gatewayPorts.dns }, decision);
    return decision.allowed;
  }

  async #listen(address: string, port: number): Promise<void> {
    const server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: false });
    server.on('connection', (socket) => this.#accept(socket, port));
    await listening(server, address, port);
    this.#listeners.set(port, server);
  }

  #accept(socket: Socket, port: number): void {
    socket.on('error', () => socket.destroy());
    if (socket.remoteAddress !== this.#policy.sandboxAddress) return void socket.destroy();
    if (this.#clients.size >= mostConnections) return this.#refuseBusy(socket, port);
    this.#clients.add(socket);
    socket.once('close', () => this.#clients.delete(socket));
    if (port === gatewayPorts.proxy) this.front.serve(socket, { via: 'proxy', port });
    else void serveTransparent(this, socket, port);
  }

  #refuseBusy(socket: Socket, port: number): void {
    const request = { host: '', port };
    const reason = `the task has ${mostConnections} connections open`;
    this.record('tcp', request, deny('overloaded', shownTarget(request), reason, 'close some first'));
    socket.destroy();
  }
}
