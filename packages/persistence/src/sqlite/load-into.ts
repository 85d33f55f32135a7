import type DatabaseConstructor from 'better-sqlite3';
import { type Cell, type RowsToLoad, quoted } from '../query/rows.ts';

/** As many as one statement takes before a longer text costs more than it saves (measured). */
const mostParameters = 400;

/** Inserts rows, several in a statement: most of what a row costs here is the way into the library. @returns how many */
export function loadInto(connection: DatabaseConstructor.Database, { table, columns, rows }: RowsToLoad): number {
  const width = columns.length;
  const perStatement = Math.max(1, Math.floor(mostParameters / width));
  const prepare = (count: number) => connection.prepare<Cell[][]>(insertText(table, columns, count));
  const full = prepare(perStatement);
  let cells: Cell[] = [];
  let total = 0;
  for (const row of rows) {
    for (const cell of row) cells.push(cell);
    total += 1;
    if (total % perStatement !== 0) continue;
    full.run(cells);
    cells = [];
  }
  if (cells.length > 0) prepare(cells.length / width).run(cells);
  return total;
}

function insertText(table: string, columns: readonly string[], rows: number): string {
  const row = `(${columns.map(() => '?').join(', ')})`;
  const names = columns.map(quoted).join(', ');
  return `insert into ${quoted(table)} (${names}) values ${Array.from({ length: rows }, () => row).join(', ')}`;
}
