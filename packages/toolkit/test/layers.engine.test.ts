import { execFile } from 'node:child_process';
import { mkdtemp, mkdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import {
  type HomeId,
  type LayerPort,
  type WorkspaceStore,
  createIds,
  silentLogger,
  systemClock,
} from '@opencode-tools/core';
import { createDockerRuntime } from '@opencode-tools/docker-runtime';
import { randomFrom, testSeed } from '@opencode-tools/testkit';
import { createContentStore, createGit, createLayeredStore } from '@opencode-tools/workspace';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bash, countScript, describeScript, docker, listScript, makeEdits } from './support/volume-model.ts';

const run = promisify(execFile);
const image = 'opencode-sandbox-base:latest';
const seed = testSeed();
const rounds = process.env['OPENCODE_TOOLS_SOAK'] === '1' ? 200 : 5;
const owner = { uid: 1000, gid: 1000 };

console.info(`layer tests: OPENCODE_TOOLS_SEED=${seed}`);

describe(`volumes of layers (seed ${seed})`, () => {
  let directory: string;
  let homeId: HomeId;
  let runtime: ReturnType<typeof createDockerRuntime>['runtime'];
  let layers: LayerPort;
  let content: WorkspaceStore;
  let store: WorkspaceStore;
  let labels: Readonly<Record<string, string>>;
  let volumes = 0;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'oct-layers-'));
    const ids = createIds(systemClock);
    homeId = ids.next('home');
    labels = { 'io.opencode-tools.home': homeId };
    const environment = process.env;
    const logger = silentLogger;
    const made = createDockerRuntime({ environment, homeId, ids, clock: systemClock, logger });
    await made.images.ensure('opencode-sandbox-base');
    ({ runtime, layers } = made);
    const git = createGit({ environment, logger, bound: () => Promise.resolve([]) });
    const shared = { volumes: runtime.volumes, logger };
    const contentStore = createContentStore({ ...shared, directory: join(directory, 'content'), git, environment });
    content = contentStore;
    store = createLayeredStore({
      ...shared,
      directory: join(directory, 'layers'),
      content: contentStore,
      layers,
      labels,
      flattenAt: 5,
      packFrom: 3,
    });
  }, 300_000);
  afterAll(async () => {
    await store.settle();
    await runtime.close();
    const label = `label=io.opencode-tools.home=${homeId}`;
    for (const id of (await docker('ps', '-aq', '--filter', label)).split('\n').filter(Boolean))
      await docker('rm', '-f', id);
    for (const name of (await docker('volume', 'ls', '-q', '--filter', label)).split('\n').filter(Boolean))
      await docker('volume', 'rm', name);
    await rm(directory, { recursive: true, force: true });
  });

  const provision = async (snapshotId: string | null): Promise<string> => {
    volumes += 1;
    const volume = `oct-test-${homeId.slice(-10)}-${volumes}`;
    await store.provision({ volume, labels, owner, snapshotId });
    return volume;
  };

  /** Entries and bytes of snapshots, as they were said. */
  const counted = new Map<string, string>();

  /** A container that has the volume and runs on. */
  const live = async (volume: string): Promise<string> =>
    docker(
      'run',
      '-d',
      '--rm',
      '--network',
      'none',
      '--user',
      '0:0',
      '--label',
      `io.opencode-tools.home=${homeId}`,
      '-v',
      `${volume}:/w`,
      image,
      'sleep',
      '100000',
    );
  const inside = async (container: string, script: string): Promise<string> =>
    bash(['docker', 'exec', '-i', container, 'bash', '-s', '/w'], script);
  const onHost = async (path: string, script: string): Promise<string> => bash(['bash', '-s', path], script);
  const frozen = async (container: string, volume: string): Promise<string> => {
    await docker('pause', container);
    try {
      const { id, entries, bytes } = await store.freeze({ kind: 'volume', volume });
      counted.set(id, `${entries} ${bytes}`);
      return id;
    } finally {
      await docker('unpause', container);
    }
  };

  test('are whatever a model says through edits, checkpoints, restores, forks and flattening', async () => {
    expect(await store.layering()).toEqual({ able: true });
    const random = randomFrom(seed);
    const saved: { readonly id: string; readonly model: string }[] = [];
    let model = join(directory, 'model-0');
    await mkdir(model);
    let volume = await provision(null);
    let container = await live(volume);
    for (let round = 1; round <= rounds; round += 1) {
      const paths = (await onHost(model, listScript)).split('\0').filter((path) => path !== '' || random() < 0.5);
      const edits = makeEdits(paths.length === 0 ? ['.'] : ['.', ...paths], 14, random, { pipes: true });
      await onHost(model, edits);
      await inside(container, edits);
      expect(await inside(container, describeScript)).toBe(await onHost(model, describeScript));
      const id = await frozen(container, volume);
      expect(counted.get(id)).toBe((await onHost(model, countScript)).trim());
      expect(await frozen(container, volume)).toBe(id);
      expect(await store.contentOf(id)).toBe((await content.freeze({ kind: 'volume', volume })).id);
      const copy = join(directory, `saved-${round}`);
      await run('cp', ['-a', model, copy]);
      saved.push({ id, model: copy });
      if (random() < 0.4) continue;
      const target = saved[Math.floor(random() * saved.length)];
      if (target === undefined) continue;
      const next = await provision(target.id);
      await docker('rm', '-f', container);
      if (random() < 0.5) await runtime.volumes.remove(volume);
      [volume, container] = [next, await live(next)];
      model = join(directory, `model-${round}`);
      await run('cp', ['-a', target.model, model]);
      expect(await inside(container, describeScript)).toBe(await onHost(model, describeScript));
      expect((await store.freeze({ kind: 'volume', volume })).id).toBe(target.id);
    }
    await docker('rm', '-f', container);
    const kept = saved.filter((_, index) => index % 3 === 0);
    await store.settle();
    const { unknown } = await store.collect(async () => new Set(kept.map(({ id }) => id)));
    expect(unknown).toEqual([]);
    for (const { id, model: copy } of kept.slice(-3)) {
      const again = await live(await provision(id));
      expect(await inside(again, describeScript)).toBe(await onHost(copy, describeScript));
      await docker('rm', '-f', again);
    }
  }, 900_000);

  test('know a directory from another that took its place and its number', async () => {
    const first = await provision(null);
    const begun = await live(first);
    await inside(begun, 'cd "$1"; mkdir old new; echo one >old/one; echo two >new/two');
    const id = await frozen(begun, first);
    const volume = await provision(id);
    const container = await live(volume);
    await inside(container, 'cd "$1"; touch old/touched');
    await frozen(container, volume);
    await inside(container, 'cd "$1"; rm -r old; mv new old');
    const replaced = await frozen(container, volume);
    const again = await live(await provision(replaced));
    expect(await inside(again, describeScript)).toBe(await inside(container, describeScript));
    for (const one of [begun, container, again]) await docker('rm', '-f', one);
  });

  test('leave nothing behind once nothing needs them, and begin again', async () => {
    const apart = await mkdtemp(join(tmpdir(), 'oct-layers-'));
    const ids = createIds(systemClock);
    const other = ids.next('home');
    const marked = { 'io.opencode-tools.home': other };
    const shared = { environment: process.env, logger: silentLogger };
    const made = createDockerRuntime({ ...shared, homeId: other, ids, clock: systemClock });
    const { volumes: own } = made.runtime;
    const content = createContentStore({
      ...shared,
      directory: join(apart, 'content'),
      volumes: own,
      git: createGit({ ...shared, bound: () => Promise.resolve([]) }),
    });
    const directories = { directory: join(apart, 'layers'), content };
    const stacked = createLayeredStore({
      ...shared,
      ...directories,
      layers: made.layers,
      volumes: own,
      labels: marked,
    });
    const onEngine = async (): Promise<readonly string[]> => {
      const all = await docker('volume', 'ls', '-q', '--filter', `label=io.opencode-tools.home=${other}`);
      return all.split('\n').filter(Boolean);
    };
    const layersVolume = `oct-${other.slice(-10)}-layers`;
    try {
      await stacked.collect(async () => new Set());
      expect(await onEngine()).toEqual([]);
      for (const volume of [`oct-test-${other.slice(-10)}-1`, `oct-test-${other.slice(-10)}-2`]) {
        await stacked.provision({ volume, labels: marked, owner, snapshotId: null });
        const container = await live(volume);
        await inside(container, 'cd "$1"; echo kept >file');
        const { id } = await stacked.freeze({ kind: 'volume', volume });
        await docker('rm', '-f', container);
        await own.remove(volume);
        await stacked.settle();
        await stacked.collect(async () => new Set([id]));
        expect(await onEngine()).toEqual([layersVolume]);
        expect((await stacked.verify(id)).id).toBe(id);
        await stacked.collect(async () => new Set());
        expect(await onEngine()).toEqual([]);
        expect(await stacked.has(id)).toBe(false);
      }
    } finally {
      await stacked.settle();
      await made.runtime.close();
      for (const name of await onEngine()) await docker('volume', 'rm', name);
      await rm(apart, { recursive: true, force: true });
    }
  });
});
