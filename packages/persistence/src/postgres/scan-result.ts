import { type PoolClient, Query } from 'pg';
import type { Row } from '../query/rows.ts';

/**
 * Hands the rows of a query to `take` as they come off the connection. Nothing is kept; the server waits for the socket.
 *
 * @returns how many there were
 */
export async function scanResult(
  client: PoolClient,
  text: string,
  values: readonly unknown[],
  take: (row: Row) => void,
): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  // The types do not know that a query object can be configured as a call can.
  const query = new Query({ text, values: [...values], rowMode: 'array' } as never);
  let rows = 0;
  let failure: Error | undefined;
  query.on('row', (row: unknown) => {
    if (failure !== undefined) return;
    try {
      take(row as Row);
      rows += 1;
    } catch (error) {
      // Thrown here it would end the connection in the middle of an answer.
      failure = error instanceof Error ? error : new Error(String(error));
    }
  });
  query.on('error', reject);
  query.on('end', () => (failure === undefined ? resolve() : reject(failure)));
  client.query(query);
  await promise;
  return rows;
}
