import { type Plan, allRows } from '../query/plan.ts';
import type { EngineName } from '../query/traits.ts';
import { quoted, raw } from './raw.ts';
import type { TableShape } from './table-shapes.ts';

interface Dropped {
  readonly name: string;
  readonly kind: 'index' | 'trigger';
  readonly definition: string;
}

/**
 * Carries out work that puts many rows into tables, which then get their indexes from all rows at once: several times
 * faster than keeping them up row by row. Part of a transaction of the caller's; on PostgreSQL nobody else reads meanwhile.
 */
export function* withoutIndexes<T>(engine: EngineName, shapes: readonly TableShape[], work: Plan<T>): Plan<T> {
  const names = new Set(shapes.map(({ name }) => name));
  const found = yield* allRows(raw<Dropped & { readonly table_name: string }>(definitions[engine]));
  const dropped = found.filter(({ table_name }) => names.has(table_name));
  for (const { kind, name } of dropped) yield raw(`drop ${kind} ${quoted(name)}`);
  const result = yield* work;
  const searched = dropped.some(({ kind }) => kind === 'trigger');
  if (searched) yield raw(`insert into search_index (search_index) values ('rebuild')`);
  for (const { definition } of dropped) yield raw(definition);
  return result;
}

/** What can be made again from its own text: not the index of a key, which goes with the table. */
const definitions: Readonly<Record<EngineName, string>> = {
  sqlite: `select name, type as kind, tbl_name as table_name, sql as definition from sqlite_master
    where sql is not null and (type = 'index' or (type = 'trigger' and tbl_name = 'search_documents'))`,
  postgres: `select i.indexname as name, 'index' as kind, i.tablename as table_name, i.indexdef as definition
    from pg_indexes i where i.schemaname = current_schema() and not exists (
      select 1 from pg_constraint c where c.conindid = (quote_ident(i.schemaname) || '.' || quote_ident(i.indexname))::regclass)`,
};
