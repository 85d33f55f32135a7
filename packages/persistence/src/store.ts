import type {
  CheckpointCatalog,
  Clock,
  HomeId,
  HousekeepingStore,
  LeaseStore,
  Ledger,
  Logger,
  OpencodeToolsError,
  StoreAdmin,
  TaskMemory,
  TaskStore,
} from '@opencode-tools/core';
import { StoreAdministration } from './admin/store-administration.ts';
import { FileTaskMemory } from './memory/file-task-memory.ts';
import type { Engine } from './query/engine.ts';
import { StoredCheckpoints } from './stores/checkpoint-catalog.ts';
import { StoredHousekeeping } from './stores/housekeeping-store.ts';
import { StoredLeases } from './stores/lease-store.ts';
import { StoredLedger } from './stores/ledger.ts';
import { StoredTasks } from './stores/task-store.ts';
import type { StoreContext } from './write/context.ts';

/** An opened registry with the task files beside it. */
export interface Store {
  readonly homeId: HomeId;
  readonly tasks: TaskStore;
  readonly leases: LeaseStore;
  readonly ledger: Ledger;
  readonly checkpoints: CheckpointCatalog;
  readonly housekeeping: HousekeepingStore;
  readonly admin: StoreAdmin;
  readonly memory: TaskMemory;
  /** Why nothing can be written, such as a home that is read-only; null when it can. */
  readonly writeRefusal: OpencodeToolsError | null;
  /** Projects what this process wrote, then lets go of the database. Idempotent. */
  close(): Promise<void>;
}

export interface StoreParts {
  readonly engine: Engine;
  readonly homeId: HomeId;
  readonly homeDirectory: string;
  readonly epoch: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly writeRefusal: OpencodeToolsError | null;
}

/** Puts the ports on an engine whose schema is current. */
export function createStore(parts: StoreParts): Store {
  const { engine, homeId, clock, epoch, writeRefusal } = parts;
  const ctx: StoreContext = {
    engine,
    homeId,
    clock,
    epoch,
    writeRefusal,
    onAppended: (streams) => streams.forEach((stream) => memory.touch(stream)),
  };
  const memory = new FileTaskMemory(ctx, parts.homeDirectory, parts.logger);
  // What made or migrated the registry was written before there was anyone to project it.
  memory.touch('home');
  let closing: Promise<void> | null = null;
  const letGo = async () => {
    try {
      await memory.close();
    } finally {
      await engine.close();
    }
  };
  const close = () => (closing ??= letGo());
  return {
    homeId,
    tasks: new StoredTasks(ctx, close),
    leases: new StoredLeases(ctx),
    ledger: new StoredLedger(ctx),
    checkpoints: new StoredCheckpoints(ctx),
    housekeeping: new StoredHousekeeping(ctx),
    admin: new StoreAdministration(ctx, memory, parts.homeDirectory),
    memory,
    writeRefusal,
    close,
  };
}
