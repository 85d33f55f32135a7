import type { BlobIndex } from './blob-index.ts';
import type { KnownSeeds } from './known-seeds.ts';
import type { SnapshotFiles } from './snapshot-files.ts';
import type { StoreLayout } from './store-files.ts';
import type { StoreUses } from './store-uses.ts';

/** What a content store is made of, as one process sees it. */
export interface StoreParts {
  readonly layout: StoreLayout;
  readonly index: BlobIndex;
  readonly snapshots: SnapshotFiles;
  readonly seeds: KnownSeeds;
  readonly uses: StoreUses;
}
