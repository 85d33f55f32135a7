import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { OpencodeToolsError } from '@opencode-tools/core';
import { findLockHolder } from './lock-holder.ts';
import { isBusy } from './sqlite-errors.ts';
import { WaitingMark } from './waiting-mark.ts';

interface Attempt {
  readonly location: string;
  readonly what: 'read' | 'write';
  /** Turns what the driver throws into an error of ours. */
  asError(error: unknown): unknown;
}

export const defaultWaitMs = 5_000;
const shortestPauseMs = 1;
const longestPauseMs = 5;
const makingRoomMs = 2;
/** A wait that ends within this many tries needs nobody's help. */
const triesBeforeMark = 2;
const mostWithoutYieldMs = 10;

/**
 * Lets the writers of one process take turns in the order they came, and waits without blocking while another process
 * writes: SQLite's own busy handler stops the event loop and starves whoever asks second.
 */
export class WriteGate {
  readonly #waitMs: number;
  readonly #mark: WaitingMark;
  #last: Promise<void> = Promise.resolve();
  #waiting = 0;
  #progressAt = performance.now();
  #yieldedAt = performance.now();

  constructor(databasePath: string, waitMs: number = defaultWaitMs) {
    this.#mark = new WaitingMark(databasePath);
    this.#waitMs = waitMs;
  }

  /** Runs `work` when all that came before are done; again and again while another process holds the store. */
  async inTurn<T>(work: () => T, attempt: Attempt): Promise<T> {
    const cameAt = performance.now();
    const previous = this.#last;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#last = promise;
    this.#waiting += 1;
    try {
      if (this.#waiting > 1) await previous;
      await this.#yieldToOthers();
      if (this.#mark.isRaised()) await sleep(makingRoomMs * (0.5 + Math.random()));
      return await this.#untilFree(work, attempt, () => Math.max(cameAt, this.#progressAt));
    } finally {
      this.#waiting -= 1;
      resolve();
    }
  }

  /** Runs `work`, again while the store is briefly closed to everyone. */
  async retry<T>(work: () => T, attempt: Attempt): Promise<T> {
    const cameAt = performance.now();
    return this.#untilFree(work, attempt, () => cameAt);
  }

  async idle(): Promise<void> {
    await this.#last;
  }

  async #untilFree<T>(work: () => T, attempt: Attempt, since: () => number): Promise<T> {
    for (let tries = 0; ; tries += 1) {
      try {
        const result = work();
        if (attempt.what === 'write') this.#progressAt = performance.now();
        return result;
      } catch (error) {
        if (!isBusy(error)) throw attempt.asError(error);
        const waitedMs = performance.now() - since();
        if (waitedMs >= this.#waitMs) throw await storeBusy(attempt, waitedMs, error);
      }
      if (attempt.what === 'write' && tries >= triesBeforeMark) this.#mark.raise();
      await sleep(pauseMs(tries));
    }
  }

  async #yieldToOthers(): Promise<void> {
    if (performance.now() - this.#yieldedAt < mostWithoutYieldMs) return;
    await nextTurn();
    this.#yieldedAt = performance.now();
  }
}

/** Grows slowly and is spread at random, so that waiters do not come back together. */
function pauseMs(tries: number): number {
  const ceiling = Math.min(longestPauseMs, shortestPauseMs + tries);
  return shortestPauseMs + Math.random() * (ceiling - shortestPauseMs);
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
