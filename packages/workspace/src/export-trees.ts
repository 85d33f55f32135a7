import type { SnapshotRef } from '@opencode-tools/core';
import { BlobReader } from './blob-reader.ts';
import type { LoadedSnapshot } from './snapshot-files.ts';
import type { StoreParts } from './store-parts.ts';
import { encodeHeader, endOfArchive } from './tar-header.ts';
import { paddingOf } from './tar-member.ts';
import { writeTar } from './tar-stream.ts';

/** The first member of an exported checkpoint. */
export const headName = 'checkpoint.json';

/** Packs a head and trees, each under its name, into one tar stream; their content is checked on the way. */
export async function* exportTrees(
  { uses, snapshots, index }: StoreParts,
  trees: ReadonlyMap<string, string>,
  describe: (refs: ReadonlyMap<string, SnapshotRef>) => Uint8Array,
  signal: AbortSignal | undefined,
): AsyncGenerator<Buffer> {
  await using _ = await uses.begin();
  const loaded = new Map<string, LoadedSnapshot>();
  for (const [name, id] of trees) loaded.set(name, await snapshots.load(id));
  const head = describe(new Map([...loaded].map(([name, { ref }]) => [name, ref])));
  const plain = { type: 'file', mode: 0o644, uid: 0, gid: 0, mtimeNs: 0n, target: '' } as const;
  yield Buffer.concat([
    encodeHeader({ ...plain, name: headName, size: head.length }),
    head,
    Buffer.alloc(paddingOf(head.length)),
  ]);
  for (const [name, { ref, entries }] of loaded) {
    using blobs = new BlobReader(index, ref.id);
    const under = ({ path }: { readonly path: string }): string => (path === '' ? name : `${name}/${path}`);
    yield* writeTar(entries, blobs, { name: under, ends: false, signal });
  }
  yield endOfArchive();
}
