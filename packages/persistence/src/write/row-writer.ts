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

/** What may change in a row. The database keeps an index as it is only when none of its columns is set. */
interface Columns<T extends TableName> {
  readonly fixed: readonly (keyof Values<T> & string)[];
  readonly changing: readonly (keyof Values<T> & string)[];
}

/** Makes the statement that inserts a row or changes the one with its key, which is the first fixed column. */
export function upsertStatement<T extends TableName>(
  table: T,
  { fixed, changing }: Columns<T>,
): (row: Values<T>) => Statement<unknown> {
  return template<Values<T>>()(({ db }, slot) => {
    const values = Object.fromEntries([...fixed, ...changing].map((column) => [column, slot(column)]));
    const insert = db.insertInto(table as 'notes').values(values as never);
    return insert.onConflict((conflict) => {
      const onKey = conflict.column(fixed[0] as 'id');
      if (changing.length === 0) return onKey.doNothing();
      return onKey.doUpdateSet((row) =>
        Object.fromEntries(changing.map((column) => [column, row.ref(`excluded.${column}` as never)])),
      );
    });
  }) as (row: Values<T>) => Statement<unknown>;
}

/** Makes the statement that changes exactly the version before the row's own. */
export function replaceVersionStatement<T extends TableName>(
  table: T,
  changing: readonly (keyof Values<T> & string)[],
): (row: Values<T> & { readonly previous: number }) => Statement<unknown> {
  return template<Loose>()(({ db }, slot) => {
    const values = Object.fromEntries(changing.map((column) => [column, slot(column)]));
    return db
      .updateTable(table as 'notes')
      .set(values as never)
      .where('id', '=', slot('id') as string)
      .where('version', '=', slot('previous') as number);
  }) as unknown as (row: Values<T> & { readonly previous: number }) => Statement<unknown>;
}
