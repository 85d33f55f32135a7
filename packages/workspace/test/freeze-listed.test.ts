import * as fs from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { silentLogger } from '@opencode-tools/core';
import { createDirectoryVolumes } from '@opencode-tools/testkit';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createContentStore } from '../src/index.ts';
import { git, openStore } from './open-store.ts';

let bed: Awaited<ReturnType<typeof openStore>>;
let place: string;
let asked: (readonly string[])[];
let store: ReturnType<typeof createContentStore>;

const environment = { PATH: process.env['PATH'] };
const tree = { kind: 'volume', volume: 'one' } as const;

beforeEach(async () => {
  bed = await openStore();
  asked = [];
  const volumes = createDirectoryVolumes(join(bed.scratch, 'volumes'));
  const listTree: typeof volumes.listTree = async (name) => {
    const listing = await volumes.listTree(name);
    return listing && { ...listing, read: (paths) => (asked.push(paths.toSorted()), listing.read(paths)) };
  };
  const options = { git, environment, logger: silentLogger };
  store = createContentStore({ ...options, directory: bed.directory, volumes: { ...volumes, listTree } });
  await volumes.create({ name: 'one', labels: {}, owner: { uid: 1000, gid: 1000 } });
  place = volumes.pathOf('one');
  for (const [path, content] of Object.entries({ kept: 'kept', changed: 'before', gone: 'gone', linked: 'linked' }))
    fs.writeFileSync(join(place, path), content);
  fs.mkdirSync(join(place, 'sub'));
  fs.linkSync(join(place, 'linked'), join(place, 'sub/other'));
  fs.symlinkSync('kept', join(place, 'link'));
  fs.writeFileSync(join(place, 'sub/back\\slash\n-'), 'odd');
  // What changed just now is not trusted to stay as it is.
  await sleep(150);
});
afterEach(() => bed.close());

test('only what changed is read again, also when their size and times say that they did not', async () => {
  const first = await store.freeze(tree);
  const { atime, mtime } = fs.statSync(join(place, 'changed'));
  fs.writeFileSync(join(place, 'changed'), 'after!');
  fs.utimesSync(join(place, 'changed'), atime, mtime);
  fs.rmSync(join(place, 'gone'));
  fs.chmodSync(join(place, 'sub'), 0o700);
  fs.writeFileSync(join(place, 'fresh'), 'fresh');
  const second = await store.freeze(tree);
  expect(asked).toEqual([
    ['', 'changed', 'gone', 'kept', 'linked', 'sub', 'sub/back\\slash\n-'],
    ['', 'changed', 'fresh', 'sub'],
  ]);
  expect((await store.diff(first.id, second.id)).map(({ path, change }) => [path, change])).toEqual([
    ['changed', 'modified'],
    ['fresh', 'added'],
    ['gone', 'deleted'],
    ['sub', 'modified'],
  ]);
  expect(await store.verify(second.id)).toMatchObject({ digest: second.digest });
  await sleep(150);
  expect((await store.freeze(tree)).id).toBe(second.id);
});

test('a tree is the same whether it is listed or streamed', async () => {
  const listed = await store.freeze(tree);
  const volumes = createDirectoryVolumes(join(bed.scratch, 'volumes'));
  const options = { git, environment, logger: silentLogger, directory: join(bed.scratch, 'other') };
  const streaming = createContentStore({ ...options, volumes: { ...volumes, listTree: async () => null } });
  expect((await streaming.freeze(tree)).id).toBe(listed.id);
  fs.rmSync(join(place, 'gone'));
  fs.rmSync(join(place, 'link'));
  fs.symlinkSync('changed', join(place, 'link'));
  fs.linkSync(join(place, 'linked'), join(place, 'again'));
  fs.mkdirSync(join(place, 'sub/new'));
  fs.writeFileSync(join(place, 'sub/new/file'), 'new');
  const changed = await store.freeze(tree);
  expect((await streaming.freeze(tree)).id).toBe(changed.id);
  fs.rmSync(join(place, 'sub/new'), { recursive: true });
  fs.rmSync(join(place, 'again'));
  const last = await store.freeze(tree);
  expect((await streaming.freeze(tree)).id).toBe(last.id);
  expect(await store.verify(last.id)).toMatchObject({ id: last.id });
});
