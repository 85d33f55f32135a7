import { silentLogger } from '@opencode-tools/core';
import { BlobIndex } from '../src/blob-index.ts';
import { collectionSteps } from '../src/collect-content.ts';
import { KnownSeeds } from '../src/known-seeds.ts';
import { SnapshotFiles } from '../src/snapshot-files.ts';
import { createLayout, layoutOf } from '../src/store-files.ts';
import { StoreUses } from '../src/store-uses.ts';

/* A process that collects and is killed after a step: node collect-child.ts <store> <step from 1> <pack after ms, or -> <kept id...> */
const [, , directory = '', last = '', age = '-', ...kept] = process.argv;
const options = { graceMs: -1, ...(age === '-' ? {} : { packAfterMs: Number(age) }) };
const layout = layoutOf(directory);
const index = new BlobIndex(layout, silentLogger);
const snapshots = new SnapshotFiles(layout, index);
const uses = new StoreUses(layout, () => createLayout(layout));
const store = { layout, index, snapshots, seeds: new KnownSeeds(layout, snapshots), uses };
let step = 0;
for await (const _ of collectionSteps(store, async () => new Set(kept), options)) {
  step += 1;
  if (step === Number(last)) process.kill(process.pid, 'SIGKILL');
}
