import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool, PoolClient } from 'pg';
import type { Engine } from '../query/engine.ts';
import { type Outcome, type Plan, type Statement, driveLater } from '../query/plan.ts';
import { postgresTraits } from '../query/traits.ts';
import { asStoreError, isRetryable } from './postgres-errors.ts';

const mostTries = 8;

/** PostgreSQL through a pool; each plan has a connection of its own while it runs. */
export class PostgresEngine implements Engine {
  readonly traits = postgresTraits;
  readonly location: string;
  readonly #pool: Pool;
  #closed: Promise<void> | null = null;

  constructor(location: string, pool: Pool) {
    this.location = location;
    this.#pool = pool;
  }

  async read<T>(plan: () => Plan<T>): Promise<T> {
    return this.#guarded(() => driveLater(plan(), (statement) => this.#execute(this.#pool, statement)));
  }

  async snapshot<T>(plan: () => Plan<T>): Promise<T> {
    return this.#guarded(() => this.#transaction('begin isolation level repeatable read read only', plan));
  }

  async write<T>(plan: () => Plan<T>): Promise<T> {
    return this.#guarded(() => this.#transaction('begin', plan));
  }

  async sizeBytes(): Promise<number> {
    const { rows } = await this.#pool.query<{ size: number }>('select pg_database_size(current_database()) as size');
    return rows[0]?.size ?? 0;
  }

  async close(): Promise<void> {
    await (this.#closed ??= this.#pool.end());
  }

  async #transaction<T>(begin: string, plan: () => Plan<T>): Promise<T> {
    const client = await this.#pool.connect();
    let broken: Error | undefined;
    try {
      await client.query(begin);
      const result = await driveLater(plan(), (statement) => this.#execute(client, statement));
      await client.query('commit');
      return result;
    } catch (error) {
      await client.query('rollback').catch((failure: Error) => (broken = failure));
      throw error;
    } finally {
      client.release(broken);
    }
  }

  async #execute(on: Pool | PoolClient, statement: Statement<unknown>): Promise<Outcome> {
    const { sql, parameters, name } = statement.compile(postgresTraits);
    const result = await on.query<Record<string, unknown>>({
      text: sql,
      values: [...parameters],
      ...(name === null ? {} : { name }),
    });
    return { rows: result.rows, changes: result.rowCount ?? 0 };
  }

  /** Runs again what the server broke off in favour of another transaction. */
  async #guarded<T>(work: () => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await work();
      } catch (error) {
        if (!isRetryable(error) || tries >= mostTries) throw asStoreError(error, this.location);
      }
      await sleep(Math.random() * 10 * tries);
    }
  }
}
