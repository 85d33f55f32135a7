import { setTimeout as sleep } from 'node:timers/promises';
import { OpencodeToolsError } from '@opencode-tools/core';
import { findLockHolder } from './lock-holder.ts';
import { isBusy } from './sqlite-errors.ts';
import { type Ticket, TurnFile } from './turn-file.ts';

interface Attempt {
  readonly location: string;
  /** Turns what the driver throws into an error of ours. */
  asError(error: unknown): unknown;
}

export const defaultWaitMs = 5_000;
/**
 * How long one process may go on writing while others wait. Handing over costs a millisecond of sleep and more on a busy
 * machine: with a turn per write most of the time would be nobody's.
 */
const sliceMs = 5;
const shortestPauseMs = 1;
const longestPauseMs = 40;
const pausePerPlaceMs = 2;

/**
 * Gives the processes that write one database turns in the order they came, without a busy wait: SQLite's own busy
 * handler stops the event loop, and whoever unlocks is the one who locks next. SQLite's lock stays what decides; the line
 * of tickets says who may try.
 */
export class WriteGate {
  readonly #waitMs: number;
  readonly #line: TurnFile;
  /** The place that this process writes from, and until when. */
  #held: { readonly ticket: Ticket; readonly until: number } | null = null;

  constructor(databasePath: string, waitMs: number = defaultWaitMs) {
    this.#line = new TurnFile(`${databasePath}-queue`);
    this.#waitMs = waitMs;
  }

  /**
   * Runs `work` when it is this process's turn, again as long as it finds the database busy. Called once at a time.
   *
   * @throws OpencodeToolsError `OCT_STORE_UNAVAILABLE` naming the holder, when it was not free in time
   */
  async inTurn<T>(work: () => T, attempt: Attempt): Promise<T> {
    if (this.#mayGoOn()) {
      const tried = tryOnce(work, attempt);
      if (tried.done) return tried.value;
    }
    this.yield();
    return this.#inLine(work, attempt);
  }

  /** Lets the next process write at once: there is nothing more to write here. */
  yield(): void {
    if (this.#held === null) return;
    this.#line.leave(this.#held.ticket);
    this.#held = null;
  }

  /** Runs `work`, again while the database is briefly closed to everyone. */
  async retry<T>(work: () => T, attempt: Attempt): Promise<T> {
    const cameAt = performance.now();
    for (let tries = 0; ; tries += 1) {
      const tried = tryOnce(work, attempt);
      if (tried.done) return tried.value;
      const waitedMs = performance.now() - cameAt;
      if (waitedMs >= this.#waitMs) throw await storeBusy(attempt, waitedMs, tried.error);
      await sleep(shortestPauseMs + Math.random() * Math.min(tries, 4));
    }
  }

  close(): void {
    this.#line.close();
  }

  /** A slice may be used up; without one, an empty line may be passed. */
  #mayGoOn(): boolean {
    if (this.#held === null) return !this.#line.someoneWaits();
    return performance.now() < this.#held.until;
  }

  async #inLine<T>(work: () => T, attempt: Attempt): Promise<T> {
    const cameAt = performance.now();
    let ticket = this.#line.take();
    try {
      for (;;) {
        const ahead = ticket === null ? 0 : this.#line.look(ticket);
        if (ahead === null) ticket = this.#line.take();
        const tried = ahead === 0 ? this.#tryHolding(work, attempt, ticket) : null;
        if (tried?.done === true) {
          ticket = null;
          return tried.value;
        }
        const waitedMs = performance.now() - cameAt;
        if (waitedMs >= this.#waitMs) throw await storeBusy(attempt, waitedMs, tried?.error);
        await sleep(pauseMs(ahead ?? 0));
      }
    } finally {
      if (ticket !== null) this.#line.leave(ticket);
    }
  }

  #tryHolding<T>(work: () => T, attempt: Attempt, ticket: Ticket | null): Tried<T> {
    const from = performance.now();
    const tried = tryOnce(work, attempt);
    if (!tried.done || ticket === null) return tried;
    const leftMs = Math.max(0, sliceMs - (performance.now() - from));
    this.#line.hold(ticket, leftMs);
    this.#held = { ticket, until: performance.now() + leftMs };
    return tried;
  }
}

function pauseMs(ahead: number): number {
  return ahead < 2 ? shortestPauseMs : Math.min(longestPauseMs, (ahead - 1) * pausePerPlaceMs);
}

type Tried<T> = { readonly done: true; readonly value: T } | { readonly done: false; readonly error: unknown };

function tryOnce<T>(work: () => T, attempt: Attempt): Tried<T> {
  try {
    return { done: true, value: work() };
  } catch (error) {
    if (isBusy(error)) return { done: false, error };
    throw attempt.asError(error);
  }
}

async function storeBusy(attempt: Attempt, waitedMs: number, cause: unknown): Promise<OpencodeToolsError> {
  const pid = await findLockHolder(attempt.location);
  const holder = pid === null ? 'another process' : `process ${pid}`;
  return new OpencodeToolsError(
    'OCT_STORE_UNAVAILABLE',
    `The registry ${attempt.location} was held by ${holder} for ${Math.round(waitedMs)} ms`,
    {
      remedy:
        pid === null
          ? 'Try again when the other process has finished.'
          : `Try again, or look at what process ${pid} does.`,
      details: { location: attempt.location, pid, waitedMs: Math.round(waitedMs) },
      cause,
    },
  );
}
