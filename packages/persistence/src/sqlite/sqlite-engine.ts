import { statSync } from 'node:fs';
import type { StoreUser } from '@opencode-tools/core';
import { registryClosed } from '../query/closed.ts';
import type { Engine, WriteOptions } from '../query/engine.ts';
import { type ChangeWait, HintedWatch, Hints, type Watch, sleepUntil } from '../query/hints.ts';
import type { Plan } from '../query/plan.ts';
import { sqliteTraits } from '../query/traits.ts';
import { type Connection, SqliteConnection } from './sqlite-connection.ts';
import { findUsers } from './registry-users.ts';
import { asStoreError } from './sqlite-errors.ts';
import type { WriteGate } from './write-gate.ts';
import { WriteQueue } from './write-queue.ts';

/** Who has waited long may look less often: at most this much of the time waited so far. */
const patience = 0.1;
const longestPaceMs = 100;

/**
 * SQLite through two connections of one process: writes take turns on one, reads go through the other and never wait for
 * them. A plan runs without leaving the call, so no transaction is open while anything else happens.
 */
export class SqliteEngine implements Engine {
  readonly traits = sqliteTraits;
  readonly location: string;
  readonly #gate: WriteGate;
  readonly #writer: SqliteConnection;
  readonly #writes: WriteQueue;
  readonly #openReader: () => Connection;
  readonly #hints = new Hints();
  #reader: SqliteConnection | null = null;
  #closed = false;

  constructor(location: string, writer: Connection, openReader: () => Connection, gate: WriteGate) {
    this.location = location;
    this.#writer = new SqliteConnection(writer);
    this.#writes = new WriteQueue(this.#writer, gate, location);
    this.#openReader = openReader;
    this.#gate = gate;
  }

  async read<T>(plan: () => Plan<T>): Promise<T> {
    return this.#retry(() => this.#readConnection().run(plan()));
  }

  async snapshot<T>(plan: () => Plan<T>): Promise<T> {
    return this.#retry(() => this.#readConnection().transaction('begin', plan));
  }

  async write<T>(plan: () => Plan<T>, options: WriteOptions = {}): Promise<T> {
    if (this.#closed) throw registryClosed();
    return this.#writes.write(plan, options.reachesDisk ?? 'before');
  }

  publish(topics: readonly string[], urgent: readonly string[] = []): void {
    this.#hints.wake([...topics, ...urgent]);
  }

  watch(topic: string | null): Watch {
    let seen = this.#dataVersion();
    return new HintedWatch(this.#hints, topic, async (wait, hinted) => {
      seen = await this.#untilOtherVersion(seen, wait, hinted);
    });
  }

  /** Reads through the writing connection, before anything about the file has been changed. */
  async inspect<T>(plan: () => Plan<T>): Promise<T> {
    return this.#retry(() => this.#writer.run(plan()));
  }

  async useWriteAheadLog(): Promise<void> {
    await this.#retry(() => this.#writer.useWriteAheadLog());
  }

  async sizeBytes(): Promise<number> {
    return ['', '-wal'].reduce(
      (sum, suffix) => sum + (statSync(this.location + suffix, { throwIfNoEntry: false })?.size ?? 0),
      0,
    );
  }

  async users(): Promise<readonly StoreUser[]> {
    return findUsers(this.location);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    await this.#writes.idle();
    await this.#writer.flushed();
    this.#closed = true;
    this.#reader?.close();
    this.#writer.close();
    this.#gate.close();
  }

  async #untilOtherVersion(seen: number, wait: ChangeWait, hinted: Promise<void>): Promise<number> {
    const from = performance.now();
    for (;;) {
      const version = this.#dataVersion();
      const waitedMs = performance.now() - from;
      if (version !== seen || waitedMs >= wait.limitMs) return version;
      const paceMs = Math.max(wait.paceMs, Math.min(longestPaceMs, waitedMs * patience));
      if ((await sleepUntil(hinted, Math.min(paceMs, wait.limitMs - waitedMs))) === 'hinted')
        return this.#dataVersion();
    }
  }

  #dataVersion(): number {
    return this.#closed ? Number.NaN : this.#readConnection().dataVersion();
  }

  async #retry<T>(work: () => T): Promise<T> {
    if (this.#closed) throw registryClosed();
    return this.#gate.retry(work, {
      location: this.location,
      asError: (error) => asStoreError(error, this.location),
    });
  }

  #readConnection(): SqliteConnection {
    this.#reader ??= new SqliteConnection(this.#openReader());
    return this.#reader;
  }
}
