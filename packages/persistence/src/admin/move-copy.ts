import type { Engine } from '../query/engine.ts';
import { firstRow } from '../query/plan.ts';
import type { Cell } from '../query/rows.ts';
import { createIndexes } from './indexes.ts';
import { continueCounting, emptyTables, insertRows, replaceRows } from './load-rows.ts';
import type { MaintenanceContext } from './maintenance-context.ts';
import { raw, rawPer } from './raw.ts';
import { readPages } from './read-pages.ts';
import { SqliteRows, currentExtras } from './sqlite-file.ts';
import { readShapes } from './table-shapes.ts';

const notCopied = new Set(['ledger', 'meta']);

/**
 * Copies records that the target does not have, some at a time, each time with the mark of how far it got. The registry may
 * be used meanwhile: the rows of its ledger never change but by being erased or pruned.
 */
export async function copyLedger(ctx: MaintenanceContext, source: Engine, target: Engine): Promise<void> {
  // What was written meanwhile is little, and less each time.
  while ((await copyNewRecords(ctx, source, target)) > 0);
}

async function copyNewRecords(ctx: MaintenanceContext, source: Engine, target: Engine): Promise<number> {
  const shape = (await source.read(readShapes)).find(({ name }) => name === 'ledger');
  if (shape === undefined) return 0;
  const progress = await target.read(() =>
    firstRow(raw<{ last_position: number }>('select last_position from move_progress')),
  );
  const place = shape.columns.indexOf('position');
  let copied = 0;
  for await (const rows of readPages(source, shape, [progress?.last_position ?? 0])) {
    ctx.onStep('move: copy');
    const last = rows.at(-1)?.[place] ?? 0;
    await target.write(function* () {
      yield* insertRows({ name: 'ledger', columns: shape.columns, rows }, shape);
      yield markProgress(last);
      yield* continueCounting(target.traits.engine);
    });
    copied += rows.length;
  }
  return copied;
}

function markProgress(position: Cell) {
  const text = (place: string) => `update move_progress set last_position = ${place}`;
  return rawPer({ sqlite: text('?'), postgres: text('$1') }, [position]);
}

/** Copies every other table of a source that nobody writes any more. */
export async function copyRest(ctx: MaintenanceContext, source: Engine, target: Engine): Promise<void> {
  if (target.traits.engine === 'sqlite') return await copyPages(ctx, source, target);
  await target.write(() => replaceRows(target.traits.engine, new SqliteRows(source.location), notCopied));
}

/** A server is waited for, which a transaction of SQLite cannot: nobody looks at the file before it has everything. */
async function copyPages(ctx: MaintenanceContext, source: Engine, target: Engine): Promise<void> {
  const shapes = (await source.read(readShapes)).filter(({ name }) => !notCopied.has(name));
  await target.write(() => emptyTables(shapes));
  for (const shape of shapes) {
    for await (const rows of readPages(source, shape)) {
      await target.write(() => insertRows({ name: shape.name, columns: shape.columns, rows }, shape));
    }
  }
  ctx.onStep('move: indexes');
  await target.write(() => createIndexes(currentExtras()));
}

/** Copies the ledger anew, for when what was copied before was erased or pruned since. */
export async function copyLedgerAgain(ctx: MaintenanceContext, source: Engine, target: Engine): Promise<void> {
  await target.write(function* () {
    yield raw('delete from ledger');
    yield raw('update move_progress set last_position = 0');
  });
  await copyLedger(ctx, source, target);
}
