import type { Housekeeping } from '../ports/housekeeping-store.ts';
import type { PooledSandbox } from '../domain/pooled-sandbox.ts';
import type { Call } from './call.ts';
import type { PrunedCheckpoints } from './checkpoint-contract.ts';
import type { CacheFacts } from './cache-contract.ts';
import type { ReapReport } from './reaper/reap.ts';

export interface HousekeepingStatus {
  /** Null when nobody keeps house for this home on its engine. */
  readonly housekeeper: Housekeeping | null;
  /** Sandboxes that this process would keep ready; 0 when the pool is off. */
  readonly poolSize: number;
  readonly pooled: readonly PooledSandbox[];
}

/** What one turn of housekeeping did. */
export interface HousekeepingTurn {
  /** False when another process keeps house; the pool of this one was looked after all the same. */
  readonly held: boolean;
  /** Null when it was not time to reap. */
  readonly reaped: ReapReport | null;
  /** Checkpoints that went by the retention policy; null when it was not time for that. */
  readonly pruned: PrunedCheckpoints | null;
  /** Caches that held more than their budget and went, as often. */
  readonly trimmed: readonly CacheFacts[];
}

/**
 * Keeps sandboxes ready and tidies up, in processes that stay: one of them has the housekeeper's lease of the home on its
 * engine, the others only look after their own pools. Nothing happens before `start`.
 */
export interface HousekeeperService {
  /** Begins to take turns, now and then every half minute. Idempotent. */
  start(): void;
  /** True between `start` and `close`: this process stays. */
  readonly started: boolean;
  /** Takes a turn now; turns follow each other. */
  turn(): Promise<HousekeepingTurn>;
  /** Compares registry, engine and disk, and removes what is provably finished, whoever keeps house. */
  reap(options: { readonly dryRun: boolean }, call: Call): Promise<ReapReport>;
  status(): Promise<HousekeepingStatus>;
  /** Ends the turns, removes the sandboxes that this process kept ready, and gives the lease up. Idempotent. */
  close(): Promise<void>;
}
