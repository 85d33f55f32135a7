import { OpencodeToolsError } from '@opencode-tools/core';
import { type Plan, allRows, loadRows } from '../query/plan.ts';
import type { Row } from '../query/rows.ts';
import type { EngineName } from '../query/traits.ts';
import { withoutIndexes } from './indexes.ts';
import { quoted, raw, rawPer } from './raw.ts';
import type { RowSource, SourceTable } from './row-source.ts';
import { type TableShape, readShapes } from './table-shapes.ts';

const manyTasks = 1_000;

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

/** The same for tables that very many rows were added to; few are seen to by the database itself, by and by. */
export function* settleRows(engine: EngineName, tasks: number): Plan<void> {
  if (engine === 'postgres' && tasks >= manyTasks) yield* settleTables(yield* readShapes());
}

/**
 * Tells the planner of PostgreSQL what is in the indexed columns now, and sorts the words that a fast load only lists: a
 * search would go through that list. The other columns are many and long, and the database sees to them by itself.
 */
function* settleTables(shapes: readonly TableShape[]): Plan<void> {
  if (shapes.some(({ name }) => name === 'search_documents')) {
    yield raw(`select gin_clean_pending_list('search_documents_terms')`);
  }
  const indexed = yield* allRows(raw<{ name: string; column_name: string }>(indexedColumns));
  const parts = shapes.map(({ name }) => {
    const columns = indexed.filter((each) => each.name === name).map((each) => quoted(each.column_name));
    return `${quoted(name)} (${columns.join(', ')})`;
  });
  yield raw(`analyze ${parts.join(', ')}`);
}

const indexedColumns = `select distinct t.relname as name, a.attname as column_name from pg_index i
  join pg_class t on t.oid = i.indrelid join pg_attribute a on a.attrelid = t.oid and a.attnum = any (i.indkey)
  where t.relnamespace = current_schema()::regnamespace`;

function shapeFor(table: SourceTable, shapes: readonly TableShape[]): TableShape {
  const shape = shapes.find(({ name }) => name === table.name);
  if (shape !== undefined) return shape;
  throw new OpencodeToolsError('OCT_STATE_CORRUPT', `The copy has a table that the registry does not: ${table.name}`);
}
