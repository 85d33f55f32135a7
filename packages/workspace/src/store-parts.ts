import type { BlobIndex } from './blob-index.ts';
import type { FrozenTree } from './freeze-directory.ts';
import type { KnownSeeds } from './known-seeds.ts';
import type { PackWriter } from './pack-writer.ts';
import type { SnapshotFiles } from './snapshot-files.ts';
import type { StoreLayout } from './store-files.ts';
import type { StoreUses } from './store-uses.ts';
import type { TreeEntry } from './tree-entry.ts';

/** What a content store is made of, as one process sees it. */
export interface StoreParts {
  readonly layout: StoreLayout;
  readonly index: BlobIndex;
  readonly snapshots: SnapshotFiles;
  readonly seeds: KnownSeeds;
  readonly uses: StoreUses;
}

/** Reads a tree into a pack. */
export type Collect<Else = never> = (store: {
  readonly layout: StoreLayout;
  readonly index: BlobIndex;
  readonly pack: PackWriter;
}) => Promise<readonly TreeEntry[] | FrozenTree | Else>;
