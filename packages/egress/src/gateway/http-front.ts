import {
  Agent,
  type ClientRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
  createServer,
  request as httpRequest,
} from 'node:http';
import { Agent as TlsAgent, request as httpsRequest } from 'node:https';
import { type Socket, isIP } from 'node:net';
import type { EgressDecision, EgressRequest, Redactor } from '@opencode-tools/core';
import { deny, shownTarget } from '../decide.ts';
import { asksForWebSocket, forwardedHeaders, hasBody } from './headers.ts';
import { maskedAnswer } from './masked-answer.ts';
import { relayBytes } from './relay-bytes.ts';
import { type Arrival, targetOf } from './request-target.ts';
import { readIntoSharedMemory } from './shared-reads.ts';
import type { UpstreamTrust } from './upstream-trust.ts';
import type { Destination } from './upstream.ts';

/** What the HTTP side of the gateway asks of the rest. */
export interface HttpGate {
  decide(via: string, request: EgressRequest): EgressDecision;
  record(via: string, request: EgressRequest, decision: EgressDecision): void;
  find(request: EgressRequest): Promise<Destination>;
  /** Headers to set; undefined when a secret that one of them needs is not here. */
  injected(request: EgressRequest): readonly (readonly [string, string])[] | undefined;
  /** True when it would set any. */
  injects(request: EgressRequest): boolean;
  /** Makes what hides values of headers in an answer; undefined where the task has none. */
  masking(): (() => Redactor) | undefined;
  /** Keeps a connection for as long as the policy allows it. */
  hold(request: EgressRequest, end: () => void): () => void;
  /** Called for a CONNECT to the proxy. */
  connect(request: IncomingMessage, socket: Socket, head: Buffer): void;
  readonly trust: UpstreamTrust;
  /** How much a connection that is opened now may hold for a slow reader. */
  readonly bufferBytes: number;
}

export interface HttpFront {
  /** Takes over a connection whose bytes are all still to be read. */
  serve(socket: Socket, arrival: Arrival): void;
  close(): void;
}

const headersLimitMs = 20_000;
const idleLimitMs = 30_000;
const looksEvery = 4;
const kept = { keepAlive: true, maxFreeSockets: 32 } as const;

/** The connections to servers; those by TLS only once there are any, since loading authorities takes time and memory. */
class Agents {
  readonly #trust: UpstreamTrust;
  readonly http = new Agent(kept);
  #https: TlsAgent | undefined;

  constructor(trust: UpstreamTrust) {
    this.#trust = trust;
    readIntoSharedMemory(this.http);
  }

  get https(): TlsAgent {
    if (this.#https !== undefined) return this.#https;
    this.#https = new TlsAgent({ ...kept, secureContext: this.#trust.context });
    readIntoSharedMemory(this.#https);
    return this.#https;
  }

  close(): void {
    this.http.destroy();
    this.#https?.destroy();
  }
}

/**
 * Reads requests strictly and makes each anew: nothing that a client writes reaches a server as it was written, so that both can
 * only agree about where a request ends.
 */
export function createHttpFront(
  gate: HttpGate,
  { headLimitMs = headersLimitMs }: { readonly headLimitMs?: number } = {},
): HttpFront {
  const arrivals = new WeakMap<object, Arrival>();
  const agents = new Agents(gate.trust);
  const server: Server = createServer(
    {
      requireHostHeader: false,
      keepAlive: true,
      noDelay: true,
      insecureHTTPParser: false,
      connectionsCheckingInterval: headLimitMs / looksEvery,
    },
    (request, response) => {
      const arrival = arrivals.get(request.socket);
      if (arrival === undefined) request.socket.destroy();
      else
        handle(gate, agents, request, response, arrival).catch(() => fail(response, 502, 'The gateway had a fault.'));
    },
  );
  server.headersTimeout = headLimitMs;
  server.requestTimeout = 0;
  server.keepAliveTimeout = idleLimitMs;
  server.on('connect', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    const arrival = arrivals.get(socket);
    if (arrival?.via === 'proxy') gate.connect(request, socket, head);
    else socket.end('HTTP/1.1 405 Method Not Allowed\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
  });
  // Node looks for heads that take too long from then on; this server gets its connections from others.
  server.emit('listening');
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') return giveUp(gate, socket, arrivals.get(socket));
    const arrival = arrivals.get(socket);
    const request = { host: arrival?.host ?? '', port: arrival?.port ?? 0 };
    const decision = deny('malformed', shownTarget(request), 'the request is no valid HTTP', 'send a valid request');
    gate.record('http', request, decision);
    if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
    else socket.destroy();
  });
  return {
    serve: (socket, arrival) => {
      arrivals.set(socket, arrival);
      server.emit('connection', socket);
      socket.resume();
    },
    close: () => {
      server.closeAllConnections();
      // Ends the looking as well.
      server.close();
      agents.close();
    },
  };
}

/** One that sent nothing at all gets no answer either, which it could take for that to what it sends just now. */
function giveUp(gate: HttpGate, socket: Socket, arrival: Arrival | undefined): void {
  if (socket.bytesRead === 0) return void socket.destroy();
  const request = { host: arrival?.host ?? '', port: arrival?.port ?? 0 };
  const reason = 'the head of the request did not come to its end in time';
  gate.record('http', request, deny('timeout', shownTarget(request), reason, 'send it at once'));
  if (!socket.writable) return void socket.destroy();
  socket.end('HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
  socket.destroySoon();
}

async function handle(
  gate: HttpGate,
  agents: Agents,
  request: IncomingMessage,
  response: ServerResponse,
  arrival: Arrival,
): Promise<void> {
  const via = arrival.via === 'terminated' ? 'https' : 'http';
  const target = targetOf(request, arrival);
  const method = request.method ?? '';
  if (!target.ok) {
    const { host, port, fault } = target;
    const decision = deny('name-mismatch', shownTarget({ host, port }), fault, 'send a request that names one host');
    gate.record(via, { host, port, method }, decision);
    return refuse(response, decision);
  }
  const { host, port, path } = target;
  const wanted: EgressRequest = { host, port, method, path };
  const decision = gate.decide(via, wanted);
  if (!decision.allowed) return refuse(response, decision);
  const never = neverCarried(gate, request, wanted, via);
  if (never !== undefined) {
    gate.record(via, wanted, never);
    return refuse(response, never);
  }
  const destination = await gate.find(wanted);
  if (destination.kind === 'denied') {
    gate.record(via, wanted, destination.decision);
    return refuse(response, destination.decision);
  }
  if (destination.kind === 'unknown') return fail(response, 502, `Not reached: ${destination.reason}.`);
  const injected = via === 'https' ? gate.injected(wanted) : [];
  if (injected === undefined) {
    const missing = deny('secret-missing', shownTarget(wanted), 'the gateway has no value for a header', askForSecret);
    gate.record(via, wanted, missing);
    return refuse(response, missing);
  }
  const usual = via === 'https' ? 443 : 80;
  const authority = port === usual ? host : `${host}:${port}`;
  // What is not compressed can be looked through.
  const plain = injected.length === 0 ? [] : [['accept-encoding', 'identity'] as const];
  const set = [...injected, ...plain.filter(([name]) => injected.every(([other]) => other !== name))];
  const replaced = set.map(([name]) => name);
  const headers = ['host', authority, ...forwardedHeaders(request, ['host', ...replaced]), ...set.flat()];
  const body = hasBody(request);
  if (request.headers['transfer-encoding'] !== undefined) headers.push('transfer-encoding', 'chunked');
  const to = { host: destination.address, port, highWaterMark: gate.bufferBytes };
  const options = { ...to, method, path, headers, setHost: false } as const;
  const outgoing =
    via === 'https'
      ? httpsRequest({ ...options, agent: agents.https, servername: isIP(host) === 0 ? host : '' })
      : httpRequest({ ...options, agent: agents.http });
  const release = gate.hold(wanted, () => {
    outgoing.destroy();
    request.socket.destroy();
  });
  response.once('close', release);
  relay(request, response, outgoing, body, injected.length === 0 ? undefined : gate.masking());
}

/** What no rule allows. */
function neverCarried(
  gate: HttpGate,
  request: IncomingMessage,
  wanted: EgressRequest,
  via: string,
): EgressDecision | undefined {
  if (asksForWebSocket(request)) {
    const reason = 'the gateway carries no WebSocket where it reads requests';
    const ask = 'use TLS (wss:) and a rule for the host without terminate, methods and paths';
    return deny('upgrade', shownTarget(wanted), reason, ask);
  }
  if (via !== 'https' || wanted.method !== 'TRACE' || !gate.injects(wanted)) return undefined;
  const reason = 'TRACE has a server send headers back, among them those that the gateway sets';
  return deny('trace', shownTarget(wanted), reason, 'use another method');
}

const askForSecret = 'run any opencode-tools command for the task, which hands it over again';

function relay(
  request: IncomingMessage,
  response: ServerResponse,
  outgoing: ClientRequest,
  body: boolean,
  masking: (() => Redactor) | undefined,
): void {
  outgoing.on('response', (incoming) => {
    const usual = { reason: incoming.statusMessage ?? '', headers: forwardedHeaders(incoming), body: incoming };
    const answer = masking === undefined ? usual : maskedAnswer(incoming, usual.headers, masking);
    response.writeHead(incoming.statusCode ?? 502, answer.reason, [...answer.headers]);
    incoming.on('error', () => response.destroy());
    incoming.on('aborted', () => response.destroy());
    relayBytes(answer.body, response);
  });
  outgoing.on('error', (error: NodeJS.ErrnoException) =>
    fail(response, 502, `Not reached: ${error.code ?? error.message}.`),
  );
  response.once('close', () => {
    if (!response.writableFinished) outgoing.destroy();
  });
  if (body) relayBytes(request, outgoing);
  else {
    request.resume();
    outgoing.end();
  }
}

export function denialText(decision: EgressDecision): string {
  return `${decision.explanation}\n`;
}

function refuse(response: ServerResponse, decision: EgressDecision): void {
  const text = denialText(decision);
  response.shouldKeepAlive = false;
  response.writeHead(403, { 'content-type': 'text/plain; charset=utf-8', 'x-opencode-tools-rule': decision.rule });
  response.end(text);
}

function fail(response: ServerResponse, status: number, text: string): void {
  if (response.headersSent) return void response.destroy();
  response.shouldKeepAlive = false;
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' });
  response.end(`${text}\n`);
}
