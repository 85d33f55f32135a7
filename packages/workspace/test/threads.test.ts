import { execFileSync } from 'node:child_process';
import { constants, linkSync, mkdirSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '@opencode-tools/core';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { BlobIndex } from '../src/blob-index.ts';
import { toBytePath } from '../src/byte-path.ts';
import { isKnown } from '../src/known-lines.ts';
import { PackWriter } from '../src/pack-writer.ts';
import { createPacer } from '../src/pacer.ts';
import { type FoundName, scanDirectory } from '../src/scan-directory.ts';
import { scanKnown } from '../src/scan-known.ts';
import { loadStatCache } from '../src/stat-cache.ts';
import { createLayout, layoutOf } from '../src/store-files.ts';
import { ThreadedReader } from '../src/threaded-reader.ts';
import { openStore } from './open-store.ts';

const flags = constants.O_RDONLY | constants.O_NOFOLLOW;
let bed: Awaited<ReturnType<typeof openStore>>;
let fresh: typeof bed;
let tree: string;

beforeEach(async () => {
  [bed, fresh] = await Promise.all([openStore(), openStore()]);
  tree = join(bed.scratch, 'tree');
  mkdirSync(tree);
});
afterEach(async () => {
  await Promise.all([bed.close(), fresh.close()]);
});

const at = (...names: string[]) => join(tree, ...names);
const freeze = (store = bed.store) => store.freeze({ kind: 'directory', path: tree });

/** Plants directories of 100 files, some with the same content. */
function plant(directories: readonly string[], sizeOf: (number: number) => number): void {
  for (const [number, directory] of directories.entries()) {
    mkdirSync(at(directory), { recursive: true });
    for (let file = 0; file < 100; file += 1)
      writeFileSync(at(directory, `file-${file}`), `${(number * 100 + file) % 3_000}`.padEnd(sizeOf(file), '-'));
  }
}

const names = (count: number, prefix: string) => Array.from({ length: count }, (_, number) => `${prefix}${number}`);

test('many files read in threads make the same snapshot as few read at a time', async () => {
  const parts = [names(3, 'a/'), names(3, 'süß '), names(3, 'c/d/e/')];
  for (const [number, part] of parts.entries()) {
    plant(part, (file) => (file % 4 === 0 ? 600_000 + number : file === 7 ? 2_200_000 : file * 20));
    if (number === 0) symlinkSync('a/0/file-1', at('link'));
    if (number === 1) linkSync(at('a/0/file-3'), at('süß 2', 'other name'));
    await freeze(fresh.store);
  }
  const { id } = await freeze();
  expect(id).toBe((await freeze(fresh.store)).id);
  expect(await bed.again().verify(id)).toMatchObject({ id });
});

test.runIf(availableParallelism() > 1)('what is not as it was scanned is left for who says what is wrong', async () => {
  plant(names(41, 'a'), () => 10);
  const nodes = (await scanDirectory(toBytePath(tree), createPacer(undefined))).filter(({ type }) => type === 'file');
  writeFileSync(at('a3/file-5'), 'longer than it was before');
  rmSync(at('a7/file-9'));
  const layout = layoutOf(bed.directory);
  await createLayout(layout);
  const pack = new PackWriter(layout);
  const work = { index: new BlobIndex(layout, silentLogger), pack, pacer: createPacer(undefined) };
  await using reader = new ThreadedReader(toBytePath(tree), flags, work, { files: 4_000, bytes: Infinity });
  for (const node of nodes) reader.offer(node);
  const read = await reader.finish();
  const left = nodes.filter((node) => !read.has(node)).map(({ path }) => path);
  expect(left).toEqual(['a3/file-5', 'a7/file-9']);
  await pack.finish();
  const [name = ''] = readdirSync(layout.packs);
  expect(statSync(join(layout.packs, name)).size).toBeLessThan(3_000 * (10 + 48) + 200);
});

test('what cannot be looked at while the walk is divided is told as by one walk', async () => {
  plant(names(3, ''), () => 3);
  await freeze();
  const cache = await loadStatCache(layoutOf(bed.directory), toBytePath(tree));
  const root = toBytePath(at('a name that is too long'.repeat(20)));
  await expect(scanKnown(root, createPacer(undefined), cache, undefined, 1)).rejects.toMatchObject({
    code: 'OCT_INVALID_ARGUMENT',
    details: { path: root, errno: 'ENAMETOOLONG' },
  });
});

test('a directory is seen as it is by the two who look at it', async () => {
  plant([...names(10, 'many/'), ...names(10, ''), 'last/deep/er'], () => 3);
  symlinkSync('many', at('way'));
  await new Promise((resolve) => setTimeout(resolve, 150));
  await freeze();
  const changes = [
    () => undefined,
    () => writeFileSync(at('0/file-3'), 'more'),
    () => writeFileSync(at('last/deep/er/file-99'), 'more'),
    () => rmSync(at('many'), { recursive: true }),
    () => writeFileSync(at('many'), 'a file'),
    () => {
      rmSync(at('last'), { recursive: true });
      symlinkSync('0', at('last'));
    },
    () => mkdirSync(at('9/new/and/deep'), { recursive: true }),
    () => linkSync(at('5/file-0'), at('8/twin')),
    () => execFileSync('mkfifo', [at('9/pipe')]),
  ];
  const root = toBytePath(tree);
  const cache = await loadStatCache(layoutOf(bed.directory), root);
  expect(cache.size).toBeGreaterThan(2_000);
  for (const change of changes) {
    change();
    const found = await scanKnown(root, createPacer(undefined), cache, undefined, 1);
    const seen = found.flatMap((one) =>
      isKnown(one) ? Array.from({ length: one.to - one.from }, (_, at) => cache.nameAt(one.from + at)) : [one],
    );
    const facts = ({ path, type, size, ino, mode, mtimeNs, target }: FoundName) =>
      [path, type, size, ino, mode, mtimeNs, target].join(' ');
    expect(seen.map(facts)).toEqual((await scanDirectory(root, createPacer(undefined))).map(facts));
  }
});
