import { BlobReader } from './blob-reader.ts';
import type { ContentTar } from './content-store-contract.ts';
import type { StoreParts } from './store-parts.ts';
import { writeTar } from './tar-stream.ts';

/** Opens a snapshot as a tar stream. What it needs is noted before it is looked for, until whoever has it disposes of it. */
export async function openContentTar(
  { snapshots, index, uses }: StoreParts,
  snapshotId: string,
  signal: AbortSignal | undefined,
): Promise<ContentTar> {
  await using opening = new AsyncDisposableStack();
  opening.use(await uses.begin());
  const { ref, entries } = await snapshots.load(snapshotId);
  const top = entries.find(({ path }) => path === '');
  const root = { mode: top?.mode ?? 0o755, uid: top?.uid ?? 0, gid: top?.gid ?? 0 };
  async function* tar(): AsyncGenerator<Buffer> {
    using blobs = new BlobReader(index, ref.id);
    yield* writeTar(entries, blobs, { signal });
  }
  const use = opening.move();
  return { ref, root, tar: tar(), [Symbol.asyncDispose]: () => use.disposeAsync() };
}

/** The tar alone; whoever reads it to its end, or gives it up, lets go of the snapshot. */
export async function* streamOf(content: ContentTar): AsyncGenerator<Uint8Array> {
  await using _ = content;
  yield* content.tar;
}
