import { type HomeId, createIds, systemClock } from '@opencode-tools/core';
import { request } from 'node:http';
import { busyboxTree } from './busybox-image.ts';
import { hostProgramsTree } from './host-programs-image.ts';
import { clientTree } from './client-image.ts';

const homeLabel = 'io.opencode-tools.home';

/** A real engine, for the tests of one file. */
export interface TestEngine {
  /** Unique to this opening: everything that the tests make carries it in its labels. */
  readonly homeId: HomeId;
  /** Content id of a small image with a shell and a user 1000. */
  readonly imageId: string;
  /** The same without that user: nothing in it can change user. */
  plainImage(): Promise<string>;
  /** An image with GNU programs and dash in place of busybox. */
  gnuImage(): Promise<string>;
  /** One with curl and Node as well. */
  clientImage(): Promise<string>;
  /** An image with a program and without a shell. */
  shellessImage(): Promise<string>;
  /** An image whose shell ends whatever it is given. */
  endingShellImage(): Promise<string>;
  /** Speaks to the engine directly. */
  call<T>(method: string, path: string, body?: unknown): Promise<T>;
  /** What exists on the engine for `homeId`, as `container:<name>`, `volume:<name>`, `network:<id>`, `image:<id>`. */
  leftovers(): Promise<readonly string[]>;
  /** Removes the images and everything that is left, and throws when anything was: tests clean up after themselves. */
  close(): Promise<void>;
}

/** Opens an engine: the one at `DOCKER_HOST`, or at the default socket, unless said otherwise. */
export async function openTestEngine(
  host: string = process.env.DOCKER_HOST ?? 'unix:///var/run/docker.sock',
): Promise<TestEngine> {
  const homeId = createIds(systemClock).next('home');
  const callEngine: EngineCall = async (method, path, body) => callEngineAt(addressOf(host), method, path, body);
  const images = [await importImage(callEngine, homeId, busyboxTree())];
  const add = async (tree: Buffer): Promise<string> => {
    const id = await importImage(callEngine, homeId, tree);
    images.push(id);
    return id;
  };
  const engine: TestEngine = {
    homeId,
    imageId: images[0] ?? '',
    plainImage: async () => add(busyboxTree({ user: false })),
    gnuImage: async () => add(hostProgramsTree()),
    clientImage: async () => add(clientTree()),
    shellessImage: async () => add(busyboxTree({ shell: false })),
    endingShellImage: async () => add(busyboxTree({ shell: 'ends' })),
    call: async <T>(method: string, path: string, body?: unknown) => (await callEngine(method, path, json(body))) as T,
    leftovers: async () => listLeftovers(callEngine, homeId, images),
    close: async () => {
      const left = await listLeftovers(callEngine, homeId, images);
      await removeAll(callEngine, left);
      await removeAll(
        callEngine,
        images.map((id) => `image:${id}`),
      );
      if (left.length > 0) throw new Error(`The tests left behind: ${left.join(', ')}`);
    },
  };
  return engine;
}

type EngineCall = (method: string, path: string, body?: Body) => Promise<unknown>;

async function importImage(callEngine: EngineCall, homeId: string, bytes: Buffer): Promise<string> {
  const changes = encodeURIComponent(`LABEL ${homeLabel}=${homeId}`);
  const path = `/images/create?fromSrc=-&changes=${changes}`;
  const answer = JSON.stringify(await callEngine('POST', path, { type: 'application/x-tar', bytes }));
  const id = /sha256:[0-9a-f]{64}/.exec(answer)?.[0];
  if (!id) throw new Error(`The engine did not take the test image: ${answer}`);
  return id;
}

async function listLeftovers(
  callEngine: EngineCall,
  homeId: string,
  images: readonly string[],
): Promise<readonly string[]> {
  const filters = encodeURIComponent(JSON.stringify({ label: [`${homeLabel}=${homeId}`] }));
  const containers = (await callEngine('GET', `/containers/json?all=1&filters=${filters}`)) as { Id: string }[];
  const volumes = (await callEngine('GET', `/volumes?filters=${filters}`)) as { Volumes: { Name: string }[] | null };
  const networks = (await callEngine('GET', `/networks?filters=${filters}`)) as { Id: string }[];
  const made = (await callEngine('GET', `/images/json?filters=${filters}`)) as { Id: string }[];
  return [
    ...containers.map(({ Id }) => `container:${Id}`),
    ...(volumes.Volumes ?? []).map(({ Name }) => `volume:${Name}`),
    ...networks.map(({ Id }) => `network:${Id}`),
    ...made.filter(({ Id }) => !images.includes(Id)).map(({ Id }) => `image:${Id}`),
  ];
}

async function removeAll(callEngine: EngineCall, things: readonly string[]): Promise<void> {
  for (const thing of things) {
    const [kind, ...rest] = thing.split(':');
    const query = kind === 'container' ? '?force=1&v=1' : kind === 'image' ? '?force=1' : '';
    await callEngine('DELETE', `/${kind}s/${encodeURIComponent(rest.join(':'))}${query}`);
  }
}

interface Body {
  readonly type: string;
  readonly bytes: Buffer;
}

function json(body: unknown): Body | undefined {
  return body === undefined ? undefined : { type: 'application/json', bytes: Buffer.from(JSON.stringify(body)) };
}

async function callEngineAt(address: object, method: string, path: string, body?: Body): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const headers = body ? { 'content-type': body.type, 'content-length': body.bytes.length } : {};
    const outgoing = request({ ...address, method, path, headers, timeout: 60_000 }, (answer) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8');
        const failed = (answer.statusCode ?? 500) >= 400 && answer.statusCode !== 404;
        if (failed) reject(new Error(`${method} ${path}: ${answer.statusCode} ${text}`));
        else resolve(parse(text));
      });
    });
    outgoing.on('error', reject);
    outgoing.end(body?.bytes);
  });
}

function addressOf(host: string): object {
  if (host.startsWith('unix://')) return { socketPath: host.slice('unix://'.length) };
  const url = new URL(host.replace(/^tcp:/, 'http:'));
  return { host: url.hostname, port: url.port };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
