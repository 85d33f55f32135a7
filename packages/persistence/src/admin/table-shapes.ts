import { type Plan, allRows } from '../query/plan.ts';
import { rawPer } from './raw.ts';

/** A table as it is copied: the columns that mean the same on both databases, in the order of their names. */
export interface TableShape {
  readonly name: string;
  readonly columns: readonly string[];
  /** Columns that give the rows an order. */
  readonly key: readonly string[];
}

/** What is not copied: it belongs to processes that are alive, to one engine's search, or to a move itself. */
const leftOut = new Set(['projection_locks', 'move_progress', 'lease_waiters', 'housekeepers']);
/** Columns that a database gives itself. */
const ownColumns: Readonly<Record<string, ReadonlySet<string>>> = {
  ledger: new Set(['transaction_id']),
  search_documents: new Set(['id', 'terms']),
};
const ownKeys: Readonly<Record<string, readonly string[]>> = { search_documents: ['entity_id'] };

/**
 * Reads which tables there are and of what they are made, so that a table that a migration adds is copied without being
 * named anywhere.
 */
export function* readShapes(): Plan<readonly TableShape[]> {
  const columns = yield* allRows(columnsOf());
  const names = [...new Set(columns.map(({ table_name }) => table_name))].filter(isOurs).toSorted();
  return names.map((name) => shapeOf(name, columns));
}

interface ColumnRow {
  readonly table_name: string;
  readonly column_name: string;
  /** Place in the primary key from 1; 0 for the others. */
  readonly key_place: number;
}

function shapeOf(name: string, columns: readonly ColumnRow[]): TableShape {
  const own = columns.filter((row) => row.table_name === name && !ownColumns[name]?.has(row.column_name));
  const key = own.filter((row) => row.key_place > 0).toSorted((left, right) => left.key_place - right.key_place);
  return {
    name,
    columns: own.map((row) => row.column_name).toSorted(),
    key: ownKeys[name] ?? key.map((row) => row.column_name),
  };
}

function isOurs(name: string): boolean {
  return !leftOut.has(name) && !name.startsWith('sqlite_') && !name.startsWith('search_index');
}

function columnsOf() {
  return rawPer<ColumnRow>({
    sqlite: `select t.name as table_name, c.name as column_name, c.pk as key_place
      from sqlite_master t join pragma_table_xinfo(t.name) c
      where t.type = 'table' and c.hidden = 0`,
    postgres: `select c.table_name, c.column_name, coalesce(k.ordinal_position, 0)::int as key_place
      from information_schema.columns c
      join information_schema.tables t
        on t.table_schema = c.table_schema and t.table_name = c.table_name and t.table_type = 'BASE TABLE'
      left join information_schema.table_constraints p
        on p.table_schema = c.table_schema and p.table_name = c.table_name and p.constraint_type = 'PRIMARY KEY'
      left join information_schema.key_column_usage k
        on k.constraint_schema = p.constraint_schema and k.constraint_name = p.constraint_name
        and k.table_name = c.table_name and k.column_name = c.column_name
      where c.table_schema = current_schema() and c.is_generated = 'NEVER'`,
  });
}
