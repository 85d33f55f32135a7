import { OpencodeToolsError } from '@opencode-tools/core';
import type { Plan } from '../query/plan.ts';
import type { EngineName } from '../query/traits.ts';
import { placeholders, quoted, raw, rawPer } from './raw.ts';
import type { Row, RowSource, SourceTable } from './row-source.ts';
import { type TableShape, readShapes } from './table-shapes.ts';

const mostParameters: Readonly<Record<EngineName, number>> = { sqlite: 400, postgres: 30_000 };

/** Takes every row out and puts a source's rows in; part of a transaction of the caller's. */
export function* replaceRows(
  engine: EngineName,
  source: RowSource,
  except: ReadonlySet<string> = new Set(),
): Plan<number> {
  const shapes = yield* readShapes();
  for (const { name } of shapes) if (!except.has(name)) yield raw(`delete from ${quoted(name)}`);
  let rows = 0;
  for (const table of source.tables()) {
    if (!except.has(table.name)) rows += yield* insertRows(engine, table, shapeFor(table, shapes));
  }
  yield* continueCounting(engine);
  return rows;
}

/** Inserts rows of one table, many at a time. */
export function* insertRows(engine: EngineName, table: SourceTable, shape: TableShape): Plan<number> {
  const columns = table.columns.filter((column) => shape.columns.includes(column));
  const perStatement = Math.max(1, Math.min(500, Math.floor(mostParameters[engine] / columns.length)));
  const places = columns.map((column) => table.columns.indexOf(column));
  const whole = insertText(engine, shape.name, columns, perStatement);
  let batch: Row[] = [];
  let total = 0;
  for (const row of table.rows) {
    batch.push(places.map((place) => row[place] ?? null));
    total += 1;
    if (batch.length < perStatement) continue;
    yield raw(whole, batch.flat());
    batch = [];
  }
  if (batch.length > 0) yield raw(insertText(engine, shape.name, columns, batch.length), batch.flat());
  return total;
}

/** Lets the database count positions on from the last one that was put in. */
export function* continueCounting(engine: EngineName): Plan<void> {
  if (engine === 'sqlite') return;
  yield rawPer({
    sqlite: '',
    postgres: `select setval(pg_get_serial_sequence('ledger', 'position'), coalesce(max(position), 0) + 1, false) from ledger`,
  });
}

function shapeFor(table: SourceTable, shapes: readonly TableShape[]): TableShape {
  const shape = shapes.find(({ name }) => name === table.name);
  if (shape !== undefined) return shape;
  throw new OpencodeToolsError('OCT_STATE_CORRUPT', `The copy has a table that the registry does not: ${table.name}`);
}

function insertText(engine: EngineName, table: string, columns: readonly string[], rows: number): string {
  const values = Array.from(
    { length: rows },
    (_, index) => `(${placeholders(engine, columns.length, index * columns.length + 1)})`,
  ).join(', ');
  const overriding = engine === 'postgres' && table === 'ledger' ? 'overriding system value ' : '';
  return `insert into ${quoted(table)} (${columns.map(quoted).join(', ')}) ${overriding}values ${values}`;
}
