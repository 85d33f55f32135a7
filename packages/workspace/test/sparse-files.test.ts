import { execFileSync } from 'node:child_process';
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  statSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { delimiter, join } from 'node:path';
import { silentLogger } from '@opencode-tools/core';
import { describeTree } from '@opencode-tools/testkit';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createContentStore } from '../src/index.ts';
import { git, openStore } from './open-store.ts';

const mebibyte = 1_048_576;
let opened: Awaited<ReturnType<typeof openStore>>;
let tree: string;

beforeEach(async () => {
  opened = await openStore();
  tree = join(opened.scratch, 'tree');
  mkdirSync(tree);
});
afterEach(() => opened.close());

/** A file that is nearly nothing but holes. */
function writeSparse(name: string, size: number, data: Readonly<Record<number, string>>): void {
  const file = openSync(join(tree, name), 'w');
  ftruncateSync(file, size);
  for (const [at, text] of Object.entries(data)) writeSync(file, text, Number(at));
  closeSync(file);
  utimesSync(join(tree, name), 1_000_000_000.123, 1_000_000_000.123);
}

function writeAll(): void {
  writeSparse('inside', 40 * mebibyte + 17, {
    0: 'begins',
    [10 * mebibyte - 3]: 'across',
    [40 * mebibyte + 11]: 'ends',
  });
  writeSparse('at-the-end', 20 * mebibyte, { 5: 'begins' });
  writeSparse('nothing', 30 * mebibyte, {});
  writeFileSync(join(tree, 'plain'), 'x'.repeat(3 * mebibyte));
}

const bytesStored = (): number =>
  readdirSync(join(opened.directory, 'packs')).reduce(
    (sum, name) => sum + statSync(join(opened.directory, 'packs', name)).size,
    0,
  );
const onDisk = (directory: string): number =>
  readdirSync(directory).reduce((sum, name) => sum + statSync(join(directory, name)).blocks * 512, 0);

test('holes are neither stored nor filled when they are restored', async () => {
  writeAll();
  const snapshot = await opened.store.freeze({ kind: 'directory', path: tree });
  expect(bytesStored()).toBeLessThan(3.1 * mebibyte);
  expect(await opened.again().verify(snapshot.id)).toMatchObject({ id: snapshot.id, bytes: 93 * mebibyte + 17 });
  const copy = join(opened.scratch, 'copy');
  await opened.again().restoreDirectory(copy, snapshot.id);
  expect(describeTree(copy)).toEqual(describeTree(tree));
  expect(onDisk(copy)).toBeLessThan(8.1 * mebibyte);
  expect(await opened.again().freeze({ kind: 'directory', path: copy })).toMatchObject({ id: snapshot.id });
  expect(bytesStored()).toBeLessThan(3.2 * mebibyte);
  writeSparse('inside', 5 * mebibyte, { 0: 'other' });
  await opened.again().restoreDirectory(tree, snapshot.id);
  expect(describeTree(tree)).toEqual(describeTree(copy));
});

test('a tar that makes no holes writes the same bytes', async () => {
  writeAll();
  const { id } = await opened.store.freeze({ kind: 'directory', path: tree });
  const [bin, copy] = [join(opened.scratch, 'bin'), join(opened.scratch, 'copy')];
  mkdirSync(bin);
  const real = execFileSync('sh', ['-c', 'command -v tar'], { encoding: 'utf8' }).trim();
  const script = `#!/bin/sh\n[ "$1" = --version ] && echo 'tar (another)' && exit\nexec ${real} "$@"\n`;
  writeFileSync(join(bin, 'tar'), script, { mode: 0o755 });
  const store = createContentStore({
    directory: opened.directory,
    volumes: opened.volumes,
    git,
    environment: { PATH: [bin, process.env['PATH']].join(delimiter) },
    logger: silentLogger,
  });
  await store.restoreDirectory(copy, id);
  expect(describeTree(copy)).toEqual(describeTree(tree));
});

test('a file with holes is exported, taken in and put into a volume with the same bytes', async () => {
  writeAll();
  const { id, digest } = await opened.store.freeze({ kind: 'directory', path: tree });
  const other = await openStore();
  try {
    const stream = await opened.again().exportTrees(new Map([['workspace', id]]), () => Buffer.from('{}'));
    const taken = await other.store.importTrees(stream, () => new Map([['workspace', { digest, owner: null }]]));
    expect(taken.get('workspace')).toMatchObject({ id, digest });
  } finally {
    await other.close();
  }
  const volume = opened.volumeName();
  await opened.again().provision({ volume, labels: {}, owner: { uid: 0, gid: 0 }, snapshotId: id });
  expect(await opened.again().freeze({ kind: 'volume', volume })).toMatchObject({ id });
});
