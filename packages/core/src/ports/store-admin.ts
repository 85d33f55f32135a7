import type { HomeId } from '../domain/ids.ts';

export interface StoreStatus {
  readonly homeId: HomeId;
  readonly engine: 'sqlite' | 'postgres';
  /** File path or address without credentials. */
  readonly location: string;
  readonly schemaVersion: number;
  readonly latestSchemaVersion: number;
  readonly epoch: number;
  readonly tasks: number;
  readonly records: number;
  readonly sizeBytes: number;
}

/** Administration of the registry itself. */
export interface StoreAdmin {
  status(): Promise<StoreStatus>;
  /**
   * Starts a new epoch: revokes all leases, raises every token counter past any seen plus 2^20, drops idempotency rows
   * and records `store.epoch_started`.
   */
  startEpoch(reason: string): Promise<number>;
}
