import { mkdirSync, readFileSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type SnapshotRef, silentLogger } from '@opencode-tools/core';
import { describeTree } from '@opencode-tools/testkit';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createContentStore } from '../src/index.ts';
import { git, openStore } from './open-store.ts';

const files = 200;
let opened: Awaited<ReturnType<typeof openStore>>;
let tree: string;
let first: SnapshotRef;

beforeEach(async () => {
  opened = await openStore();
  tree = join(opened.scratch, 'tree');
  mkdirSync(tree);
  for (let number = 0; number < files; number += 1) write(number, `content ${number}`);
  first = await freeze();
});
afterEach(() => opened.close());

/** With one time for all, so that the same content makes the same tree. */
function write(number: number, content: string): void {
  const path = join(tree, `file-${number}`);
  writeFileSync(path, content);
  utimesSync(path, 1_000_000_000, 1_000_000_000);
}
const freeze = (): Promise<SnapshotRef> => opened.again().freeze({ kind: 'directory', path: tree });
const packs = () => readdirSync(join(opened.directory, 'packs')).map((name) => join(opened.directory, 'packs', name));
const namesIn = (pack: string): boolean => readFileSync(pack).includes('file-');

/** Freezes after one file got other content, and gives the pack that this made. */
async function freezeChanged(content: string) {
  const before = new Set(packs());
  write(7, content);
  const snapshot = await freeze();
  return { snapshot, pack: packs().find((name) => !before.has(name)) ?? '' };
}

test('a manifest that says little new is stored packed, is read again, and is shared', async () => {
  expect(packs().map(namesIn)).toEqual([true]);
  const { snapshot, pack } = await freezeChanged('other');
  expect(namesIn(pack)).toBe(false);
  const copy = join(opened.scratch, 'copy');
  await opened.again().restoreDirectory(copy, snapshot.id);
  expect(describeTree(copy)).toEqual(describeTree(tree));
  const known = packs();
  expect(await freeze()).toMatchObject({ id: snapshot.id, addedBytes: 0 });
  await opened.again().restoreDirectory(tree, first.id);
  expect(await freeze()).toMatchObject({ id: first.id, addedBytes: 0 });
  expect(packs()).toEqual(known);
});

test('every changed bit of a packed piece is noticed', async () => {
  const { snapshot, pack } = await freezeChanged('other');
  const sound = readFileSync(pack);
  for (let at = 0; at < sound.length; at += 1) {
    for (const bit of at % 8 === 0 ? [0, 7] : [at % 8]) {
      const bad = Buffer.from(sound);
      bad[at] = (bad[at] ?? 0) ^ (1 << bit);
      writeFileSync(pack, bad);
      await expect(opened.again().verify(snapshot.id), `bit ${bit} of byte ${at}`).rejects.toMatchObject({
        code: 'OCT_CHECKPOINT_CORRUPT',
      });
    }
  }
  writeFileSync(pack, sound);
  expect(await opened.again().verify(snapshot.id)).toMatchObject({ id: snapshot.id });
});

test('a packed piece is copied when its pack is mostly unneeded', async () => {
  writeFileSync(join(tree, 'zzz-large'), Buffer.alloc(100_000, 'z'));
  const { pack } = await freezeChanged('other');
  expect(namesIn(pack)).toBe(false);
  rmSync(join(tree, 'zzz-large'));
  const last = await freeze();
  const { directory, volumes } = opened;
  const store = createContentStore({ directory, volumes, git, environment: {}, logger: silentLogger, graceMs: -1 });
  const { bytes } = await store.collect(async () => new Set([last.id]));
  expect(bytes).toBeGreaterThan(100_000);
  expect(packs().some((pack) => readFileSync(pack).includes('zzzzz'))).toBe(false);
  expect(await opened.again().verify(last.id)).toMatchObject({ id: last.id });
});

test('a snapshot that lost an unpacked piece heals although the piece is now stored packed', async () => {
  const [before = ''] = packs();
  for (let number = 0; number < files; number += 1) write(number, `new ${number}`);
  const whole = await freeze();
  const lost = packs().find((pack) => pack !== before) ?? '';
  expect(namesIn(lost)).toBe(true);
  rmSync(lost);
  write(7, 'other');
  await freeze();
  await expect(opened.again().verify(whole.id)).rejects.toMatchObject({ code: 'OCT_CHECKPOINT_CORRUPT' });
  const { snapshot, pack } = await freezeChanged('new 7');
  expect(snapshot.id).toBe(whole.id);
  expect(namesIn(pack)).toBe(false);
  expect(await opened.again().verify(whole.id)).toMatchObject({ id: whole.id });
});

test('a difference is told from what two manifests do not share, and both are checked whole', async () => {
  const { snapshot } = await freezeChanged('other');
  const store = opened.again();
  expect(await store.diff(first.id, snapshot.id)).toMatchObject([{ path: 'file-7', change: 'modified' }]);
  expect(await store.diff(null, first.id)).toHaveLength(files + 1);
  expect(await store.diff(first.id, null)).toHaveLength(files + 1);
  const manifest = (id: string) => join(opened.directory, 'snapshots', `${id}.manifest`);
  writeFileSync(manifest(first.id), readFileSync(manifest(snapshot.id)));
  await expect(opened.again().diff(first.id, snapshot.id)).rejects.toMatchObject({ code: 'OCT_CHECKPOINT_CORRUPT' });
});
