import type { BlobIndex } from './blob-index.ts';
import { BlobReader, smallFileBytes } from './blob-reader.ts';
import { createPacer } from './pacer.ts';
import type { LoadedSnapshot } from './snapshot-files.ts';

/** Reads every byte of a snapshot. @throws OpencodeToolsError `OCT_CHECKPOINT_CORRUPT` naming the first bad path */
export async function verifyTree({ ref, entries }: LoadedSnapshot, index: BlobIndex): Promise<void> {
  const pacer = createPacer(undefined);
  using blobs = new BlobReader(index, ref.id);
  for (const entry of entries) {
    if (entry.type !== 'file') continue;
    if (entry.size <= smallFileBytes) blobs.read(entry);
    else for (const _ of blobs.chunks(entry)) if (pacer.due()) await pacer.rest();
    if (pacer.due()) await pacer.rest();
  }
}
