import { setImmediate } from 'node:timers';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Plan } from '../query/plan.ts';
import type { SqliteConnection } from './sqlite-connection.ts';
import { asStoreError } from './sqlite-errors.ts';
import type { WriteGate } from './write-gate.ts';

interface Pending {
  readonly plan: () => Plan<unknown>;
  readonly durable: boolean;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

type Outcome = { readonly value: unknown } | { readonly error: unknown };

const longestBatchMs = 8;
const mostPerBatch = 256;
const mostWithoutYieldMs = 10;

/**
 * The writes of one process. What has queued up goes into one transaction and shares its flush; each write keeps a
 * savepoint of its own, so that one that fails leaves the others untouched.
 */
export class WriteQueue {
  readonly #connection: SqliteConnection;
  readonly #gate: WriteGate;
  readonly #location: string;
  #pending: Pending[] = [];
  #draining: Promise<void> | null = null;
  #lastBatch = 0;
  #yieldedAt = performance.now();

  constructor(connection: SqliteConnection, gate: WriteGate, location: string) {
    this.#connection = connection;
    this.#gate = gate;
    this.#location = location;
  }

  /** Runs a plan in a transaction; resolves when it is committed. */
  async write<T>(plan: () => Plan<T>, durable: boolean): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#pending.push({ plan, durable, resolve: resolve as Pending['resolve'], reject });
      this.#draining ??= this.#drain();
    });
  }

  async idle(): Promise<void> {
    await this.#draining;
  }

  async #drain(): Promise<void> {
    while (this.#pending.length > 0) {
      await this.#gather();
      const waiting = this.#pending.length;
      try {
        await this.#gate.inTurn(() => this.#commitBatch(), {
          location: this.#location,
          asError: (error) => asStoreError(error, this.#location),
        });
      } catch (error) {
        for (const { reject } of this.#pending.splice(0, waiting)) reject(error);
      }
    }
    this.#draining = null;
    // Whoever writes again and again has by then asked again.
    setImmediate(() => {
      if (this.#draining === null) this.#gate.yield();
    });
  }

  /** Lets those who were answered together ask again together, and the event loop see to other things now and then. */
  async #gather(): Promise<void> {
    await Promise.resolve();
    if (this.#lastBatch < 2 && performance.now() - this.#yieldedAt < mostWithoutYieldMs) return;
    await nextTurn();
    this.#yieldedAt = performance.now();
  }

  /** Throws only before anything was taken from the queue. */
  #commitBatch(): void {
    const connection = this.#connection;
    connection.synchronous(this.#pending.some(({ durable }) => durable) ? 'FULL' : 'NORMAL');
    connection.command('begin immediate');
    const batch = this.#pending.splice(0, mostPerBatch);
    let outcomes: readonly Outcome[];
    try {
      outcomes = batch.length === 1 ? batch.map((each) => this.#runAlone(each)) : this.#runEach(batch);
      if (connection.inTransaction)
        connection.command(outcomes.some((each) => 'value' in each) ? 'commit' : 'rollback');
    } catch (error) {
      if (connection.inTransaction) connection.command('rollback');
      outcomes = batch.map(() => ({ error }));
    }
    this.#pending.unshift(...batch.slice(outcomes.length));
    this.#lastBatch = outcomes.length;
    for (const [index, outcome] of outcomes.entries()) this.#answer(batch[index], outcome);
  }

  #runAlone({ plan }: Pending): Outcome {
    try {
      return { value: this.#connection.run(plan()) };
    } catch (error) {
      return { error };
    }
  }

  /** Runs as many as fit the time. Throws when a failure ended the whole transaction. */
  #runEach(batch: readonly Pending[]): readonly Outcome[] {
    const endAt = performance.now() + longestBatchMs;
    const outcomes: Outcome[] = [];
    for (const each of batch) {
      this.#connection.command('savepoint change');
      const outcome = this.#runAlone(each);
      if ('error' in outcome) {
        if (!this.#connection.inTransaction) throw outcome.error;
        this.#connection.command('rollback to change');
      }
      this.#connection.command('release change');
      outcomes.push(outcome);
      if (performance.now() > endAt) break;
    }
    return outcomes;
  }

  #answer(pending: Pending | undefined, outcome: Outcome): void {
    if ('error' in outcome) pending?.reject(asStoreError(outcome.error, this.#location));
    else pending?.resolve(outcome.value);
  }
}
