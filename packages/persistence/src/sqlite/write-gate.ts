import { setTimeout as sleep } from 'node:timers/promises';
import { OpencodeToolsError } from '@opencode-tools/core';
import { Bell } from './bell.ts';
import { findLockHolder } from './lock-holder.ts';
import { isBusy } from './sqlite-errors.ts';
import { type Ticket, TurnFile } from './turn-file.ts';
import { TurnLength } from './turn-length.ts';

interface Attempt {
  readonly location: string;
  /** Turns what the driver throws into an error of ours. */
  asError(error: unknown): unknown;
}

export const defaultWaitMs = 5_000;
const shortestPauseMs = 1;
/** Who has a bell looks this often all the same: a ring may be lost with whoever should have rung. */
const pauseWithBellMs = 20;
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
  readonly #bell: Bell;
  /** The place that this process writes from, for how many more transactions and until when. */
  #held: { readonly ticket: Ticket; left: number; readonly until: number } | null = null;
  readonly #length = new TurnLength();

  constructor(databasePath: string, waitMs: number = defaultWaitMs) {
    this.#line = new TurnFile(`${databasePath}-queue`);
    this.#bell = new Bell(`${databasePath}-bell-`);
    this.#waitMs = waitMs;
  }

  /**
   * Runs `work` when it is this process's turn, again as long as it finds the database busy. Called once at a time.
   *
   * @throws OpencodeToolsError `OCT_STORE_UNAVAILABLE` naming the holder, when it was not free in time
   */
  async inTurn<T>(work: () => T, attempt: Attempt): Promise<T> {
    if (this.#mayGoOn()) {
      const tried = this.#try(work, attempt, 'next');
      if (tried.done) return tried.value;
    }
    this.yield();
    return this.#inLine(work, attempt);
  }

  /** Lets the next process write at once: there is nothing more to write here. */
  yield(): void {
    if (this.#held === null) return;
    const { ticket } = this.#held;
    this.#held = null;
    this.#leave(ticket);
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
    this.yield();
    this.#line.close();
    this.#bell.close();
  }

  /** A turn may be used up; without one, an empty line may be passed. */
  #mayGoOn(): boolean {
    if (this.#held === null) return !this.#line.someoneWaits();
    this.#held.left -= 1;
    return this.#held.left >= 0 && performance.now() < this.#held.until;
  }

  async #inLine<T>(work: () => T, attempt: Attempt): Promise<T> {
    const cameAt = performance.now();
    let ticket = this.#line.take(this.#bell.id());
    let waited = false;
    try {
      for (;;) {
        const ahead = ticket === null ? 0 : this.#line.look(ticket);
        const before = ahead === 0 && ticket !== null ? this.#line.turnBefore(ticket) : null;
        if (waited && before !== null) this.#length.sawHandOver(before.leftForMs);
        waited = ahead !== 0;
        if (ahead === null) ticket = this.#line.take(this.#bell.id());
        const tried = ahead === 0 ? this.#tryHolding(work, attempt, ticket, before?.length ?? null) : null;
        if (tried?.done === true) {
          ticket = null;
          return tried.value;
        }
        const waitedMs = performance.now() - cameAt;
        if (waitedMs >= this.#waitMs) throw await storeBusy(attempt, waitedMs, tried?.error);
        await this.#bell.heard(this.#pauseMs(ahead ?? 0));
      }
    } finally {
      if (ticket !== null) this.#leave(ticket);
    }
  }

  #leave(ticket: Ticket): void {
    for (const address of this.#line.leave(ticket)) this.#bell.ring(address);
  }

  /** Whoever is first and finds the database locked has nobody to be rung by. */
  #pauseMs(ahead: number): number {
    if (ahead === 0) return shortestPauseMs;
    if (this.#bell.id() !== 0n) return pauseWithBellMs;
    return Math.min(longestPauseMs, Math.max(shortestPauseMs, (ahead - 1) * pausePerPlaceMs));
  }

  /** @param before the length of the turn before, where it is known */
  #tryHolding<T>(work: () => T, attempt: Attempt, ticket: Ticket | null, before: number | null): Tried<T> {
    const tried = this.#try(work, attempt, 'first');
    if (!tried.done || ticket === null) return tried;
    const length = this.#length.after(before);
    const holdMs = this.#length.stuckAfterMs(length);
    this.#line.hold(ticket, holdMs, length);
    this.#held = { ticket, left: Math.round(length) - 1, until: performance.now() + holdMs };
    return tried;
  }

  #try<T>(work: () => T, attempt: Attempt, place: 'first' | 'next'): Tried<T> {
    const from = performance.now();
    const tried = tryOnce(work, attempt);
    if (tried.done) this.#length.sawTransaction(performance.now() - from, place);
    return tried;
  }
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
