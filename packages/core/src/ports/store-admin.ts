import type { HomeId, TaskId } from '../domain/ids.ts';
import type { Timestamp } from '../domain/task.ts';
import type { ChainHead } from '../ledger/chain.ts';
import type { Actor, StreamId } from '../ledger/ledger-record.ts';
import type { BrokenRecord } from '../ledger/verify-chain.ts';

export interface StoreStatus {
  readonly homeId: HomeId;
  readonly engine: 'sqlite' | 'postgres';
  /** File path or address without credentials. */
  readonly location: string;
  readonly schemaVersion: number;
  readonly latestSchemaVersion: number;
  readonly epoch: number;
  /** When this database was made; a rebuilt one is a new one. */
  readonly createdAt: string;
  readonly tasks: number;
  readonly records: number;
  readonly sizeBytes: number;
}

/** What a check of a whole registry found. */
export interface StoreVerification {
  readonly ok: boolean;
  readonly chains: number;
  readonly records: number;
  /** The first fault of each broken chain. */
  readonly broken: readonly BrokenRecord[];
  /** What is wrong beside the chains, in one line each. */
  readonly problems: readonly string[];
}

/** What an import of a chain did. */
export interface ImportedLedger {
  readonly stream: StreamId;
  /** Records that the registry did not have. */
  readonly added: number;
  readonly head: ChainHead;
}

/** What an import of many chains did. */
export interface ImportedLedgers {
  readonly chains: number;
  /** Records that the registry did not have. */
  readonly added: number;
}

/** The memory of a task, written into a folder. */
export interface ExportedMemory {
  readonly taskId: TaskId;
  /** Absolute path of the task's own folder. */
  readonly path: string;
  /** False when it said the same already: no byte was written. */
  readonly changed: boolean;
  /** The record up to which it goes. */
  readonly head: ChainHead;
}

/** The memory of a task, taken in from a folder. */
export interface ImportedMemory {
  readonly taskId: TaskId;
  /** The home that has its sandbox and files. */
  readonly homeId: HomeId;
  /** Records that the registry did not have. */
  readonly added: number;
  readonly head: ChainHead;
}

export interface PruneOptions {
  /** Records older than this many days are taken out of their chains; null keeps all. */
  readonly keepLedgerDays: number | null;
  /** Deleted tasks are forgotten this many days after; null keeps all. */
  readonly keepTombstoneDays: number | null;
  /** Outputs of commands are removed this many days after they were last written to; 0 leaves only those of commands that run. Default null keeps all. */
  readonly keepOutputDays?: number | null;
  readonly dryRun?: boolean;
}

export interface PruneReport {
  readonly dryRun: boolean;
  readonly chains: readonly { readonly stream: StreamId; readonly records: number; readonly base: ChainHead }[];
  readonly tombstones: readonly TaskId[];
  /** Outputs of commands that went, by task; deleted tasks have some, too. */
  readonly outputs: readonly { readonly taskId: TaskId; readonly executions: number; readonly bytes: number }[];
}

/** Administration of an opened registry. */
export interface StoreAdmin {
  status(): Promise<StoreStatus>;
  /**
   * Starts a new epoch: revokes all leases, raises every token counter past any seen plus 2^20, drops idempotency rows
   * and records `store.epoch_started`.
   */
  startEpoch(reason: string): Promise<number>;
  /** Checks the file's own structure, every chain, and what is counted against what is there. Never throws for a fault. */
  verify(): Promise<StoreVerification>;
  /** One chain as lines of JSON: a header with base and head, then a record per line. Deleted tasks included. */
  exportLedger(stream: StreamId): AsyncIterable<string>;
  /**
   * Takes in what `exportLedger` gave, whole or not at all. Lines that are here already are compared, not written.
   *
   * @throws OpencodeToolsError `OCT_LEDGER_BROKEN` for a gap, a fork, a cut or a changed record, naming it;
   *   `OCT_POLICY_DENIED` for records that would change rows of another task; `OCT_INVALID_ARGUMENT` for text that is no export.
   */
  importLedger(lines: AsyncIterable<string> | Iterable<string>): Promise<ImportedLedger>;
  /**
   * Takes in what `exportLedger` gave for many tasks, one export after the other. Each is taken in whole or not at all, many
   * in one transaction; it ends at the first that does not fit. What was taken in before stays: give all of them again.
   *
   * @throws OpencodeToolsError as `importLedger` does
   */
  importLedgers(lines: AsyncIterable<string> | Iterable<string>): Promise<ImportedLedgers>;
  /**
   * Writes the memory of a task, a deleted one too, into `.task-memory/<taskId>` of a folder, whole or not at all: ledger, state,
   * todos, notes, decisions, and how executions ended. The same state gives the same bytes. Outputs of executions and checkpoints
   * stay in the home.
   *
   * @param directory absolute path of an existing directory; nothing is written through a link in it
   * @throws OpencodeToolsError `OCT_TASK_NOT_FOUND`; `OCT_INVALID_ARGUMENT` for a directory that is none, lies in the home, or has files
   *   of others where the task's folder belongs; `OCT_PATH_OUTSIDE_WORKSPACE` for a link
   */
  exportMemory(taskId: TaskId, directory: string): Promise<ExportedMemory>;
  /**
   * Takes in what `exportMemory` wrote, every task of the folder. All are checked before the first is taken in; each is taken in whole
   * or not at all. What is here already is compared; of a task of another home what is newer is taken in. Tasks of this home are
   * never changed by it.
   *
   * @param directory the one that was exported into
   * @throws OpencodeToolsError `OCT_STATE_CORRUPT` for a file that is changed, cut or missing; `OCT_LEDGER_BROKEN` as `importLedger` does;
   *   `OCT_SCHEMA_TOO_NEW`; `OCT_POLICY_DENIED` for records that would change a task of this home, or rows of another task;
   *   `OCT_PATH_OUTSIDE_WORKSPACE` for a link; `OCT_INVALID_ARGUMENT` for a folder without any
   */
  importMemory(directory: string): Promise<readonly ImportedMemory[]>;
  /** Removes the payloads of records, which stay in the chain, and records `payload.erased`. Messages go with theirs; other rows made from them stay. */
  erasePayloads(
    stream: StreamId,
    seqs: readonly number[],
    why: { readonly reason: string; readonly actor: Actor },
  ): Promise<void>;
  /**
   * Takes out what is older than its retention, leaving `ledger.pruned` with the base that the chain now starts from, and
   * `execution.pruned` with how many outputs went. Outputs go first, which needs no room on the disk.
   */
  prune(options: PruneOptions): Promise<PruneReport>;
}

/** A copy of a registry, checked by restoring it. */
export interface StoreBackup {
  /** Absolute path. */
  readonly file: string;
  readonly at: Timestamp;
  readonly reason: string;
  readonly engine: 'sqlite' | 'postgres';
  readonly schemaVersion: number;
  readonly epoch: number;
  readonly tasks: number;
  readonly records: number;
  readonly sizeBytes: number;
  /** SHA-256 of the file. */
  readonly digest: string;
}

export interface MaintenanceStatus {
  readonly homeId: HomeId | null;
  readonly engine: 'sqlite' | 'postgres';
  readonly location: string;
  /** Null when there is no registry, or none that can be read. */
  readonly schemaVersion: number | null;
  readonly latestSchemaVersion: number;
  readonly pendingMigrations: readonly string[];
  readonly epoch: number | null;
  readonly tasks: number | null;
  readonly records: number | null;
  readonly sizeBytes: number;
  readonly backups: number;
  /** A move that has not ended: where to. */
  readonly movingTo: string | null;
  /** Why the registry cannot be used; null when it can. */
  readonly fault: string | null;
}

/** Another process that has the registry open. */
export interface StoreUser {
  /** Null when it cannot be told, as for a process in another container. */
  readonly pid: number | null;
  /** The machine that it runs on; null when it is this one. */
  readonly host: string | null;
  /** What runs there, as far as it can be told. */
  readonly program: string | null;
}

export interface SchemaChange {
  readonly dryRun: boolean;
  readonly from: number;
  readonly to: number;
  /** Names of the steps, in the order they are taken. */
  readonly steps: readonly string[];
  /** The copy made first; null when nothing was changed. */
  readonly backup: StoreBackup | null;
  /**
   * Processes that have the registry open with the schema before. They lose nothing: each change is whole or refused, and
   * from the change of schema on they are refused until they open the home again.
   */
  readonly processes: readonly StoreUser[];
}

export interface RestoreReport {
  readonly dryRun: boolean;
  readonly from: StoreBackup;
  /** The registry as it was, saved first; null when it could not be read. */
  readonly saved: StoreBackup | null;
  /** Where an unreadable registry was put; null when there was none. */
  readonly keptAside: string | null;
  readonly epoch: number | null;
  /** Records of task files that went on from the backup's chains and were taken in. */
  readonly rolledForward: number;
  /** Task files that say something else than the backup, and were kept aside. */
  readonly filesKeptAside: readonly string[];
}

/** A registry to move to. */
export type RegistryTarget =
  | { readonly engine: 'sqlite' }
  | {
      readonly engine: 'postgres';
      readonly url: string;
      /** Name of the environment variable that has the address; the home remembers the name, never the credentials. */
      readonly urlFrom: string;
    };

export interface MoveReport {
  readonly dryRun: boolean;
  readonly from: string;
  readonly to: string;
  readonly rows: number;
  readonly chains: number;
  readonly records: number;
  readonly epoch: number | null;
  /** Where the old registry is now. */
  readonly keptAs: string | null;
  /** True when an earlier move was gone on with. */
  readonly resumed: boolean;
}

export interface RebuildReport {
  readonly dryRun: boolean;
  readonly tasks: number;
  readonly records: number;
  readonly epoch: number | null;
  readonly keptAside: string | null;
  /** What could not be read, task by task: nothing is left out silently. */
  readonly lost: readonly { readonly subject: string; readonly fault: string }[];
}

/** Work on the registry of a home as a whole, whether it can be opened or not. One at a time per home. */
export interface StoreMaintenance {
  status(): Promise<MaintenanceStatus>;
  verify(): Promise<StoreVerification>;
  /** Brings the schema to the newest version, after a backup. */
  migrate(options?: { readonly dryRun?: boolean }): Promise<SchemaChange>;
  /** Takes the schema back to an older version, after a backup, for an older build to open. */
  rollback(options: { readonly to: number; readonly dryRun?: boolean }): Promise<SchemaChange>;
  /**
   * Copies the registry to `<home>/backups/` and checks the copy by restoring it. Old automatic ones make room. A dry run
   * makes and checks the copy too, and then removes it.
   */
  backup(options?: { readonly reason?: string; readonly dryRun?: boolean }): Promise<StoreBackup>;
  /** Newest first. */
  listBackups(): Promise<readonly StoreBackup[]>;
  /**
   * Puts a backup in the registry's place, in one transaction where it can be opened, and starts a new epoch.
   *
   * @param options.rollForward takes in what the task files have beyond the backup; by default only when the registry was lost
   */
  restore(options: {
    readonly file: string;
    readonly dryRun?: boolean;
    readonly rollForward?: boolean;
  }): Promise<RestoreReport>;
  /** Copies the registry to another engine, verifies it row by row and chain by chain, and switches. Run again to resume. */
  move(options: { readonly to: RegistryTarget; readonly dryRun?: boolean }): Promise<MoveReport>;
  /** Gives up a move that has not ended; the registry is where it was. */
  abandonMove(): Promise<void>;
  /** Makes a registry that is gone or unreadable again from the task files, and starts a new epoch. */
  rebuild(options?: { readonly dryRun?: boolean }): Promise<RebuildReport>;
}
