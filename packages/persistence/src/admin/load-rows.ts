import { OpencodeToolsError } from '@opencode-tools/core';
import { type Plan, firstRow, later } from '../query/plan.ts';
import type { EngineName } from '../query/traits.ts';
import { withoutIndexes } from './indexes.ts';
import { placeholders, quoted, raw, rawPer } from './raw.ts';
import type { Row, RowSource, SourceTable } from './row-source.ts';
import { type TableShape, readShapes } from './table-shapes.ts';

/** As many as one statement of SQLite takes before a longer text costs more than it saves (measured). */
const mostParameters = 400;
const rowsPerDocument = 1_000;

/** Takes every row out and puts a source's rows in; part of a transaction of the caller's. */
export function* replaceRows(
  engine: EngineName,
  source: RowSource,
  except: ReadonlySet<string> = new Set(),
): Plan<number> {
  const shapes = (yield* readShapes()).filter(({ name }) => !except.has(name));
  const fill = fillTables(engine, source, shapes, except);
  return (yield* isUnread(engine)) ? yield* withoutIndexes(engine, shapes, fill) : yield* fill;
}

/** Readers of SQLite go on with what was there before; those of PostgreSQL would wait for a table whose index is dropped. */
function* isUnread(engine: EngineName): Plan<boolean> {
  return engine === 'sqlite' || (yield* firstRow(raw('select id from tasks limit 1'))) === undefined;
}

function* fillTables(
  engine: EngineName,
  source: RowSource,
  shapes: readonly TableShape[],
  except: ReadonlySet<string>,
): Plan<number> {
  for (const { name } of shapes) yield raw(`delete from ${quoted(name)}`);
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
  const places = columns.map((column) => table.columns.indexOf(column));
  const most = engine === 'sqlite' ? Math.max(1, Math.floor(mostParameters / columns.length)) : rowsPerDocument;
  const insert = engine === 'sqlite' ? insertValues : insertDocument;
  let batch: Row[] = [];
  let total = 0;
  for (const row of table.rows) {
    batch.push(places.map((place) => row[place] ?? null));
    total += 1;
    if (batch.length < most) continue;
    yield* insert(shape.name, columns, batch);
    batch = [];
  }
  if (batch.length > 0) yield* insert(shape.name, columns, batch);
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

/** SQLite: one place for each cell. The text is the same for every full batch, and prepared once. */
function* insertValues(table: string, columns: readonly string[], rows: readonly Row[]): Plan<void> {
  const values = rows.map(() => `(${placeholders('sqlite', columns.length)})`).join(', ');
  yield raw(`insert into ${quoted(table)} (${columns.map(quoted).join(', ')}) values ${values}`, rows.flat());
}

/** PostgreSQL: all rows as one document, whose cells it reads with the types of the table. */
function* insertDocument(table: string, columns: readonly string[], rows: readonly Row[]): Plan<void> {
  const names = columns.map(quoted).join(', ');
  const overriding = table === 'ledger' ? 'overriding system value ' : '';
  const objects = rows.map((row) => Object.fromEntries(columns.map((column, index) => [column, row[index]])));
  yield* later(
    raw(
      `insert into ${quoted(table)} (${names}) ${overriding}
       select ${names} from json_populate_recordset(null::${quoted(table)}, $1::json)`,
      [JSON.stringify(objects)],
    ),
  );
}
