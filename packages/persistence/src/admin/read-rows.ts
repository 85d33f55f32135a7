import { type Plan, scanRows } from '../query/plan.ts';
import type { Row } from '../query/rows.ts';
import { quoted, raw } from './raw.ts';
import type { TableShape } from './table-shapes.ts';

/** Hands every row of a table to `take`, in the order of its key. @returns how many there were */
export function* readRows(shape: TableShape, take: (row: Row) => void): Plan<number> {
  return yield* scanRows(raw(`${selectAll(shape)} order by ${shape.key.map(quoted).join(', ')}`), take);
}

/** The same, in whatever order the database has them. */
export function* readRowsUnordered(shape: TableShape, take: (row: Row) => void): Plan<number> {
  return yield* scanRows(raw(selectAll(shape)), take);
}

export function selectAll({ name, columns }: TableShape): string {
  return `select ${columns.map(quoted).join(', ')} from ${quoted(name)}`;
}
