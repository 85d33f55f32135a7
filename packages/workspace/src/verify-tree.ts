import type { AlreadyRead } from '@opencode-tools/core';
import type { BlobIndex } from './blob-index.ts';
import { BlobReader, smallFileBytes } from './blob-reader.ts';
import { createPacer } from './pacer.ts';
import type { LoadedSnapshot } from './snapshot-files.ts';

/** Files that are noted as read: more would take more memory than reading them again takes time. */
const mostNoted = 300_000;

/**
 * Reads every byte of a snapshot that was not read already.
 *
 * @throws OpencodeToolsError `OCT_CHECKPOINT_CORRUPT` naming the first bad path
 */
export async function verifyTree(
  { ref, entries }: LoadedSnapshot,
  index: BlobIndex,
  already: AlreadyRead,
): Promise<void> {
  const pacer = createPacer(undefined);
  using blobs = new BlobReader(index, ref.id);
  for (const entry of entries) {
    if (entry.type !== 'file') continue;
    const content = `${entry.digest} ${entry.size}`;
    if (already.has(content)) continue;
    if (entry.size <= smallFileBytes) blobs.read(entry);
    else for (const _ of blobs.chunks(entry)) if (pacer.due()) await pacer.rest();
    if (already.size < mostNoted) already.set(content, Promise.resolve(entry.digest));
    if (pacer.due()) await pacer.rest();
  }
}
