import type { Timestamp } from '../domain/task.ts';

/** Wall-clock time for what is shown and measured; the store's own clock decides expiry. */
export interface Clock {
  /** Milliseconds since 1970-01-01 UTC. */
  nowMs(): number;
}

/** The clock of this machine. */
export const systemClock: Clock = { nowMs: () => Date.now() };

export function toTimestamp(ms: number): Timestamp {
  return new Date(ms).toISOString();
}
