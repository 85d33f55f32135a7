import type { Engine } from '../query/engine.ts';
import { collectRows } from '../query/plan.ts';
import type { Row } from '../query/rows.ts';
import { placeholders, quoted, raw } from './raw.ts';
import { selectAll } from './read-rows.ts';
import type { TableShape } from './table-shapes.ts';

const pageRows = 5_000;

/**
 * Reads a table in the order of its key, a page at a time, for whoever needs to wait between pages. The next page is on
 * its way while one is worked on.
 *
 * @param after key of the last row that is not wanted; null for all
 */
export async function* readPages(
  engine: Engine,
  shape: TableShape,
  after: Row | null = null,
): AsyncGenerator<readonly Row[]> {
  const places = shape.key.map((column) => shape.columns.indexOf(column));
  let next: Promise<readonly Row[]> | null = readPage(engine, shape, after);
  while (next !== null) {
    const rows: readonly Row[] = await next;
    const last = rows.at(-1);
    next = null;
    if (last === undefined) return;
    if (rows.length === pageRows) {
      next = readPage(
        engine,
        shape,
        places.map((place) => last[place] ?? null),
      );
      // Whoever stops before it is asked for must not be told of its failure.
      next.catch(() => undefined);
    }
    yield rows;
  }
}

async function readPage(engine: Engine, shape: TableShape, after: Row | null): Promise<readonly Row[]> {
  const key = shape.key.map(quoted).join(', ');
  const places = placeholders(engine.traits.engine, shape.key.length);
  const where = after === null ? '' : `where (${key}) > (${places})`;
  const page = raw(`${selectAll(shape)} ${where} order by ${key} limit ${pageRows}`, after ?? []);
  return engine.read(() => collectRows(page));
}
