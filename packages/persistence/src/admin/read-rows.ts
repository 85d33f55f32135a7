import { type Plan, allRows } from '../query/plan.ts';
import type { EngineName } from '../query/traits.ts';
import { placeholders, quoted, rawPer } from './raw.ts';
import { type Cell, type Row, cellsOf } from './row-source.ts';
import type { TableShape } from './table-shapes.ts';

const batchRows = 500;

/** Hands every row of a table to `take`, in the order of its key, some at a time. */
export function* readRows(shape: TableShape, take: (row: Row) => void): Plan<number> {
  let after: Row | null = null;
  for (let total = 0; ;) {
    const found: readonly Readonly<Record<string, unknown>>[] = yield* allRows(batchAfter(shape, after));
    for (const row of found) take(cellsOf(row, shape));
    total += found.length;
    const last = found.at(-1);
    if (last === undefined || found.length < batchRows) return total;
    after = shape.key.map((column) => last[column] as Cell);
  }
}

function batchAfter(shape: TableShape, after: Row | null) {
  const key = shape.key.map(quoted).join(', ');
  const text = (engine: EngineName) => {
    const where = after === null ? '' : `where (${key}) > (${placeholders(engine, after.length)})`;
    const columns = shape.columns.map(quoted).join(', ');
    return `select ${columns} from ${quoted(shape.name)} ${where} order by ${key} limit ${batchRows}`;
  };
  return rawPer({ sqlite: text('sqlite'), postgres: text('postgres') }, after ?? []);
}
