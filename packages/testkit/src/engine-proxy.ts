import { mkdtemp, rm } from 'node:fs/promises';
import { type Socket, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A request that does not come to its end. */
export interface EngineCut {
  /** Fits the first line of the request. */
  readonly request: RegExp;
  /** Whose bytes are counted: those of the request's body, or those of the answer. */
  readonly of: 'body' | 'answer';
  /** How many pass, over all requests that fit. */
  readonly bytes: number;
  /** Called once, when they have passed; nothing follows them. */
  readonly reached: () => void;
  /** True takes no more of a body then, as an engine that hangs; false takes it and loses it. */
  readonly hangs?: boolean;
}

/** A real engine behind a socket that can misbehave. */
export interface EngineProxy {
  /** Address to be used in place of the engine's own. */
  readonly endpoint: string;
  /** Requests whose first line fits are answered with status 500. */
  readonly faults: RegExp[];
  cut: EngineCut | undefined;
  /** Requests whose first line fits reach the engine, and their answer never comes. */
  readonly silences: RegExp[];
  /** The connection of requests whose first line fits is broken off when the first bytes of the answer come. */
  readonly resets: RegExp[];
  /** When set, the engine says that it speaks this version of its API and no other, and refuses requests in any other. */
  speaks: string | undefined;
  close(): Promise<void>;
}

/**
 * Stands in front of an engine: the one at `DOCKER_HOST`, or at the default socket, unless said otherwise. Connections must
 * carry one request each.
 */
export async function openEngineProxy(
  host: string = process.env.DOCKER_HOST ?? 'unix:///var/run/docker.sock',
): Promise<EngineProxy> {
  const directory = await mkdtemp(join(tmpdir(), 'oct-engine-proxy-'));
  const path = join(directory, 'engine.sock');
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (client) => {
    open.add(client.on('error', () => client.destroy()).on('close', () => open.delete(client)));
    client.once('data', (first: Buffer) => {
      const asked = first.toString('latin1').split('\r\n', 1)[0] ?? '';
      const line = unversioned(asked);
      const said = proxy.speaks === undefined ? undefined : aboutVersions(asked, proxy.speaks);
      if (said !== undefined) answer(client, said);
      else if (proxy.faults.some((fault) => fault.test(line))) answer(client, fault);
      else {
        const fits = (lines: readonly RegExp[]): boolean => lines.some((one) => one.test(line));
        const fate = fits(proxy.silences) ? 'silence' : fits(proxy.resets) ? 'reset' : 'answer';
        const metered = proxy.cut?.request.test(line) === true ? meter(proxy.cut) : undefined;
        passOn({ host, client, first, fate }, metered);
      }
    });
  });
  const meters = new WeakMap<EngineCut, Meter>();
  const meter = (cut: EngineCut): Meter => {
    const known = meters.get(cut) ?? { cut, left: cut.bytes, over: false };
    meters.set(cut, known);
    return known;
  };
  const proxy: EngineProxy = {
    endpoint: `unix://${path}`,
    faults: [],
    silences: [],
    resets: [],
    speaks: undefined,
    cut: undefined,
    close: async () => {
      for (const client of open) client.destroy();
      await new Promise((resolve) => server.close(resolve));
      await rm(directory, { recursive: true });
    },
  };
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return proxy;
}

interface Meter {
  readonly cut: EngineCut;
  left: number;
  over: boolean;
}

interface Answer {
  readonly status: number;
  readonly body: object;
}

const fault: Answer = { status: 500, body: { message: 'injected fault' } };

function answer(client: Socket, { status, body }: Answer): void {
  const text = JSON.stringify(body);
  const head = [`HTTP/1.1 ${status} Answer`, 'content-type: application/json', `content-length: ${text.length}`];
  client.end([...head, 'connection: close', '', text].join('\r\n'));
}

/** What an engine on this machine says beside its newest version. */
const aboutHere = { MinAPIVersion: '1.12', Arch: process.arch === 'x64' ? 'amd64' : process.arch };

/** What an engine of one version says of itself, and to requests in another; undefined for what it carries out. */
function aboutVersions(line: string, version: string): Answer | undefined {
  if (line.startsWith('GET /version ')) return { status: 200, body: { ...aboutHere, ApiVersion: version } };
  if (line.includes(` /v${version}/`)) return undefined;
  return { status: 400, body: { message: `the server speaks ${version}: ${line}` } };
}

interface Passing {
  readonly host: string;
  readonly client: Socket;
  readonly first: Buffer;
  readonly fate: 'answer' | 'silence' | 'reset';
}

function passOn({ host, client, first, fate }: Passing, meter: Meter | undefined): void {
  const path = host.replace(/^unix:\/\//, '');
  const engine = connect({ path, allowHalfOpen: true });
  engine.on('error', () => client.destroy());
  if (fate !== 'silence') {
    engine.on('end', () => {
      if (meter?.over !== true) client.end();
    });
  }
  client.on('error', () => engine.destroy()).on('close', () => engine.destroy());
  const send = (to: Socket, chunk: Buffer): void => {
    if (chunk.length > 0) to.write(chunk);
  };
  const head = first.indexOf('\r\n\r\n') + 4;
  const body = through(first.subarray(head), meter, 'body');
  send(engine, Buffer.concat([first.subarray(0, head), body]));
  client.on('data', (chunk: Buffer) => {
    send(engine, through(chunk, meter, 'body'));
    if (meter?.over !== true || meter.cut.hangs !== true) return;
    // A socket that is not read does not tell that it was closed: the engine is let go of here.
    client.pause();
    engine.destroy();
  });
  client.on('end', () => {
    if (meter?.over === true) client.destroy();
    else engine.end();
  });
  engine.on('data', (chunk: Buffer) => {
    if (fate === 'reset') client.destroy();
    else if (fate === 'answer') send(client, through(chunk, meter, 'answer'));
  });
}

/** What of a chunk passes. */
function through(chunk: Buffer, meter: Meter | undefined, of: EngineCut['of']): Buffer {
  if (meter === undefined || meter.cut.of !== of) return chunk;
  const passing = chunk.subarray(0, meter.left);
  meter.left -= passing.length;
  if (passing.length === chunk.length && meter.left > 0) return passing;
  if (!meter.over) {
    meter.over = true;
    setImmediate(meter.cut.reached);
  }
  return passing;
}

/** `GET /v1.41/info HTTP/1.1` as `GET /info HTTP/1.1`: tests name requests, whatever version an engine is spoken to in. */
function unversioned(line: string): string {
  return line.replace(/ \/v\d+\.\d+\//, ' /');
}
