import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { EgressRequest, NetworkSpec } from '@opencode-tools/core';
import { decide, deny, namesTarget, shownTarget, terminates } from '../decide.ts';
import type { Authority } from './authority.ts';
import type { FirstBytes } from './first-bytes.ts';
import { type HttpFront, type HttpGate, denialText } from './http-front.ts';
import { sameHost, splitAuthority } from './request-target.ts';
import { relayBytes } from './relay-bytes.ts';
import { readInPieces } from './read-in-pieces.ts';
import { sniff } from './sniff.ts';
import { connectTo } from './upstream.ts';

/** What tunnels ask of the rest of the gateway. */
export interface TunnelGate extends HttpGate {
  readonly front: HttpFront;
  readonly authority: Authority;
  readonly policy: { readonly network: NetworkSpec };
}

const silentLimitMs = 60_000;
const handshakeLimitMs = 20_000;

/** TLS alert `access_denied`: what a client that speaks TLS can be told. */
const accessDenied = Buffer.from([21, 3, 3, 0, 2, 2, 49]);

/** Serves a client that was led here by name, without a proxy: TLS by the name in its hello, HTTP by its Host header. */
export async function serveTransparent(gate: TunnelGate, socket: Socket, port: number): Promise<void> {
  const first = await sniff(socket, silentLimitMs);
  if (first === undefined) return void socket.destroy();
  if (first.speaks === 'http') return gate.front.serve(socket, { via: 'transparent', port });
  if (first.speaks !== 'tls') return refuseBytes(gate, socket, { host: '', port }, first);
  const wanted = { host: first.serverName ?? '', port };
  if (first.serverName === undefined) {
    const decision = deny('name-mismatch', shownTarget(wanted), 'its TLS hello names no server', 'connect by name');
    gate.record('tls', wanted, decision);
    return void socket.end(accessDenied);
  }
  if (terminates(gate.policy.network, wanted)) return endTls(gate, socket, wanted);
  if (!gate.decide('tls', wanted).allowed) return void socket.end(accessDenied);
  const upstream = await reach(gate, 'tls', wanted);
  if (upstream.socket === undefined) return void socket.end(accessDenied);
  splice(gate, wanted, socket, upstream.socket);
}

/**
 * Serves a CONNECT. What is spoken inside is read: TLS has to name the same host, HTTP is decided request by request, and
 * anything else passes only where a rule allows the port without saying more.
 */
export async function serveConnect(
  gate: TunnelGate,
  request: IncomingMessage,
  socket: Socket,
  head: Buffer,
): Promise<void> {
  socket.on('error', () => socket.destroy());
  const authority = splitAuthority(request.url ?? '');
  const wanted = { host: authority?.host ?? request.url ?? '', port: authority?.port ?? 0 };
  if (authority?.port === undefined) {
    const decision = deny('malformed', shownTarget(wanted), 'CONNECT takes host:port', 'send both');
    gate.record('connect', wanted, decision);
    return answer(socket, '400 Bad Request', denialText(decision));
  }
  const inspected = namesTarget(gate.policy.network, wanted);
  const ends = terminates(gate.policy.network, wanted);
  const raw = decide(gate.policy.network, wanted);
  if (!raw.allowed && !inspected) {
    gate.record('connect', wanted, raw);
    return answer(socket, '403 Forbidden', denialText(raw));
  }
  const upstream = raw.allowed && !ends ? await reach(gate, 'connect', wanted) : undefined;
  if (upstream !== undefined && upstream.socket === undefined) return answer(socket, upstream.status, upstream.text);
  if (socket.destroyed) return void upstream?.socket?.destroy();
  if (raw.allowed && !ends) gate.record('connect', wanted, raw);
  socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
  if (head.length > 0) socket.unshift(head);
  await serveTunnel(gate, socket, wanted, upstream?.socket);
}

async function serveTunnel(
  gate: TunnelGate,
  socket: Socket,
  wanted: EgressRequest,
  upstream: Socket | undefined,
): Promise<void> {
  const { host, port } = wanted;
  const givenUp = (): void => void socket.destroy();
  upstream?.on('error', givenUp);
  upstream?.pipe(socket);
  const release = upstream === undefined ? undefined : gate.hold(wanted, givenUp);
  const first = await sniff(socket, upstream === undefined ? silentLimitMs : undefined);
  release?.();
  if (first === undefined || socket.destroyed) return void (upstream?.destroy(), socket.destroy());
  if (first.speaks === 'http') {
    upstream?.off('error', givenUp).on('error', () => undefined);
    upstream?.unpipe(socket).destroy();
    return gate.front.serve(socket, { via: 'tunnel', port, host });
  }
  const fits = first.speaks === 'tls' && sameHost(first.serverName ?? host, host);
  if (first.speaks === 'tls' && !fits) {
    const fault = `its TLS hello names ${shownTarget({ host: first.serverName ?? '', port })}`;
    gate.record('tls', wanted, deny('name-mismatch', shownTarget(wanted), fault, 'connect to the host that is named'));
    upstream?.destroy();
    return void socket.end(accessDenied);
  }
  if (first.speaks === 'tls' && terminates(gate.policy.network, wanted)) return endTls(gate, socket, wanted);
  if (first.speaks === 'malformed' || upstream === undefined) {
    upstream?.destroy();
    return refuseBytes(gate, socket, wanted, first);
  }
  upstream.off('error', givenUp).unpipe(socket);
  splice(gate, wanted, socket, upstream);
}

function endTls(gate: TunnelGate, socket: Socket, { host, port }: EgressRequest): void {
  readInPieces(socket);
  const options = {
    isServer: true,
    highWaterMark: gate.bufferBytes,
    secureContext: gate.authority.contextFor(host.toLowerCase()),
    ALPNProtocols: ['http/1.1'],
  };
  const secure = new TLSSocket(socket, options);
  secure.on('error', () => socket.destroy());
  const late = setTimeout(() => socket.destroy(), handshakeLimitMs);
  secure.once('close', () => clearTimeout(late));
  secure.once('secure', () => {
    clearTimeout(late);
    gate.front.serve(secure, { via: 'terminated', port, host });
  });
}

function refuseBytes(gate: TunnelGate, socket: Socket, wanted: EgressRequest, first: FirstBytes): void {
  const fault =
    first.speaks === 'malformed'
      ? 'what it sends is neither valid TLS nor valid HTTP'
      : 'it speaks neither TLS nor HTTP';
  const rule = first.speaks === 'malformed' ? 'malformed' : 'not-http-or-tls';
  const ask = 'use CONNECT through the proxy, and a rule for host and port without methods and paths';
  gate.record('tcp', wanted, deny(rule, shownTarget(wanted), fault, ask));
  socket.destroy();
}

type Reached =
  { readonly socket: Socket } | { readonly socket?: undefined; readonly status: string; readonly text: string };

async function reach(gate: TunnelGate, via: string, wanted: EgressRequest): Promise<Reached> {
  const destination = await gate.find(wanted);
  if (destination.kind === 'denied') {
    gate.record(via, wanted, destination.decision);
    return { status: '403 Forbidden', text: denialText(destination.decision) };
  }
  if (destination.kind === 'unknown')
    return { status: '502 Bad Gateway', text: `Not reached: ${destination.reason}.\n` };
  try {
    return { socket: await connectTo(destination.address, wanted.port) };
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? String(error);
    return { status: '502 Bad Gateway', text: `Not reached: ${reason}.\n` };
  }
}

/** Joins two connections until either ends or the policy does not allow them any more. */
function splice(gate: TunnelGate, wanted: EgressRequest, client: Socket, upstream: Socket): void {
  const end = (): void => {
    client.destroy();
    upstream.destroy();
  };
  const release = gate.hold(wanted, end);
  for (const socket of [client, upstream]) {
    socket.setKeepAlive(true, 60_000);
    socket.on('error', end);
  }
  client.once('close', () => {
    release();
    upstream.destroy();
  });
  upstream.once('close', () => client.destroySoon());
  relayBytes(client, upstream);
  relayBytes(upstream, client);
}

function answer(socket: Socket, status: string, text: string): void {
  const length = Buffer.byteLength(text);
  const head = ['connection: close', 'content-type: text/plain; charset=utf-8', `content-length: ${length}`];
  socket.end(`HTTP/1.1 ${status}\r\n${head.join('\r\n')}\r\n\r\n${text}`);
}
