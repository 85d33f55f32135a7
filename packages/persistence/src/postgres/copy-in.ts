import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { type PoolClient, Query } from 'pg';
import { type Cell, type Row, type RowsToLoad, quoted } from '../query/rows.ts';

/** Characters that go into one message. */
const chunkLength = 1 << 16;

/**
 * Puts rows into a table by `copy … from stdin`, as fast as the server takes them: what it has not taken is not read from
 * the source. Values for a column that the server counts itself are kept.
 *
 * @returns how many there were
 */
export async function copyIn(client: PoolClient, rows: RowsToLoad): Promise<number> {
  const query = new CopyIn(rows);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  query.on('error', (error: Error) => reject(query.sourceFailure ?? error));
  query.on('end', () => resolve());
  client.query(query as unknown as Query);
  await promise;
  return query.total;
}

/** The part of the driver's connection that it offers to queries which copy. */
interface CopyConnection {
  readonly stream: Writable;
  sendCopyFromChunk(chunk: Buffer): void;
  endCopyFrom(): void;
  sendCopyFail(message: string): void;
}

/** What the driver's query does with messages; its types leave it out. */
interface DriverQuery {
  on(event: 'end' | 'error', listener: (error: Error) => void): unknown;
  handleError(error: Error, connection: unknown): void;
}

const BaseQuery = Query as unknown as new (config: { readonly text: string }) => DriverQuery;

class CopyIn extends BaseQuery {
  /** What the source of the rows threw. */
  sourceFailure: Error | undefined;
  total = 0;
  readonly #rows: RowsToLoad;
  readonly #refused = new AbortController();

  constructor(rows: RowsToLoad) {
    super({ text: `copy ${quoted(rows.table)} (${rows.columns.map(quoted).join(', ')}) from stdin` });
    this.#rows = rows;
  }

  override handleError(error: Error, connection: unknown): void {
    this.#refused.abort();
    super.handleError(error, connection);
  }

  /** Called by the driver when the server is ready for rows. */
  handleCopyInResponse(connection: CopyConnection): void {
    this.#send(connection).then(
      () => undefined,
      (error: unknown) => {
        if (this.#refused.signal.aborted) return;
        this.sourceFailure = error instanceof Error ? error : new Error(String(error));
        connection.sendCopyFail('The rows could not be read');
      },
    );
  }

  async #send(connection: CopyConnection): Promise<void> {
    const { signal } = this.#refused;
    for (const chunk of this.#chunks()) {
      if (signal.aborted) return;
      connection.sendCopyFromChunk(chunk);
      if (connection.stream.writableNeedDrain) await once(connection.stream, 'drain', { signal });
    }
    if (!signal.aborted) connection.endCopyFrom();
  }

  *#chunks(): Generator<Buffer> {
    let text = '';
    for (const row of this.#rows.rows) {
      this.total += 1;
      text += copyLine(row);
      if (text.length < chunkLength) continue;
      yield Buffer.from(text);
      text = '';
    }
    if (text !== '') yield Buffer.from(text);
  }
}

/** A row in the text format of COPY (PostgreSQL documentation, COPY, file formats). */
function copyLine(row: Row): string {
  let line = copyCell(row[0] ?? null);
  for (let index = 1; index < row.length; index += 1) line += `\t${copyCell(row[index] ?? null)}`;
  return `${line}\n`;
}

function copyCell(cell: Cell): string {
  if (cell === null) return '\\N';
  if (typeof cell === 'number') return String(cell);
  return special.test(cell) ? cell.replace(specials, (found) => escapes[found] ?? found) : cell;
}

const special = /[\\\t\n\r]/;
const specials = /[\\\t\n\r]/g;
const escapes: Readonly<Record<string, string>> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' };
