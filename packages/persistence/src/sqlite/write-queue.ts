import { setImmediate } from 'node:timers';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ReachesDisk } from '../query/engine.ts';
import type { Plan } from '../query/plan.ts';
import type { SqliteConnection } from './sqlite-connection.ts';
import { asStoreError } from './sqlite-errors.ts';
import type { WriteGate } from './write-gate.ts';

interface Pending {
  readonly plan: () => Plan<unknown>;
  readonly reachesDisk: ReachesDisk;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

type Outcome = { readonly value: unknown } | { readonly error: unknown };

const longestBatchMs = 15;
const mostPerBatch = 256;
const mostWithoutYieldMs = 10;
/** Failed after it had written or with the whole transaction, beside others that may not have. */
const mustBeUndone: Outcome = { error: null };

/**
 * The writes of one process. What has queued up goes into one transaction and shares its flush. One that fails leaves the
 * others untouched: before it wrote anything there is nothing to undo; after that the whole transaction is undone and run
 * again with a savepoint for each. A savepoint per write from the start would cost more than the writes (full-text search
 * writes its segments at each).
 */
export class WriteQueue {
  readonly #connection: SqliteConnection;
  readonly #gate: WriteGate;
  readonly #location: string;
  #pending: Pending[] = [];
  #draining: Promise<void> | null = null;
  #lastBatch = 0;
  /** How many of the next writes must be undone each by itself. */
  #toSeparate = 0;
  #yieldedAt = performance.now();

  constructor(connection: SqliteConnection, gate: WriteGate, location: string) {
    this.#connection = connection;
    this.#gate = gate;
    this.#location = location;
  }

  /** Runs a plan in a transaction; resolves when it is committed. */
  async write<T>(plan: () => Plan<T>, reachesDisk: ReachesDisk): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#pending.push({ plan, reachesDisk, resolve: resolve as Pending['resolve'], reject });
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
    connection.beginWrite(soonest(this.#pending));
    const batch = this.#pending.splice(0, this.#toSeparate || mostPerBatch);
    let outcomes: readonly Outcome[];
    try {
      outcomes = this.#runBatch(batch);
      if (connection.inTransaction) {
        if (outcomes.some((each) => 'value' in each)) connection.commitWrite();
        else connection.command('rollback');
      }
    } catch (error) {
      if (connection.inTransaction) connection.command('rollback');
      outcomes = batch.map(() => ({ error }));
    }
    this.#toSeparate = Math.max(0, this.#toSeparate - outcomes.length);
    this.#pending.unshift(...batch.slice(outcomes.length));
    this.#lastBatch = outcomes.length;
    for (const [index, outcome] of outcomes.entries()) this.#answer(batch[index], outcome);
  }

  #runBatch(batch: readonly Pending[]): readonly Outcome[] {
    if (batch.length === 1) return batch.map((each) => this.#runAlone(each));
    if (this.#toSeparate > 0) return this.#run(batch, (each) => this.#runInSavepoint(each));
    const outcomes = this.#run(batch, (each) => this.#runWithout(each));
    if (outcomes.every((each) => each !== mustBeUndone)) return outcomes;
    this.#toSeparate = outcomes.length;
    return [];
  }

  #runAlone({ plan }: Pending): Outcome {
    try {
      return { value: this.#connection.run(plan()) };
    } catch (error) {
      return { error };
    }
  }

  #runWithout(each: Pending): Outcome {
    const connection = this.#connection;
    const before = connection.changes;
    const outcome = this.#runAlone(each);
    const leftSomething = connection.changes !== before || !connection.inTransaction;
    return 'error' in outcome && leftSomething ? mustBeUndone : outcome;
  }

  #runInSavepoint(each: Pending): Outcome {
    this.#connection.command('savepoint change');
    const outcome = this.#runAlone(each);
    if ('error' in outcome) {
      if (!this.#connection.inTransaction) throw outcome.error;
      this.#connection.command('rollback to change');
    }
    this.#connection.command('release change');
    return outcome;
  }

  /** Runs as many as fit the time, or up to one whose failure ended the whole transaction. */
  #run(batch: readonly Pending[], one: (each: Pending) => Outcome): readonly Outcome[] {
    const endAt = performance.now() + longestBatchMs;
    const outcomes: Outcome[] = [];
    for (const each of batch) {
      const outcome = one(each);
      outcomes.push(outcome);
      if (outcome === mustBeUndone || performance.now() > endAt) break;
    }
    return outcomes;
  }

  #answer(pending: Pending | undefined, outcome: Outcome): void {
    if ('error' in outcome) pending?.reject(asStoreError(outcome.error, this.#location));
    else pending?.resolve(outcome.value);
  }
}

function soonest(pending: readonly Pending[]): ReachesDisk {
  for (const first of ['before', 'meanwhile'] as const)
    if (pending.some(({ reachesDisk }) => reachesDisk === first)) return first;
  return 'some time';
}
