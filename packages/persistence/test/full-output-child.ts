import { closeSync, openSync, statfsSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { asOpencodeToolsError, createIds, systemClock } from '@opencode-tools/core';
import { acquire, fillStore, openAt } from './administration.ts';

/** Keeps an output that is longer than the small disk it is given, then fills the rest, and removes outputs there. */
const [disk = ''] = process.argv.slice(2);
const directory = join(disk, 'home');
const place = { engine: 'sqlite' } as const;

async function codeOf(work: () => Promise<unknown>): Promise<string> {
  try {
    await work();
    return 'done';
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error);
  }
}

const store = await openAt(directory, place);
const [task] = await fillStore(store);
if (task === undefined) throw new Error('There is no task');
const { stdout } = await store.memory.openOutput(task.id, createIds(systemClock).next('execution'));
const kept = await codeOf(async () => {
  for (let at = 0; at < 100; at += 1) {
    stdout.write(Buffer.alloc(1024 ** 2, 'x'));
    await stdout.drained();
  }
});
await stdout.close().catch(() => undefined);
const { bavail, bsize } = statfsSync(disk);
const recorded = await codeOf(() => acquire(store, task));
const filler = openSync(join(disk, 'filler'), 'a');
const filled = await codeOf(async () => {
  for (const size of [65_536, 1]) while (writeSync(filler, Buffer.alloc(size)) === size);
});
closeSync(filler);
await store.close().catch(() => undefined);
const full = await openAt(directory, place);
const nothing = { keepLedgerDays: null, keepTombstoneDays: null };
const refused = await full.admin.prune({ ...nothing, keepOutputDays: 1 }).catch(asOpencodeToolsError);
const pruned = await full.admin.prune({ ...nothing, keepOutputDays: 0 }).catch(asOpencodeToolsError);
const recordedAfterwards = await codeOf(() => acquire(full, task));
const types = (await full.ledger.read(task.id, { types: ['execution.'] })).map(({ type }) => type);
await full.close();
process.stdout.write(
  JSON.stringify({ kept, freeBytes: bavail * bsize, recorded, filled, refused, pruned, recordedAfterwards, types }),
);
