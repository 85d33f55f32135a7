import type { Database, TableName } from '../query/database.ts';
import type { Statement } from '../query/plan.ts';
import { template } from '../query/template.ts';

type Values<T extends TableName> = Database[T];
type Loose = Readonly<Record<string, unknown>>;

/** Makes the statement that inserts a row and does nothing when its key exists. */
export function insertStatement<T extends TableName>(
  table: T,
  columns: readonly (keyof Values<T> & string)[],
): (row: Values<T>) => Statement<unknown> {
  return template<Values<T>>()(({ db }, slot) => {
    const values = Object.fromEntries(columns.map((column) => [column, slot(column)]));
    return db
      .insertInto(table as 'notes')
      .values(values as never)
      .onConflict((conflict) => conflict.doNothing());
  }) as (row: Values<T>) => Statement<unknown>;
}

/** Makes the statement that inserts a row or replaces the one with its key. */
export function upsertStatement<T extends TableName>(
  table: T,
  key: keyof Values<T> & string,
  columns: readonly (keyof Values<T> & string)[],
): (row: Values<T>) => Statement<unknown> {
  return template<Values<T>>()(({ db }, slot) => {
    const values = Object.fromEntries(columns.map((column) => [column, slot(column)]));
    const others = columns.filter((column) => column !== key);
    return db
      .insertInto(table as 'notes')
      .values(values as never)
      .onConflict((conflict) =>
        conflict
          .column(key as 'id')
          .doUpdateSet((row) =>
            Object.fromEntries(others.map((column) => [column, row.ref(`excluded.${column}` as never)])),
          ),
      );
  }) as (row: Values<T>) => Statement<unknown>;
}

/** Makes the statement that replaces exactly the version before the row's own. */
export function replaceVersionStatement<T extends TableName>(
  table: T,
  columns: readonly (keyof Values<T> & string)[],
): (row: Values<T> & { readonly previous: number }) => Statement<unknown> {
  return template<Loose>()(({ db }, slot) => {
    const values = Object.fromEntries(
      columns.filter((column) => column !== 'id').map((column) => [column, slot(column)]),
    );
    return db
      .updateTable(table as 'notes')
      .set(values as never)
      .where('id', '=', slot('id') as string)
      .where('version', '=', slot('previous') as number);
  }) as unknown as (row: Values<T> & { readonly previous: number }) => Statement<unknown>;
}
