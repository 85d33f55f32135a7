import { closeSync, openSync, readdirSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { silentLogger } from '@opencode-tools/core';
import { createDirectoryVolumes } from '@opencode-tools/testkit';
import { BlobIndex } from '../src/blob-index.ts';
import { collectionSteps } from '../src/collect-content.ts';
import { createContentStore } from '../src/index.ts';
import { KnownSeeds } from '../src/known-seeds.ts';
import { SnapshotFiles } from '../src/snapshot-files.ts';
import { createLayout, layoutOf } from '../src/store-files.ts';
import { StoreUses } from '../src/store-uses.ts';
import { git } from './open-store.ts';

/* Fills a small disk with a store on it, then freezes and collects: node full-store-child.ts <disk> <directory elsewhere> */
const [disk = '', elsewhere = ''] = process.argv.slice(2);
const directory = join(disk, 'home', 'store');
const environment = { PATH: process.env['PATH'] };
const volumes = createDirectoryVolumes(join(elsewhere, 'volumes'));
const store = createContentStore({ directory, volumes, git, environment, logger: silentLogger });
const tree = join(elsewhere, 'tree');
const freeze = () => store.freeze({ kind: 'directory', path: tree });
const write = (name: string, size: number): void => writeFileSync(join(tree, name), name.padEnd(size, '.'));

write('unneeded', 200_000);
await freeze();
rmSync(join(tree, 'unneeded'));
write('needed', 30_000);
write('mostly', 300_000);
await freeze();
rmSync(join(tree, 'mostly'));
const kept = await freeze();
const filler = openSync(join(disk, 'filler'), 'a');
for (const size of [65_536, 4_096, 1]) {
  try {
    while (writeSync(filler, Buffer.alloc(size)) === size);
  } catch {
    // That size does not fit any more.
  }
}
closeSync(filler);

const layout = layoutOf(directory);
const index = new BlobIndex(layout, silentLogger);
const snapshots = new SnapshotFiles(layout, index);
const uses = new StoreUses(layout, () => createLayout(layout));
const parts = { layout, index, snapshots, seeds: new KnownSeeds(layout, snapshots), uses };
const outcomes: string[] = [];
const attempt = async (work: () => Promise<unknown>): Promise<void> => {
  outcomes.push(
    await work().then(
      () => 'done',
      (error: unknown) => (error as { readonly code: string }).code,
    ),
  );
};
const collect = async (): Promise<void> => {
  for await (const _ of collectionSteps(parts, async () => new Set([kept.id]), { graceMs: -1, waitMs: 0 })) continue;
};
const bytesIn = (): number =>
  readdirSync(layout.packs).reduce((sum, name) => sum + statSync(join(layout.packs, name)).size, 0);

write('more', 50_000);
await attempt(freeze);
await attempt(collect);
const afterFirst = bytesIn();
await attempt(collect);
await attempt(() => store.verify(kept.id));
const left = { afterFirst, afterSecond: bytesIn(), temporary: readdirSync(layout.temporary) };
process.stdout.write(JSON.stringify({ outcomes, ...left }));
