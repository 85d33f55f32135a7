import type { ProcessRef } from '../domain/operation.ts';
import type { PooledSandbox } from '../domain/pooled-sandbox.ts';

/** Who keeps house for a home on one engine. */
export interface Housekeeping {
  /** True when it is the one who asked. */
  readonly held: boolean;
  readonly holder: ProcessRef;
  readonly expiresAt: string;
}

/**
 * What a home's resident processes agree on: sandboxes that are kept ready, and which process tidies up. None of it is
 * work, so none of it is in the ledger; a rebuilt registry has none, and what is on the engine is then reported.
 */
export interface HousekeepingStore {
  /**
   * Adds an entry in state `filling` unless the home has as many that no task has claimed.
   *
   * @returns whether it was added
   */
  addPooled(entry: PooledSandbox, most: number): Promise<boolean>;
  /** Replaces the entry at the version before. @returns false when somebody else changed or removed it meanwhile */
  replacePooled(entry: PooledSandbox): Promise<boolean>;
  /** Removes the entry at this version. @returns false when somebody else changed or removed it meanwhile */
  removePooled(entry: PooledSandbox): Promise<boolean>;
  /** Of this home, oldest first. */
  listPooled(): Promise<readonly PooledSandbox[]>;
  /**
   * Takes or keeps the housekeeper's lease of this home on an engine: granted when nobody has it, its time is over, or it is
   * the caller's already. The store's clock decides.
   *
   * @param ttlMs 1,000 to 3,600,000
   */
  keepHouse(engine: string, holder: ProcessRef, ttlMs: number): Promise<Housekeeping>;
  /** Gives the lease up; fine when another has it. */
  leaveHouse(engine: string, holder: ProcessRef): Promise<void>;
  findHousekeeper(engine: string): Promise<Housekeeping | undefined>;
}
