import type { Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { StoreUser } from '@opencode-tools/core';
import type { Client, Pool, PoolClient } from 'pg';
import { registryClosed } from '../query/closed.ts';
import type { Engine, WriteOptions } from '../query/engine.ts';
import { HintedWatch, Hints, type Watch, sleepUntil } from '../query/hints.ts';
import { type Outcome, type Plan, type Runner, type Statement, Unanswered, driveLater } from '../query/plan.ts';
import { postgresTraits } from '../query/traits.ts';
import { connectedUsers, userNamed } from './connected-users.ts';
import { copyIn } from './copy-in.ts';
import { Notifications } from './notifications.ts';
import { asStoreError, isRetryable } from './postgres-errors.ts';
import { scanResult } from './scan-result.ts';

/** The driver's socket, which its types do not show. */
interface Corkable {
  readonly connection: { readonly stream: Writable };
}

const mostTries = 8;
/** How long a watcher trusts that notifications come. */
const lookAnywayMs = 1_000;

/**
 * PostgreSQL through a pool; each plan has a connection of its own while it runs. The pool's connections are in pipeline
 * mode: what a plan does not wait for goes out with what it waits for next.
 */
export class PostgresEngine implements Engine {
  readonly traits = postgresTraits;
  readonly location: string;
  readonly #pool: Pool;
  readonly #hints = new Hints();
  readonly #notifications: Notifications;
  #closed: Promise<void> | null = null;

  constructor(location: string, pool: Pool, connect: () => Client) {
    this.location = location;
    this.#pool = pool;
    this.#notifications = new Notifications(pool, this.#hints, connect);
  }

  async read<T>(plan: () => Plan<T>): Promise<T> {
    return this.#guarded(async () => {
      const client = await this.#pool.connect();
      try {
        return await driveLater(plan(), this.#runnerOn(client), new Unanswered());
      } finally {
        client.release();
      }
    });
  }

  async snapshot<T>(plan: () => Plan<T>): Promise<T> {
    return this.#guarded(() => this.#transaction('begin isolation level repeatable read read only', plan));
  }

  async write<T>(plan: () => Plan<T>, options: WriteOptions = {}): Promise<T> {
    const begin = options.reachesDisk === 'some time' ? 'begin; set local synchronous_commit = off' : 'begin';
    return this.#guarded(() => this.#transaction(begin, plan));
  }

  publish(topics: readonly string[], urgent: readonly string[] = []): void {
    this.#hints.wake([...topics, ...urgent]);
    this.#notifications.publish(topics, urgent);
  }

  watch(topic: string | null): Watch {
    this.#notifications.listen();
    return new HintedWatch(this.#hints, topic, async (wait, hinted) => {
      await sleepUntil(hinted, Math.min(wait.limitMs, lookAnywayMs));
    });
  }

  async sizeBytes(): Promise<number> {
    const { rows } = await this.#pool.query<{ size: number }>('select pg_database_size(current_database()) as size');
    return rows[0]?.size ?? 0;
  }

  async users(): Promise<readonly StoreUser[]> {
    return this.#guarded(async () => {
      const { rows } = await this.#pool.query<{ name: string; host: string | null }>(connectedUsers);
      return rows.map(userNamed);
    });
  }

  async close(): Promise<void> {
    await (this.#closed ??= this.#end());
  }

  async #end(): Promise<void> {
    await this.#notifications.close();
    await this.#pool.end();
  }

  async #transaction<T>(begin: string, plan: () => Plan<T>): Promise<T> {
    const client = await this.#pool.connect();
    const unanswered = new Unanswered();
    let broken: Error | undefined;
    try {
      unanswered.add(this.#run(client, begin), null);
      const result = await driveLater(plan(), this.#runnerOn(client), unanswered);
      if (unanswered.checks) await unanswered.settle();
      unanswered.add(this.#run(client, 'commit'), null);
      await unanswered.settle();
      return result;
    } catch (error) {
      await client.query('rollback').catch((failure: Error) => (broken = failure));
      throw error;
    } finally {
      client.release(broken);
    }
  }

  #runnerOn(client: PoolClient): Runner<Promise<Outcome>> {
    return {
      run: (statement) => this.#execute(client, statement),
      scan: async (statement, take) => {
        const { sql, parameters } = statement.compile(postgresTraits);
        return { rows: [], changes: await scanResult(client, sql, parameters, take) };
      },
      load: async (rows) => ({ rows: [], changes: await copyIn(client, rows) }),
    };
  }

  async #execute(on: PoolClient, statement: Statement<unknown>): Promise<Outcome> {
    const { sql, parameters, name } = statement.compile(postgresTraits);
    sendTogether(on);
    const result = await on.query<Record<string, unknown>>({
      text: sql,
      values: [...parameters],
      ...(name === null ? {} : { name }),
    });
    return { rows: result.rows, changes: result.rowCount ?? 0 };
  }

  async #run(client: PoolClient, text: string): Promise<Outcome> {
    sendTogether(client);
    await client.query(text);
    return { rows: [], changes: 0 };
  }

  /** Runs again what the server broke off in favour of another transaction. */
  async #guarded<T>(work: () => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await work();
      } catch (error) {
        if (this.#closed !== null) throw registryClosed(error);
        if (!isRetryable(error) || tries >= mostTries) throw asStoreError(error, this.location);
      }
      await sleep(Math.random() * 10 * tries);
    }
  }
}

/** Sends what is asked in one go as one packet: each write to a socket costs more than the statement in it. */
function sendTogether(client: PoolClient): void {
  const { stream } = (client as unknown as Corkable).connection;
  if (stream.writableCorked > 0) return;
  stream.cork();
  process.nextTick(() => stream.uncork());
}
