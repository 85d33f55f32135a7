import type { StoredRecord, StreamId } from '../ledger/ledger-record.ts';
import type { Ledger } from '../ports/ledger.ts';

const pageSize = 500;
const longestBackoffMs = 5_000;

export interface FollowOptions {
  /**
   * Where to begin: the cursor that `onCursor` gave last. Null begins with the oldest record; `ledger.endCursor()` with what
   * comes from now on.
   */
  readonly after: string | null;
  /** Only records of these streams. */
  readonly streams?: readonly StreamId[];
  /** Ends the following; what is being handled is finished first. */
  readonly signal: AbortSignal;
  /** Longest time between two looks; default 1,000 ms. Where the store gives hints, news comes at once. */
  readonly pollMs?: number;
  /** Tries per record before `followEvents` gives up; default 5, with 50 ms, 100 ms, … between them. */
  readonly attempts?: number;
  /** Told how far everything has been handled; keep it where the effects of the handler are kept. */
  readonly onCursor?: (cursor: string) => void | Promise<void>;
}

/**
 * Hands every record of a home to a handler, one at a time, from wherever it left off, also those that other processes write. At
 * least once: what was handled after the last cursor that was kept is handed over again. Misses nothing, because the cursor
 * moves only past what was handled.
 *
 * @returns the cursor reached when the signal ended it
 * @throws whatever the handler threw at the last try; the cursor stays before that record
 */
export async function followEvents(
  ledger: Pick<Ledger, 'follow' | 'waitForMore'>,
  options: FollowOptions,
  handler: (record: StoredRecord) => void | Promise<void>,
): Promise<string | null> {
  const { signal, streams, pollMs = 1_000, attempts = 5 } = options;
  let { after } = options;
  while (!signal.aborted) {
    const page = await ledger.follow({ after, limit: pageSize, ...(streams === undefined ? {} : { streams }) });
    for (const record of page.records) {
      if (signal.aborted) return after;
      await handled(record, handler, attempts, signal);
    }
    if (page.cursor !== after) await options.onCursor?.(page.cursor);
    after = page.cursor;
    if (page.records.length === 0) await ledger.waitForMore(after, { timeoutMs: pollMs, signal });
  }
  return after;
}

async function handled(
  record: StoredRecord,
  handler: (record: StoredRecord) => void | Promise<void>,
  attempts: number,
  signal: AbortSignal,
): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await handler(record);
      return;
    } catch (error) {
      if (attempt >= attempts) throw error;
      await pause(Math.min(50 * 2 ** (attempt - 1), longestBackoffMs), signal);
    }
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done, { once: true });
  });
}
