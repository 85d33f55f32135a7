import type {
  CheckpointCatalog,
  HousekeepingStore,
  LeaseStore,
  Ledger,
  StoreAdmin,
  TaskMemory,
  TaskStore,
} from '@opencode-tools/core';

/** A fresh, empty registry for one test. */
export interface OpenRegistry {
  readonly tasks: TaskStore;
  readonly leases: LeaseStore;
  readonly ledger: Ledger;
  readonly checkpoints: CheckpointCatalog;
  readonly housekeeping: HousekeepingStore;
  readonly admin: StoreAdmin;
  readonly memory: TaskMemory;
  /** The home directory. */
  readonly directory: string;
  /** Lets the store's clock appear this much later. */
  passTime(ms: number): Promise<void>;
  /** Closes it and removes everything. */
  close(): Promise<void>;
}
