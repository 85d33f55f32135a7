import { type Plan, allRows } from '../query/plan.ts';
import { quoted, raw } from './raw.ts';
import type { TableShape } from './table-shapes.ts';

/** What a table of SQLite has beside its rows and can be given again from its own text. */
export interface Extra {
  readonly name: string;
  readonly kind: 'index' | 'trigger';
  readonly definition: string;
}

/**
 * Carries out work that puts many rows into tables of SQLite, which then get their indexes from all rows at once: several
 * times faster than keeping them up row by row. Part of a transaction of the caller's.
 */
export function* withoutIndexes<T>(shapes: readonly TableShape[], work: Plan<T>): Plan<T> {
  const dropped = yield* dropIndexes(shapes);
  const result = yield* work;
  yield* createIndexes(dropped);
  return result;
}

export function* dropIndexes(shapes: readonly TableShape[]): Plan<readonly Extra[]> {
  const names = new Set(shapes.map(({ name }) => name));
  const found = yield* allRows(raw<Extra & { readonly table_name: string }>(definitions));
  const dropped = found.filter(({ table_name }) => names.has(table_name));
  for (const { kind, name } of dropped) yield raw(`drop ${kind} ${quoted(name)}`);
  return dropped;
}

/** Gives tables what they lack of these; the search index is filled from its documents. */
export function* createIndexes(extras: readonly Extra[]): Plan<void> {
  const there = new Set((yield* allRows(raw<Extra>(definitions))).map(({ name }) => name));
  const missing = extras.filter(({ name }) => !there.has(name));
  if (missing.some(({ kind }) => kind === 'trigger')) {
    yield raw(`insert into search_index (search_index) values ('rebuild')`);
  }
  for (const { definition } of missing) yield raw(definition);
}

/** Not the index of a key, which goes with the table. */
export const definitions = `select name, type as kind, tbl_name as table_name, sql as definition from sqlite_master
  where sql is not null and (type = 'index' or (type = 'trigger' and tbl_name = 'search_documents'))`;
