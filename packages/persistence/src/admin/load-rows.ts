import { OpencodeToolsError } from '@opencode-tools/core';
import { type Plan, loadRows } from '../query/plan.ts';
import type { Row } from '../query/rows.ts';
import type { EngineName } from '../query/traits.ts';
import { withoutIndexes } from './indexes.ts';
import { quoted, raw, rawPer } from './raw.ts';
import type { RowSource, SourceTable } from './row-source.ts';
import { type TableShape, readShapes } from './table-shapes.ts';

/** Takes every row out and puts a source's rows in; part of a transaction of the caller's. */
export function* replaceRows(
  engine: EngineName,
  source: RowSource,
  except: ReadonlySet<string> = new Set(),
): Plan<number> {
  const shapes = (yield* readShapes()).filter(({ name }) => !except.has(name));
  const fill = fillTables(engine, source, shapes, except);
  // PostgreSQL takes rows that come in the order of their keys as fast with indexes as it makes these afterwards (measured).
  if (engine === 'sqlite') return yield* withoutIndexes(shapes, fill);
  const rows = yield* fill;
  yield* settleTables(shapes);
  return rows;
}

function* fillTables(
  engine: EngineName,
  source: RowSource,
  shapes: readonly TableShape[],
  except: ReadonlySet<string>,
): Plan<number> {
  yield* emptyTables(shapes);
  let rows = 0;
  for (const table of source.tables()) {
    if (!except.has(table.name)) rows += yield* insertRows(table, shapeFor(table, shapes));
  }
  yield* continueCounting(engine);
  return rows;
}

export function* emptyTables(shapes: readonly TableShape[]): Plan<void> {
  for (const { name } of shapes) yield raw(`delete from ${quoted(name)}`);
}

/** Inserts rows of one table; columns that the table does not have are left out. */
export function* insertRows(table: SourceTable, shape: TableShape): Plan<number> {
  const columns = table.columns.filter((column) => shape.columns.includes(column));
  const rows = columns.length === table.columns.length ? table.rows : picked(table, columns);
  return yield* loadRows({ table: shape.name, columns, rows });
}

function* picked(table: SourceTable, columns: readonly string[]): Generator<Row> {
  const places = columns.map((column) => table.columns.indexOf(column));
  for (const row of table.rows) yield places.map((place) => row[place] ?? null);
}

/** Lets the database count positions on from the last one that was put in. */
export function* continueCounting(engine: EngineName): Plan<void> {
  if (engine === 'sqlite') return;
  yield rawPer({
    sqlite: '',
    postgres: `select setval(pg_get_serial_sequence('ledger', 'position'), coalesce(max(position), 0) + 1, false) from ledger`,
  });
}

/**
 * Tells the planner of PostgreSQL what is in the tables now, and sorts the words that a fast load only lists: a search would
 * go through that list.
 */
function* settleTables(shapes: readonly TableShape[]): Plan<void> {
  if (shapes.some(({ name }) => name === 'search_documents')) {
    yield raw(`select gin_clean_pending_list('search_documents_terms')`);
  }
  yield raw(`analyze ${shapes.map(({ name }) => quoted(name)).join(', ')}`);
}

function shapeFor(table: SourceTable, shapes: readonly TableShape[]): TableShape {
  const shape = shapes.find(({ name }) => name === table.name);
  if (shape !== undefined) return shape;
  throw new OpencodeToolsError('OCT_STATE_CORRUPT', `The copy has a table that the registry does not: ${table.name}`);
}
