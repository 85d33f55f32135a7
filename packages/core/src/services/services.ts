import type { HomeId } from '../domain/ids.ts';
import type { EventBus } from '../events/event-bus.ts';
import type { HostFiles } from '../ports/host-files.ts';
import type { ImageStore } from '../ports/image-store.ts';
import type { Ledger } from '../ports/ledger.ts';
import type { StoreAdmin } from '../ports/store-admin.ts';
import type { AttemptService } from './attempt-contract.ts';
import type { CacheService } from './cache-contract.ts';
import type { CheckpointService } from './checkpoint-contract.ts';
import type { DoctorService } from './doctor-contract.ts';
import type { EgressService } from './egress-contract.ts';
import type { ExecutionService } from './execution-contract.ts';
import type { FileService } from './files-contract.ts';
import type { HousekeeperService } from './housekeeper-contract.ts';
import type { JournalService } from './journal-contract.ts';
import type { LedgerService } from './ledger-contract.ts';
import type { MonitorService } from './monitor-contract.ts';
import type { SandboxService } from './sandbox-contract.ts';
import type { SessionService } from './session-contract.ts';
import type { TaskService } from './task-contract.ts';
import type { WorkService } from './work-contract.ts';

export type * from './call.ts';
export type * from './task-contract.ts';
export type * from './monitor-contract.ts';
export type * from './sandbox-contract.ts';
export type * from './session-contract.ts';
export type * from './egress-contract.ts';
export type * from './execution-contract.ts';
export type * from './files-contract.ts';
export type * from './cache-contract.ts';
export type * from './checkpoint-contract.ts';
export type * from './attempt-contract.ts';
export type * from './journal-contract.ts';
export type * from './ledger-contract.ts';
export type * from './doctor-contract.ts';
export type * from './housekeeper-contract.ts';
export type * from './work-contract.ts';

/** Everything a front end gets. */
export interface Services {
  readonly tasks: TaskService;
  readonly sandboxes: SandboxService;
  readonly sessions: SessionService;
  readonly executions: ExecutionService;
  readonly files: FileService;
  readonly checkpoints: CheckpointService;
  readonly attempts: AttemptService;
  readonly egress: EgressService;
  readonly caches: CacheService;
  readonly work: WorkService;
  readonly journal: JournalService;
  readonly ledger: LedgerService;
  readonly housekeeper: HousekeeperService;
  readonly doctor: DoctorService;
  readonly monitor: MonitorService;
}

/** What whoever opened a home should be told of its configuration. */
export interface HomeNotice {
  readonly message: string;
  readonly remedy: string;
}

/** An opened home, as the apps hand it to a front end. */
export interface OpenHome extends AsyncDisposable {
  readonly homeId: HomeId;
  /** Absolute path of the home directory. */
  readonly directory: string;
  readonly services: Services;
  readonly images: ImageStore;
  /** What is likely to be a mistake in the configuration, for a front end to tell once. */
  readonly notices: readonly HomeNotice[];
  /** What verbs that copy between host and sandbox read and write on the host. */
  readonly hostFiles: HostFiles;
  readonly store: StoreAdmin;
  /** Tells what this process commits; what others commit comes with it, or by following the ledger. */
  readonly events: EventBus;
  /** The chains, for reading; `followEvents` takes it, to hand over what any process commits from a cursor on. */
  readonly ledger: Ledger;
  /** Finishes projections and lets everything go, as `await using` does. Never ends a sandbox; verbs are refused from then on. Idempotent. */
  close(): Promise<void>;
}
