import { randomBytes } from 'node:crypto';
import type { SandboxHandle } from '@opencode-tools/core';
import {
  type EngineProxy,
  type TestEngine,
  openEngineProxy,
  openTestEngine,
  samplePlan,
} from '@opencode-tools/testkit';
import { pack } from 'tar-stream';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { openRuntime } from '../../test/open-runtime.ts';

/** Short, since what is healthy here does not have to last: only the faulty requests are looked at. */
const shortQuietMs = 1_000;
let quietMs = shortQuietMs;
const treeBytes = 2_000_000;

let engine: TestEngine;
let proxy: EngineProxy;
let gnu: string;
let volume: string;
let sandbox: SandboxHandle;
const sound = () => openRuntime(engine.homeId, { baseImages: [gnu] });
const faulty = (change: Parameters<typeof openRuntime>[1] = {}) =>
  openRuntime(engine.homeId, { endpoint: proxy.endpoint, quietMs, baseImages: [gnu], mostLayers: 1, ...change });
const leftovers = async () => (await engine.leftovers()).toSorted();
const tags: string[] = [];
let runtime: ReturnType<typeof sound>['runtime'];
let layers: ReturnType<typeof sound>['layers'];

beforeAll(async () => {
  [engine, proxy] = [await openTestEngine(), await openEngineProxy()];
  gnu = await engine.gnuImage();
  ({ runtime, layers } = sound());
  volume = `oct-test-${engine.homeId.slice(-16)}`;
  const labels = { 'io.opencode-tools.home': engine.homeId };
  await runtime.volumes.create({ name: volume, labels, owner: { uid: 1000, gid: 1000 } });
  await runtime.volumes.writeTree(volume, tree());
  await layers.makeEmpty('oct-test-before');
  sandbox = await runtime.create(samplePlan(engine.homeId, engine.imageId));
  await sandbox.files.extract(access(1), { path: '/tmp/tree', tar: tree(), tell: false });
});
afterEach(async () => {
  quietMs = shortQuietMs;
  proxy.silences.length = 0;
  proxy.resets.length = 0;
  proxy.faults.length = 0;
  proxy.cut = undefined;
  // What the engine took in before it broke off is adopted by whoever tries again.
  for (const tag of tags.splice(0))
    await sound()
      .images.remove(tag)
      .catch(() => undefined);
});
afterAll(async () => {
  await sandbox.destroy();
  await runtime.volumes.remove(volume);
  await layers.retire();
  await runtime.close();
  await proxy.close();
  await engine.close();
});

function newTag(): string {
  tags.push(`oct-test-${engine.homeId.slice(-12)}:${tags.length}`);
  return tags.at(-1) ?? '';
}

/** A tree that no buffer holds. */
function tree(): AsyncIterable<Uint8Array> {
  const tar = pack();
  tar.entry({ name: 'large' }, randomBytes(treeBytes));
  tar.finalize();
  return tar as unknown as AsyncIterable<Uint8Array>;
}

function access(number: number) {
  const executionId = `exe_${String(number).padStart(26, '0')}`;
  return { executionId: executionId as never, token: 9 };
}

async function bytesOf(stream: AsyncIterable<Uint8Array>): Promise<number> {
  let bytes = 0;
  for await (const chunk of stream) bytes += chunk.length;
  return bytes;
}

/** What moves bytes, by which request, and whose bytes they are. */
const moves: readonly (readonly [string, RegExp, 'answer' | 'body', () => Promise<unknown>])[] = [
  [
    'a volume is read with tar',
    /^POST \/containers\/\w+\/attach/,
    'answer',
    async () => bytesOf(await faulty().runtime.volumes.readTree(volume)),
  ],
  [
    'a volume is read by the engine itself',
    /^GET \/containers\/\w+\/archive/,
    'answer',
    async () => bytesOf(await faulty({ baseImages: [] }).runtime.volumes.readTree(volume)),
  ],
  [
    'a volume is written',
    /^PUT \/containers\/\w+\/archive/,
    'body',
    () => faulty().runtime.volumes.writeTree(volume, tree()),
  ],
  [
    'a layer is filled',
    /^POST \/containers\/\w+\/attach/,
    'body',
    () => faulty().layers.fill(`oct-test-${randomBytes(6).toString('hex')}`, tree()),
  ],
  [
    'a root file system is flattened',
    /^GET \/containers\/\w+\/export/,
    'answer',
    async () => {
      const found = await faulty().runtime.find(sandbox.ref);
      return found?.snapshotRoot({ tag: newTag(), labels: {} });
    },
  ],
  [
    'a flattened root file system is taken in',
    /^POST \/images\/create/,
    'body',
    async () => {
      const found = await faulty().runtime.find(sandbox.ref);
      return found?.snapshotRoot({ tag: newTag(), labels: {} });
    },
  ],
];

describe('an engine that lets a stream down', () => {
  test.each(moves)('is given up as silent, and leaves nothing, while %s', async (_what, request, of, act) => {
    const before = await leftovers();
    proxy.cut = { request, of, bytes: treeBytes / 4, reached: () => undefined, hangs: true };
    await expect(act()).rejects.toMatchObject({ code: 'OCT_TIMEOUT', details: { limit: 'engine progress' } });
    expect(await leftovers()).toEqual(before);
    expect((await sandbox.inspect()).state).toBe('running');
  });

  test.each(moves.slice(0, 1))('is given up when it never answers, while %s', async (_what, request, _of, act) => {
    const before = await leftovers();
    proxy.silences.push(request);
    await expect(act()).rejects.toMatchObject({ code: expect.stringMatching(/^OCT_(TIMEOUT|ENGINE_UNAVAILABLE)$/) });
    expect(await leftovers()).toEqual(before);
  });

  test.each(moves)('is told from a failure of ours when it breaks off, while %s', async (_what, request, _of, act) => {
    // Patience, since a busy machine is silent for a second as well.
    quietMs = 30_000;
    const before = await leftovers();
    proxy.resets.push(request);
    await expect(act()).rejects.toMatchObject({ code: 'OCT_ENGINE_UNAVAILABLE' });
    expect(await leftovers()).toEqual(before);
  });

  test('ends a copy out of a sandbox and one into it, whose lanes stand still', async () => {
    const open = async () => (await faulty().runtime.find(sandbox.ref)) as SandboxHandle;
    const [out, into] = [await open(), await open()];
    // Only the lane that carries the tree stands still.
    const cutAt = (of: 'answer' | 'body') => {
      const { promise, resolve } = Promise.withResolvers<void>();
      const request = /^POST \/exec\/\w+\/start/;
      const reached = () => {
        proxy.cut = undefined;
        resolve();
      };
      proxy.cut = { request, of, bytes: treeBytes / 4, reached, hangs: true };
      return promise;
    };
    const outReached = cutAt('answer');
    const packed = bytesOf(out.files.pack(access(2), '/tmp/tree')).catch((error: unknown) => error);
    await outReached;
    const intoReached = cutAt('body');
    const request = { path: '/tmp/other', tar: tree(), tell: false };
    const extracted = into.files.extract(access(3), request).catch((error: unknown) => error);
    await intoReached;
    for (const given of await Promise.all([packed, extracted]))
      expect(given).toMatchObject({ code: 'OCT_TIMEOUT', details: { limit: 'engine progress' } });
    expect(await bytesOf(sandbox.files.pack(access(4), '/tmp/tree'))).toBeGreaterThan(treeBytes);
  });
});

test('an engine that fails whatever it is asked fails each verb with an error that says so', async () => {
  const { runtime: broken } = faulty();
  const handle = await broken.find(sandbox.ref);
  if (!handle) throw new Error('the sandbox is gone');
  proxy.faults.push(/./);
  const verbs: Readonly<Record<string, () => Promise<unknown>>> = {
    inspect: async () => handle.inspect(),
    connect: async () => handle.connect(),
    fence: async () => handle.fence({ minToken: 1, revoked: [] }),
    endAll: async () => handle.endAll(),
    start: async () => handle.start(),
    stop: async () => handle.stop(0),
    pause: async () => handle.pause(),
    unpause: async () => handle.unpause(),
    rootChanges: async () => handle.rootChanges(),
    snapshotRoot: async () => handle.snapshotRoot({ tag: 'oct-test-never', labels: {} }),
    stats: async () => handle.stats(),
    measure: async () => handle.measure('/tmp'),
    list: async () => handle.files.list(access(1), { path: '/tmp', depth: 1 }),
    destroy: async () => handle.destroy(),
  };
  for (const [verb, run] of Object.entries(verbs)) {
    const code = await run().then(
      () => 'done',
      (error: unknown) => (error as { code?: unknown }).code,
    );
    expect({ verb, code }).toEqual({ verb, code: 'OCT_ENGINE_FAILED' });
  }
  await broken.close();
});
