import type { ByteStream } from '@opencode-tools/core';
import { type BytePath, canonicalPath } from './byte-path.ts';
import { EntryTree } from './entry-tree.ts';
import { type FreezeDirectoryOptions, reportOmitted } from './freeze-directory.ts';
import { toEntry } from './freeze-volume.ts';
import { createPacer } from './pacer.ts';
import { tooDeep } from './scan-directory.ts';
import type { Collect } from './store-parts.ts';
import { readTar } from './tar-reader.ts';
import { type TreeEntry, canonicalTree } from './tree-entry.ts';

/**
 * Reads layers into a pack, and says what tree they make of the one below them, as an overlay shows it.
 *
 * @param layers tar streams with what the overlay notes on names, the lowest first
 * @returns the canonical tree; undefined where only what is mounted tells it: what was moved with all below it, and hard links, or
 *   where the store has lost some of what is below
 */
export async function freezeLayers(
  below: readonly TreeEntry[],
  layers: readonly (() => Promise<ByteStream>)[],
  store: Parameters<Collect>[0],
  options: Pick<FreezeDirectoryOptions, 'logger' | 'onLeftOut' | 'signal'>,
): Promise<readonly TreeEntry[] | undefined> {
  // Reading all of the tree stores anew what was lost.
  if (!below.every(({ type, digest }) => type !== 'file' || store.index.has(digest))) return undefined;
  const pacer = createPacer(options.signal);
  const linked = new Set(below.flatMap(({ path, type, target }) => (type === 'link' ? [path, target] : [])));
  const tree = new EntryTree(below);
  const { entries } = tree;
  const special = new Set<BytePath>();
  for (const layer of layers) {
    for await (const [member, content] of readTar(await layer())) {
      const path = canonicalPath(member.name);
      const { type, overlay } = member;
      if (overlay === 'moved' || type === 'link') return undefined;
      const staysDirectory = type === 'directory' && overlay !== 'opaque' && entries.get(path)?.type === 'directory';
      const goes = staysDirectory ? [] : tree.subtree(path);
      if (goes.some((one) => linked.has(one))) return undefined;
      for (const one of goes) tree.delete(one);
      if (!staysDirectory)
        for (const one of special) if (one === path || one.startsWith(`${path}/`)) special.delete(one);
      if (type === 'other' && overlay !== 'gone') special.add(path);
      if (type !== 'other') tree.set(path, await toEntry(path, member, content, { ...store, entries }));
      if (pacer.due()) await pacer.rest();
    }
  }
  reportOmitted(
    [...special].map((path) => ({ ...tooDeep(path), identity: path })),
    'layers',
    options,
  );
  return canonicalTree([...entries.values()]);
}
