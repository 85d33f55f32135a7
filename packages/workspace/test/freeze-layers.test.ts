import { silentLogger } from '@opencode-tools/core';
import { pack } from 'tar-stream';
import { expect, test } from 'vitest';
import { freezeLayers } from '../src/freeze-layers.ts';
import { canonicalTree, type TreeEntry } from '../src/tree-entry.ts';

const directory = (path: string): TreeEntry => ({ ...plain, path, type: 'directory' });
const file = (path: string): TreeEntry => ({ ...plain, path, type: 'file', digest: '0'.repeat(64) });
const plain = { mode: 0o755, uid: 0, gid: 0, mtimeNs: 0n, size: 0, digest: '', target: '' };
/** Which has all content. */
const store = { index: { has: () => true }, pack: {} } as unknown as Parameters<typeof freezeLayers>[2];

const quiet = { logger: silentLogger };

/** A layer in which names are gone, or are directories again. */
function layerOf(gone: readonly string[], made: readonly string[] = []): () => Promise<AsyncIterable<Uint8Array>> {
  const tar = pack();
  for (const name of gone) tar.entry({ name, type: 'character-device', devmajor: 0, devminor: 0 });
  for (const name of made) tar.entry({ name: `${name}/`, type: 'directory', mode: 0o755 });
  tar.finalize();
  return async () => tar as AsyncIterable<Uint8Array>;
}

const pathsOf = (tree: readonly TreeEntry[] | undefined) => tree?.map(({ path }) => path);

test('a directory that is gone takes with it what is below it, and nothing else of a like name', async () => {
  const names = ['a', 'a/b', 'a.b', 'a/b/c', 'ab', 'd'];
  const below = canonicalTree([directory(''), ...names.map(directory), file('a/b/c/file'), file('ab/file')]);
  const once = await freezeLayers(below, [layerOf(['a'])], store, quiet);
  expect(pathsOf(once)).toEqual(['', 'a.b', 'ab', 'ab/file', 'd']);
  const again = await freezeLayers(
    below,
    [layerOf(['a']), layerOf([], ['a', 'a/b']), layerOf(['a/b', 'ab'])],
    store,
    quiet,
  );
  expect(pathsOf(again)).toEqual(['', 'a', 'a.b', 'd']);
});

test('many directories that are gone at once take as long as their number says, not its square', async () => {
  const names = Array.from({ length: 20_000 }, (_none, index) => `directory-${index}`);
  const below = canonicalTree([directory(''), ...names.flatMap((name) => [directory(name), file(`${name}/file`)])]);
  const from = performance.now();
  expect(pathsOf(await freezeLayers(below, [layerOf(names)], store, quiet))).toEqual(['']);
  expect(performance.now() - from).toBeLessThan(5_000);
});

test('attributes that a layer tells of are part of the tree', async () => {
  const tar = pack();
  tar.entry({ name: 'a/', type: 'directory', mode: 0o755, pax: { 'SCHILY.xattr.user.a': 'x' } });
  tar.finalize();
  const tree = await freezeLayers([directory('')], [async () => tar as AsyncIterable<Uint8Array>], store, quiet);
  expect(tree?.map(({ path, attributes }) => [path, attributes])).toEqual([
    ['', undefined],
    ['a', 'user.a=eA=='],
  ]);
});
