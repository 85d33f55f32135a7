import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type SnapshotRef, silentLogger } from '@opencode-tools/core';
import { describeTree } from '@opencode-tools/testkit';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { BlobIndex } from '../src/blob-index.ts';
import { collectionSteps } from '../src/collect-content.ts';
import { KnownSeeds } from '../src/known-seeds.ts';
import { SnapshotFiles } from '../src/snapshot-files.ts';
import { createLayout, layoutOf } from '../src/store-files.ts';
import { StoreUses } from '../src/store-uses.ts';
import { openStore } from './open-store.ts';

const script = fileURLToPath(new URL('collect-child.ts', import.meta.url));
const now = { graceMs: -1, waitMs: 200 };
let opened: Awaited<ReturnType<typeof openStore>>;
let tree: string;

beforeEach(async () => {
  opened = await openStore();
  tree = join(opened.scratch, 'tree');
  mkdirSync(tree);
});
afterEach(() => opened.close());

const freeze = (): Promise<SnapshotRef> => opened.store.freeze({ kind: 'directory', path: tree });
const write = (name: string, size = 2_000): void => writeFileSync(join(tree, name), name.padEnd(size, '.'));
const packs = (): readonly string[] => readdirSync(join(opened.directory, 'packs'));
const bytesStored = (): number =>
  packs().reduce((sum, name) => sum + statSync(join(opened.directory, 'packs', name)).size, 0);

/** The parts of the store as another process would have them. */
function parts() {
  const layout = layoutOf(opened.directory);
  const index = new BlobIndex(layout, silentLogger);
  const snapshots = new SnapshotFiles(layout, index);
  const uses = new StoreUses(layout, () => createLayout(layout));
  return { layout, index, snapshots, seeds: new KnownSeeds(layout, snapshots), uses };
}

async function collect(kept: readonly SnapshotRef[], options: { graceMs?: number; waitMs?: number } = now) {
  const steps = collectionSteps(parts(), async () => new Set(kept.map(({ id }) => id)), options);
  for (;;) {
    const step = await steps.next();
    if (step.done === true) return step.value;
  }
}

test('what no record names goes, with its bytes, and what one names stays whole', async () => {
  write('shared');
  const first = await freeze();
  write('only-in-the-second', 50_000);
  const second = await freeze();
  rmSync(join(tree, 'only-in-the-second'));
  write('only-in-the-third');
  const third = await freeze();
  const before = bytesStored();
  expect(await collect([first, third])).toMatchObject({ snapshots: 1, unknown: [] });
  expect(before - bytesStored()).toBeGreaterThan(50_000);
  expect(await opened.store.has(second.id)).toBe(false);
  for (const { id } of [first, third]) expect(await opened.again().verify(id)).toMatchObject({ id });
  expect(await collect([first, third])).toMatchObject({ snapshots: 0, bytes: 0 });
  await collect([]);
  expect(packs()).toEqual([]);
});

test('a stream that was opened keeps what it needs until it is disposed of, read or not', async () => {
  write('a', 100_000);
  const { id } = await freeze();
  const read = async () => {
    await using opened = await store.readTar(id);
    await collect([]);
    let bytes = 0;
    for await (const chunk of opened.tar) bytes += chunk.length;
    return bytes;
  };
  const store = opened.again();
  expect(await read()).toBeGreaterThan(100_000);
  await freeze();
  await (await store.readTar(id))[Symbol.asyncDispose]();
  await expect(store.readTar('snp_'.padEnd(44, '0'))).rejects.toMatchObject({ code: 'OCT_CHECKPOINT_CORRUPT' });
  await collect([]);
  expect(packs()).toEqual([]);
});

test('a pack that is mostly unneeded is written anew without the rest', async () => {
  for (const name of ['a', 'b', 'c', 'd']) write(name, 100_000);
  await freeze();
  for (const name of ['a', 'b', 'c']) rmSync(join(tree, name));
  const rest = await freeze();
  const content = describeTree(tree);
  expect(bytesStored()).toBeGreaterThan(400_000);
  await collect([rest]);
  expect(bytesStored()).toBeLessThan(110_000);
  const copy = join(opened.scratch, 'copy');
  await opened.again().restoreDirectory(copy, rest.id);
  expect(describeTree(copy)).toEqual(content);
});

test('what was frozen within the last hour stays without a record, and a tree frozen again counts anew', async () => {
  write('a');
  const { id } = await freeze();
  await collect([], {});
  expect(await opened.store.has(id)).toBe(true);
  const manifest = join(opened.directory, 'snapshots', `${id}.manifest`);
  utimesSync(manifest, 1, 1);
  expect((await freeze()).id).toBe(id);
  await collect([], {});
  expect(await opened.store.verify(id)).toMatchObject({ id });
  utimesSync(manifest, 1, 1);
  expect(await collect([], {})).toMatchObject({ snapshots: 1 });
  expect(await opened.store.has(id)).toBe(false);
});

test('a tree that is frozen between any two steps is whole afterwards', async () => {
  for (let stop = 1, ended = false; !ended; stop += 1) {
    rmSync(tree, { recursive: true });
    mkdirSync(tree);
    for (const name of ['a', 'b', 'c']) write(name, 30_000);
    const old = await freeze();
    rmSync(join(tree, 'a'));
    rmSync(join(tree, 'b'));
    const kept = await freeze();
    // One that knows the store as it was before, and one that looks when the step is done.
    const [early, late] = [opened.again(), opened.again()];
    await early.freeze({ kind: 'directory', path: tree });
    const steps = collectionSteps(parts(), async () => new Set([kept.id]), now);
    let count = 0;
    for await (const _ of steps) {
      count += 1;
      if (count !== stop) continue;
      for (const name of ['a', 'b', 'c']) write(name, 30_000);
      utimesSync(join(tree, 'a'), 1, 1);
      const first = await early.freeze({ kind: 'directory', path: tree });
      utimesSync(join(tree, 'a'), 2, 2);
      const second = await late.freeze({ kind: 'directory', path: tree });
      while ((await steps.next()).done !== true);
      for (const { id } of [kept, first, second])
        expect(await opened.again().verify(id), `step ${stop}`).toMatchObject({ id });
      await collect([kept, first, second]);
      for (const { id } of [kept, first, second])
        expect(await opened.again().verify(id), `step ${stop}`).toMatchObject({ id });
    }
    ended = count < stop;
    await collect([]);
    expect(await opened.store.has(old.id)).toBe(false);
  }
}, 60_000);

test('nothing is taken from under work that began before, and what it left needed stays', async () => {
  write('a', 30_000);
  await freeze();
  const source = join(opened.scratch, 'source');
  mkdirSync(source);
  writeFileSync(join(source, 'a'), 'a'.padEnd(30_000, '.'));
  const during: unknown[] = [];
  const seeded = await opened.store.seed({
    source: { kind: 'directory', path: source },
    owner: { uid: 1, gid: 1 },
    prepare: async () => void during.push(await collect([])),
  });
  expect(during).toMatchObject([{ bytes: 0 }]);
  await collect([seeded]);
  expect(await opened.again().verify(seeded.id)).toMatchObject({ id: seeded.id });
  expect(readdirSync(join(opened.directory, 'condemned'))).toEqual([]);
});

test('a process killed after any step leaves what is kept, and the next collection finishes', async () => {
  for (let stop = 1, ended = false; !ended; stop += 1) {
    rmSync(tree, { recursive: true });
    mkdirSync(tree);
    write('gone', 9_000);
    await freeze();
    rmSync(join(tree, 'gone'));
    for (const name of ['a', 'b', 'c']) write(name, 30_000);
    const whole = await freeze();
    rmSync(join(tree, 'a'));
    rmSync(join(tree, 'b'));
    const kept = await freeze();
    const args = ['--experimental-strip-types', '--conditions=@opencode-tools/source', script, opened.directory];
    const child = spawnSync(process.execPath, [...args, String(stop), '-', kept.id], { encoding: 'utf8' });
    expect(child.stderr).toBe('');
    ended = child.signal === null;
    expect(await opened.again().verify(kept.id), `step ${stop}`).toMatchObject({ id: kept.id });
    await collect([kept]);
    expect(await opened.again().verify(kept.id), `step ${stop}`).toMatchObject({ id: kept.id });
    expect(await opened.store.has(whole.id)).toBe(false);
    expect(bytesStored(), `step ${stop}`).toBeLessThan(35_000);
    for (const name of ['condemned', 'leaving']) expect(readdirSync(join(opened.directory, name))).toEqual([]);
    await collect([]);
  }
  expect(packs()).toEqual([]);
}, 60_000);

test('one process collects at a time', async () => {
  write('a');
  await freeze();
  await using _ = await parts().uses.beginCollection();
  expect(await collect([])).toEqual({ snapshots: 0, layers: 0, bytes: 0, unknown: [] });
  expect(packs()).toHaveLength(1);
});

test('on a full disk what nothing needs goes, and makes room for the rest', () => {
  const child = fileURLToPath(new URL('full-store-child.ts', import.meta.url));
  const mount =
    'mount -t tmpfs -o size=1000k tmpfs "$1" && exec "$2" --conditions=@opencode-tools/source "$3" "$1" "$4"';
  const disk = join(opened.scratch, 'disk');
  mkdirSync(disk);
  const argv = ['--user', '--map-root-user', '--mount', 'sh', '-c', mount, 'sh', disk, process.execPath, child];
  const { stdout, stderr } = spawnSync('unshare', [...argv, opened.scratch], { encoding: 'utf8' });
  expect(stderr).toBe('');
  const { afterFirst, afterSecond, ...rest } = JSON.parse(stdout) as { afterFirst: number; afterSecond: number };
  expect(rest).toEqual({ outcomes: ['OCT_RESOURCE_LIMIT', 'done', 'done', 'done'], temporary: [] });
  expect(afterFirst).toBeLessThan(400_000);
  expect(afterSecond).toBeLessThan(50_000);
});

test('with a damaged manifest, and with a damaged pack, nothing more is removed', async () => {
  write('a');
  const bad = await freeze();
  write('b');
  await freeze();
  const before = packs();
  const manifest = join(opened.directory, 'snapshots', `${bad.id}.manifest`);
  const bytes = readFileSync(manifest);
  writeFileSync(manifest, bytes.subarray(0, 40));
  expect(await collect([bad])).toMatchObject({ snapshots: 1, bytes: 0, unknown: [bad.id] });
  expect(packs()).toEqual(before);
  writeFileSync(manifest, bytes);
  const [pack = ''] = packs();
  const path = join(opened.directory, 'packs', pack);
  writeFileSync(path, readFileSync(path).subarray(0, 100));
  await collect([]);
  expect(packs()).toEqual([pack]);
});
