import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type SnapshotRef, silentLogger } from '@opencode-tools/core';
import { describeTree } from '@opencode-tools/testkit';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { BlobIndex } from '../src/blob-index.ts';
import { collectContent } from '../src/collect-content.ts';
import { KnownSeeds } from '../src/known-seeds.ts';
import { SnapshotFiles } from '../src/snapshot-files.ts';
import { createLayout, layoutOf } from '../src/store-files.ts';
import { StoreUses } from '../src/store-uses.ts';
import { openStore } from './open-store.ts';

const script = fileURLToPath(new URL('collect-child.ts', import.meta.url));
const hourMs = 3_600_000;
let opened: Awaited<ReturnType<typeof openStore>>;
let tree: string;

beforeEach(async () => {
  opened = await openStore();
  tree = join(opened.scratch, 'tree');
  mkdirSync(tree);
});
afterEach(() => opened.close());

const words = (name: string, bytes: number): string =>
  `${name} says the same again and again. `.repeat(bytes / 20).slice(0, bytes);
const write = (name: string, content: string | Buffer): void => writeFileSync(join(tree, name), content);
const freeze = (): Promise<SnapshotRef> => opened.store.freeze({ kind: 'directory', path: tree });
const packs = () => readdirSync(join(opened.directory, 'packs'));
const bytesStored = (): number =>
  packs().reduce((sum, name) => sum + statSync(join(opened.directory, 'packs', name)).size, 0);

/** Makes all that is stored as old as two hours. */
function age(): void {
  const then = (Date.now() - 2 * hourMs) / 1_000;
  for (const folder of ['packs', 'snapshots'])
    for (const name of readdirSync(join(opened.directory, folder)))
      utimesSync(join(opened.directory, folder, name), then, then);
}

function collect(kept: readonly SnapshotRef[], directory = opened.directory) {
  const layout = layoutOf(directory);
  const index = new BlobIndex(layout, silentLogger);
  const snapshots = new SnapshotFiles(layout, index);
  const uses = new StoreUses(layout, () => createLayout(layout));
  const store = { layout, index, snapshots, seeds: new KnownSeeds(layout, snapshots), uses };
  return collectContent(store, async () => new Set(kept.map(({ id }) => id)), { packAfterMs: hourMs, waitMs: 200 });
}

async function contentOf(id: string) {
  const copy = join(opened.scratch, `copy-${readdirSync(opened.scratch).length}`);
  await opened.again().restoreDirectory(copy, id);
  return describeTree(copy);
}

/** Of every kind: many parts, one part, none, what cannot be made smaller, and both in one. */
function writeAll(): void {
  write('large', words('large', 3 * 1_048_576 + 17));
  write('part', words('part', 1_048_576));
  write('small', words('small', 5_000));
  write('empty', '');
  write('random', randomBytes(2_500_000));
  write('mixed', Buffer.concat([randomBytes(1_048_576), Buffer.from(words('mixed', 1_500_000))]));
}

test('what is old is stored in less space, is read as before, and is not stored again', async () => {
  writeAll();
  const [snapshot, content, before] = [await freeze(), describeTree(tree), bytesStored()];
  expect(await collect([snapshot])).toMatchObject({ bytes: 0 });
  expect(bytesStored()).toBe(before);
  age();
  const { bytes } = await collect([snapshot]);
  expect(bytesStored()).toBe(before - bytes);
  expect(bytesStored()).toBeLessThan(2_500_000 + 1_048_576 + 30_000);
  expect(await opened.again().verify(snapshot.id)).toMatchObject({ id: snapshot.id });
  expect(await contentOf(snapshot.id)).toEqual(content);
  const [packed] = packs();
  expect(await opened.again().freeze({ kind: 'directory', path: tree })).toMatchObject({ id: snapshot.id });
  age();
  expect(await collect([snapshot])).toMatchObject({ bytes: 0 });
  expect(packs()).toEqual([packed]);
  const [usage] = await opened.again().usage([[snapshot.id]]);
  expect(usage?.bytes).toBeLessThan(bytesStored());
});

test('what a recent snapshot has stays as it is, and what is packed stays so when the rest goes', async () => {
  write('shared', words('shared', 400_000));
  write('old', words('old', 300_000));
  const first = await freeze();
  age();
  write('new', 'new');
  const [second, content, before] = [await freeze(), describeTree(tree), bytesStored()];
  await collect([first, second]);
  expect(bytesStored()).toBe(before);
  age();
  await collect([first, second]);
  const packed = bytesStored();
  expect(packed).toBeLessThan(10_000);
  await collect([second]);
  expect(bytesStored()).toBeLessThanOrEqual(packed);
  expect(await contentOf(second.id)).toEqual(content);
});

test('a store that is killed at any step of packing is whole, and the next collection goes on', async () => {
  writeAll();
  const [snapshot, content] = [await freeze(), describeTree(tree)];
  age();
  const before = bytesStored();
  for (let step = 1, killed = true; killed; step += 1) {
    const store = join(opened.scratch, 'store');
    rmSync(store, { recursive: true, force: true });
    cpSync(opened.directory, store, { recursive: true, preserveTimestamps: true });
    const argv = ['--conditions=@opencode-tools/source', script, store, String(step), String(hourMs), snapshot.id];
    killed = spawnSync(process.execPath, argv).signal === 'SIGKILL';
    expect(killed || step > 3).toBe(true);
    await collect([snapshot], store);
    await collect([snapshot], store);
    const sizes = readdirSync(join(store, 'packs')).map((name) => statSync(join(store, 'packs', name)).size);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(before / 2);
    rmSync(opened.directory, { recursive: true });
    cpSync(store, opened.directory, { recursive: true, preserveTimestamps: true });
    expect(await opened.again().verify(snapshot.id)).toMatchObject({ id: snapshot.id });
    expect(await contentOf(snapshot.id)).toEqual(content);
    if (killed) await refill();
  }

  /** A store as it was before anything was packed. */
  async function refill(): Promise<void> {
    rmSync(opened.directory, { recursive: true });
    await opened.again().freeze({ kind: 'directory', path: tree });
    age();
  }
});

test('every byte of a packed store is noticed by verify when it changes', async () => {
  for (const name of ['a', 'b']) write(name, words(name, 3_000));
  write('random', randomBytes(60));
  const { id } = await freeze();
  age();
  await collect([{ id } as SnapshotRef]);
  const [name = ''] = packs();
  const file = join(opened.directory, 'packs', name);
  const sound = readFileSync(file);
  expect(sound.subarray(0, 8).toString('latin1')).toBe('OCTPACK\u0002');
  for (let at = 0; at < sound.length; at += 1) {
    const bad = Buffer.from(sound);
    bad[at] = (bad[at] ?? 0) ^ (1 << (at % 8));
    writeFileSync(file, bad);
    await expect(opened.again().verify(id), `byte ${at}`).rejects.toMatchObject({ code: 'OCT_CHECKPOINT_CORRUPT' });
  }
  for (const size of [0, 7, 60, sound.length - 1]) {
    writeFileSync(file, sound.subarray(0, size));
    await expect(opened.again().verify(id), `${size} bytes`).rejects.toMatchObject({ code: 'OCT_CHECKPOINT_CORRUPT' });
  }
});
