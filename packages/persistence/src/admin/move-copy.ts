import { rmSync } from 'node:fs';
import path from 'node:path';
import type { Engine } from '../query/engine.ts';
import { allRows, firstRow } from '../query/plan.ts';
import { DumpFile, dumpPlan } from './dump-file.ts';
import { continueCounting, insertRows, replaceRows } from './load-rows.ts';
import type { MaintenanceContext } from './maintenance-context.ts';
import { quoted, raw, rawPer } from './raw.ts';
import { type Row, type RowSource, cellsOf } from './row-source.ts';
import { backupDirectory } from './scratch.ts';
import { SqliteRows } from './sqlite-file.ts';
import { type TableShape, readShapes } from './table-shapes.ts';

const batchRows = 5_000;
/** Copied while the registry is used, since its rows never change but by being erased or pruned. */
const ledgerTable = new Set(['ledger']);
const notCopied = new Set(['ledger', 'meta']);

/** Copies records that the target does not have, some at a time, each time with the mark of how far it got. */
export async function copyLedger(ctx: MaintenanceContext, source: Engine, target: Engine): Promise<void> {
  const shape = (await source.read(readShapes)).find(({ name }) => name === 'ledger');
  if (shape === undefined) return;
  for (;;) {
    const progress = await target.read(() =>
      firstRow(raw<{ last_position: number }>('select last_position from move_progress')),
    );
    const rows = await nextRows(source, shape, progress?.last_position ?? 0);
    if (rows.length === 0) return;
    ctx.onStep('move: copy');
    await target.write(function* () {
      yield* insertRows(target.traits.engine, { name: 'ledger', columns: shape.columns, rows }, shape);
      const last = rows.at(-1)?.[shape.columns.indexOf('position')] ?? 0;
      yield rawPer(
        {
          sqlite: 'update move_progress set last_position = ?',
          postgres: 'update move_progress set last_position = $1',
        },
        [last],
      );
      yield* continueCounting(target.traits.engine);
    });
  }
}

async function nextRows(source: Engine, shape: TableShape, after: number): Promise<readonly Row[]> {
  const columns = shape.columns.map(quoted).join(', ');
  const text = (place: string) =>
    `select ${columns} from ledger where position > ${place} order by position limit ${batchRows}`;
  const found = await source.read(() => allRows(rawPer({ sqlite: text('?'), postgres: text('$1') }, [after])));
  return found.map((row) => cellsOf(row, shape));
}

/** Copies every other table of a source that nobody writes any more, in one transaction. */
export async function copyRest(ctx: MaintenanceContext, source: Engine, target: Engine): Promise<void> {
  await withSource(ctx, source, ledgerTable, (rows) =>
    target.write(() => replaceRows(target.traits.engine, rows, notCopied)),
  );
}

/** Copies the ledger anew, for when what was copied before was erased or pruned since. */
export async function copyLedgerAgain(ctx: MaintenanceContext, source: Engine, target: Engine): Promise<void> {
  await target.write(function* () {
    yield raw('delete from ledger');
    yield raw('update move_progress set last_position = 0');
  });
  await copyLedger(ctx, source, target);
}

/** Reads a registry without waiting: a file as it is, a server's through a dump on the side. */
async function withSource<T>(
  ctx: MaintenanceContext,
  source: Engine,
  except: ReadonlySet<string>,
  use: (rows: RowSource) => Promise<T>,
): Promise<T> {
  if (source.traits.engine === 'sqlite') return use(new SqliteRows(source.location));
  const file = path.join(backupDirectory(ctx), `.move-${process.pid}.partial`);
  try {
    await source.snapshot(() => dumpPlan(file, except));
    return await use(new DumpFile(file));
  } finally {
    rmSync(file, { force: true });
  }
}
