import type { GroupUsage } from '@opencode-tools/core';
import { LiveBlobs } from './live-blobs.ts';
import { type Needed, measureUse } from './measure-use.ts';
import { createPacer } from './pacer.ts';
import type { StoreParts } from './store-parts.ts';

/** What the snapshots of each group take in the store. */
export async function contentUsage(
  { snapshots, index }: StoreParts,
  groups: readonly (readonly string[])[],
): Promise<readonly GroupUsage[]> {
  const live = new LiveBlobs(snapshots, index);
  const pacer = createPacer(undefined);
  const needed: Needed[] = [];
  for (const ids of groups) needed.push(await live.sizesOf(ids, pacer));
  return measureUse(needed);
}
