import { execFile, spawn } from 'node:child_process';
import { hash } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { LayerPort, SnapshotRef } from '@opencode-tools/core';
import { until } from '@opencode-tools/testkit';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type LayerBed, openLayerBed, owner } from './support/layer-bed.ts';
import { type TestHome, createTestHome, tester as call } from './support/test-home.ts';
import { docker } from './support/volume-model.ts';

const run = promisify(execFile);
const lines = Array.from({ length: 500 }, (_, index) => `file ${index}\n`);
let source: string;
beforeEach(async () => {
  source = await mkdtemp(join(tmpdir(), 'oct-ready-'));
  await mkdir(join(source, 'folder'));
  for (const [index, line] of lines.entries()) await writeFile(join(source, 'folder', `f${index}`), line);
});
afterEach(async () => rm(source, { recursive: true, force: true }));

test('a volume that was made ready is filled once, and who gives up waiting for it does not end that', async () => {
  const filled: ReturnType<LayerPort['fill']>[] = [];
  const bed = await openLayerBed(undefined, ({ layers, volumes }) => ({
    layers: watched(layers, (made) => filled.push(made)),
    volumes,
  }));
  try {
    const { id: snapshotId } = await seeded(bed);
    await bed.store.ready(snapshotId);
    await until(() => filled.length === 1);
    const controller = new AbortController();
    const provision = async (volume: string, signal?: AbortSignal) =>
      bed.store.provision({
        volume,
        labels: bed.labels,
        owner,
        snapshotId,
        ...(signal === undefined ? {} : { signal }),
      });
    const given = provision(bed.newVolume(), controller.signal);
    controller.abort();
    await expect(given).rejects.toMatchObject({ code: 'OCT_CANCELLED' });
    const volume = bed.newVolume();
    await provision(volume);
    expect(await bed.run(volume, 'ls folder | wc -l')).toBe('500');
    expect(filled).toHaveLength(1);
  } finally {
    await bed.remove();
  }
});

test('closing ends what was only asked to be ready, and a later volume is filled anew', async () => {
  const filled: ReturnType<LayerPort['fill']>[] = [];
  let fillOn = true;
  const bed = await openLayerBed(undefined, ({ layers, volumes }) => ({
    // The tar has no end until the filling is given up.
    layers: watched(
      layers,
      (made) => filled.push(made),
      (tar) => (fillOn ? endless(tar) : tar),
    ),
    volumes,
  }));
  try {
    const { id: snapshotId } = await seeded(bed);
    await bed.store.ready(snapshotId);
    await until(() => filled.length === 1);
    await bed.store.settle();
    await expect(filled[0]).rejects.toMatchObject({ code: 'OCT_CANCELLED' });
    fillOn = false;
    const volume = bed.newVolume();
    await bed.store.provision({ volume, labels: bed.labels, owner, snapshotId });
    expect(await bed.run(volume, 'ls folder | wc -l')).toBe('500');
  } finally {
    await bed.remove();
  }
});

test('a layer whose filling was killed half way, or its process, is never taken for a whole one', async () => {
  const filled: ReturnType<LayerPort['fill']>[] = [];
  let fillOn = true;
  const bed = await openLayerBed(undefined, ({ layers, volumes }) => ({
    layers: watched(
      layers,
      (made) => filled.push(made),
      (tar) => (fillOn ? endless(tar, 20_000) : tar),
    ),
    volumes,
  }));
  try {
    const { id: snapshotId } = await seeded(bed);
    const volume = bed.newVolume();
    const request = { volume, labels: bed.labels, owner, snapshotId };
    const given = bed.store.provision(request);
    const helpers = ['--filter', `label=io.opencode-tools.home=${bed.homeId}`];
    await until(async () => (await docker('ps', '-q', ...helpers)) !== '');
    await docker('kill', await docker('ps', '-q', ...helpers));
    await expect(given).rejects.toMatchObject({ code: 'OCT_INTERNAL' });
    fillOn = false;
    const child = fileURLToPath(new URL('./support/fill-child.ts', import.meta.url));
    const argv = ['--conditions=@opencode-tools/source', child, bed.directory, bed.homeId, volume, snapshotId];
    const running = spawn(process.execPath, argv, { stdio: ['ignore', 'inherit', 'inherit'] });
    expect(await once(running, 'exit')).toEqual([null, 'SIGKILL']);
    await bed.store.provision(request);
    expect(filled).toHaveLength(2);
    expect(await bed.run(volume, 'ls folder | wc -l; for n in $(seq 0 499); do cat folder/f$n; done | sha256sum')).toBe(
      `500\n${hash('sha256', lines.join(''))}  -`,
    );
    // Of what the two left, what the dead process made is known to be nobody's.
    const { unknown, layers } = await bed.store.collect(async () => new Set([snapshotId]));
    expect({ unknown, layers }).toEqual({ unknown: [], layers: 1 });
  } finally {
    await bed.remove();
  }
});

test('of a layer that there is nothing to fill with it is said what is missing', async () => {
  const bed = await openLayerBed();
  try {
    const { id: snapshotId } = await seeded(bed);
    const content = join(bed.directory, 'content');
    await rm(join(content, 'packs'), { recursive: true });
    await mkdir(join(content, 'packs'));
    const other = await openLayerBed(bed);
    const request = { volume: bed.newVolume(), labels: bed.labels, owner };
    for (const id of [`snp_${'0'.repeat(40)}`, snapshotId])
      await expect(other.store.provision({ ...request, snapshotId: id })).rejects.toMatchObject({
        code: 'OCT_CHECKPOINT_CORRUPT',
      });
    await other.close();
  } finally {
    await bed.remove();
  }
});

test('a layer is begun while its commit is being read, and once', async () => {
  const filled: ReturnType<LayerPort['fill']>[] = [];
  const bed = await openLayerBed(undefined, ({ layers, volumes }) => ({
    layers: watched(layers, (made) => filled.push(made)),
    volumes,
  }));
  try {
    const git = async (...words: readonly string[]) => run('git', words, { cwd: source });
    const committed = ['-c', 'user.name=a', '-c', 'user.email=a@example.org', 'commit', '-q', '-m', 'one'];
    await git('init', '-q', '-b', 'main');
    await git('add', '.');
    await git(...committed);
    let isRead = false;
    const commit = (await git('rev-parse', 'HEAD')).stdout.trim();
    const from = { kind: 'git', repository: source, ref: null, commit, dirty: 'refuse' } as const;
    // The engine is asked before the commit can be read to its end: a hook waits for it.
    const prepare = async (): Promise<void> => {
      await until(() => filled.length === 1);
      isRead = true;
    };
    const first = await bed.store.seed({ source: from, owner, ready: true, prepare });
    expect(isRead).toBe(true);
    const volume = bed.newVolume();
    await bed.store.provision({ volume, labels: bed.labels, owner, snapshotId: first.id });
    expect(await bed.run(volume, 'ls folder | wc -l; cat .git/HEAD')).toBe('500\nref: refs/heads/main');
    expect(filled).toHaveLength(1);
    // One that is not made gives up what was begun for it.
    const failing = async (): Promise<void> => {
      await until(() => filled.length === 2);
      throw new Error('refused');
    };
    await expect(bed.store.seed({ source: from, owner, ready: true, prepare: failing })).rejects.toThrow('refused');
    await expect(filled[1]).rejects.toBeInstanceOf(Error);
    const helpers = ['--filter', `label=io.opencode-tools.home=${bed.homeId}`];
    await until(async () => (await docker('ps', '-aq', ...helpers)) === '');
    // What has a layer needs none.
    const again = await bed.store.seed({ source: from, owner, ready: true, prepare: async () => undefined });
    await bed.store.provision({ volume: bed.newVolume(), labels: bed.labels, owner, snapshotId: again.id });
    const unready = await bed.store.seed({ source: from, owner });
    expect(await bed.store.has(unready.id)).toBe(true);
    const { length } = filled;
    await bed.store.seed({ source: from, owner, ready: true });
    expect(filled).toHaveLength(length);
  } finally {
    await bed.remove();
  }
});

test('the workspace of a new task is made ready in a process that stays, and in another where a command is to follow', async () => {
  const home: TestHome = await createTestHome();
  const filled: string[] = [];
  const open = await home.open({
    decorate: (ports) => ({
      ...ports,
      workspaces: { ...ports.workspaces, ready: async (id) => (filled.push(id), ports.workspaces.ready(id)) },
    }),
  });
  try {
    const create = async (kind: 'directory' | 'empty', ready = false) => {
      const workspace = kind === 'empty' ? { kind } : { kind, path: source };
      const task = await open.services.tasks.create({ title: 'ready', image: home.image, workspace, ready }, call);
      return task.workspace.mode === 'volume' && task.workspace.base?.id;
    };
    await create('directory');
    expect(filled).toEqual([]);
    const first = await create('directory', true);
    expect(filled).toEqual([first]);
    open.services.housekeeper.start();
    await create('empty');
    expect(filled).toEqual([first, await create('directory')]);
  } finally {
    await open.close();
    await home.remove();
  }
});

const seeded = async ({ store }: LayerBed): Promise<SnapshotRef> =>
  store.seed({ source: { kind: 'directory', path: source }, owner });

/** Layers that tell of each filling. */
function watched(
  layers: LayerPort,
  onFill: (made: ReturnType<LayerPort['fill']>) => void,
  change: (tar: Parameters<LayerPort['fill']>[1]) => Parameters<LayerPort['fill']>[1] = (tar) => tar,
): LayerPort {
  return new Proxy(layers, {
    get: (target, key) => {
      const value: unknown = Reflect.get(target, key);
      if (typeof value !== 'function') return value;
      if (key !== 'fill') return value.bind(target) as unknown;
      return (...[layer, tar, signal]: Parameters<LayerPort['fill']>) => {
        const made = target.fill(layer, change(tar), signal);
        made.catch(() => undefined);
        onFill(made);
        return made;
      };
    },
  });
}

async function* endless(tar: AsyncIterable<Uint8Array>, bytes = 512): AsyncGenerator<Uint8Array> {
  for await (const chunk of tar) yield chunk.subarray(0, bytes);
  await new Promise(() => undefined);
}
