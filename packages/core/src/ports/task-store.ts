import type { TaskClaims } from '../claims/claim.ts';
import type { Checkpoint } from '../domain/checkpoint.ts';
import type { Execution } from '../domain/execution.ts';
import type { CheckpointId, ExecutionId, HomeId, LeaseId, OperationId, SessionId, TaskId } from '../domain/ids.ts';
import type { Decision, Message, Note, Todo } from '../domain/journal.ts';
import type { JsonValue } from '../domain/json.ts';
import type { Operation, ProcessRef } from '../domain/operation.ts';
import type { PooledSandbox } from '../domain/pooled-sandbox.ts';
import type { Sandbox } from '../domain/sandbox.ts';
import type { Session } from '../domain/session.ts';
import type { Receipt, Task, TaskStatus } from '../domain/task.ts';
import type { LedgerRecord, RecordDraft } from '../ledger/ledger-record.ts';

/** What must hold in the very transaction that writes, or nothing is written. */
export interface Guard {
  /**
   * The caller's lease. Not held by this token any more: `OCT_LEASE_LOST`. `allowPending` admits a lease whose takeover
   * barrier has not passed yet, for the barrier's own records.
   */
  readonly lease?: { readonly leaseId: LeaseId; readonly token: number; readonly allowPending?: boolean };
  /** The operation must still be open: `OCT_VERSION_CONFLICT` when another process has resolved it. */
  readonly openOperation?: OperationId;
  /** The operation must still be of this process: `OCT_VERSION_CONFLICT` when another has adopted it. */
  readonly ownedOperation?: { readonly id: OperationId; readonly owner: ProcessRef };
  /** The task's claims must still be at this revision: `OCT_VERSION_CONFLICT` when one was granted or ended meanwhile. */
  readonly claims?: { readonly taskId: TaskId; readonly revision: number };
  /** The checkpoint must still be there: `OCT_VERSION_CONFLICT` when it was deleted meanwhile. It stays until the change is done. */
  readonly checkpoint?: CheckpointId;
  /** The checkpoint must be marked so: `OCT_VERSION_CONFLICT` when it was tagged, pinned or deleted meanwhile. */
  readonly marks?: Pick<Checkpoint, 'id' | 'pinned' | 'tags'>;
  /** No operation of these kinds may be open on the task besides `openOperation`. */
  readonly noOpenOperation?: { readonly taskId: TaskId; readonly kinds: readonly Operation['kind'][] };
}

export interface IdempotencyEntry {
  /** 1 to 200 characters, unique per home. */
  readonly key: string;
  readonly verb: string;
  readonly argumentsDigest: string;
  readonly operationId: OperationId | null;
  /** What the first call answered; null while it is still under way. */
  readonly result: JsonValue;
  /**
   * Keeps the key for this many milliseconds only, for a call that has effects before its first record; stored again under the
   * same `operationId` it goes on, and 0 gives the key back. Absent, and once that operation is recorded: 24 h.
   */
  readonly reservedForMs?: number;
}

/** One atomic change: records in order, each with the rows it leaves behind. */
export interface Change {
  readonly guard?: Guard;
  readonly records: readonly RecordDraft[];
  /** Inserted with the change; replaced when the same key, verb and digest is stored with a result. */
  readonly idempotency?: IdempotencyEntry;
  /**
   * A sandbox of the pool that the change takes, as it is afterwards: of two changes that take the same version exactly one
   * is applied, the other gets `OCT_VERSION_CONFLICT`.
   */
  readonly takes?: PooledSandbox;
  /**
   * The epoch that was known before what the change depends on was read: one planned in an earlier epoch than the registry's
   * gets `OCT_VERSION_CONFLICT`. Absent: the one known when the change is committed. A lease in the guard says as much, since an
   * epoch ends them all.
   */
  readonly epoch?: number;
  /**
   * Default `before`: it is on the disk when the commit resolves. `meanwhile`: it outlives this process from then on, and is on its
   * way to the disk; the next change of this process that does not say so waits for both. Only where every word of what follows
   * waits for such a change.
   */
  readonly reachesDisk?: 'before' | 'meanwhile';
}

export const taskOrders = ['newest', 'oldest', 'updated'] as const;
export type TaskOrder = (typeof taskOrders)[number];

export interface TaskFilter {
  readonly status?: readonly TaskStatus[];
  readonly label?: { readonly name: string; readonly value?: string };
  /** Tasks with a session of this agent, attached or past. */
  readonly agent?: string;
  readonly parentId?: TaskId;
  readonly owner?: string;
  readonly project?: string;
  /** Tasks whose workspace is a directory of the host. */
  readonly bound?: true;
  /** Words that title, description, decisions, todos, notes or messages hold. */
  readonly text?: string;
  readonly createdAfter?: string;
  readonly createdBefore?: string;
}

export interface PageRequest {
  /** 1 to 500; default 50. */
  readonly limit?: number;
  /** `next` of the page before. */
  readonly cursor?: string;
}

export interface Page<T> {
  readonly items: readonly T[];
  /** Null on the last page. */
  readonly next: string | null;
}

/**
 * The registry of one home. Reads see committed state only; the one write is `commit`. Safe to use from any number of
 * processes at once.
 */
export interface TaskStore {
  readonly homeId: HomeId;
  /** The epoch of the registry as far as this process knows; it learns of a new one from the first change that is refused. */
  readonly epoch: number;

  /**
   * Applies a change whole or not at all: checks the guard, writes every put, appends every record to its chain, stores
   * the idempotency row. Records of one change that share a stream get consecutive numbers in order.
   *
   * @returns the records as appended
   * @throws OpencodeToolsError `OCT_LEASE_LOST`, `OCT_VERSION_CONFLICT`, `OCT_TASK_EXISTS`, `OCT_IDEMPOTENCY_MISMATCH`,
   *   `OCT_SCHEMA_TOO_NEW`, `OCT_STORE_READ_ONLY`, `OCT_STORE_UNAVAILABLE` (another writer held the store for 5 s; names its pid)
   */
  commit(change: Change): Promise<readonly LedgerRecord[]>;

  /** @throws OpencodeToolsError `OCT_TASK_NOT_FOUND`, with the receipt in `details` when the task was deleted. */
  getTask(id: TaskId): Promise<Task>;
  findTask(id: TaskId): Promise<Task | undefined>;
  findReceipt(id: TaskId): Promise<Receipt | undefined>;
  /**
   * Finds the task that a person means: a full id, a short id, or a unique title. Deleted tasks are found by id only.
   *
   * @throws OpencodeToolsError `OCT_TASK_NOT_FOUND`; `OCT_INVALID_ARGUMENT` when several fit, listing them.
   */
  resolveTaskId(reference: string): Promise<TaskId>;
  listTasks(filter: TaskFilter, page?: PageRequest & { readonly order?: TaskOrder }): Promise<Page<Task>>;
  /** O(number of statuses): counters kept by the store. */
  countTasks(): Promise<Readonly<Record<TaskStatus, number>>>;

  findSandbox(taskId: TaskId): Promise<Sandbox | undefined>;
  /** Of all tasks but those that were deleted. */
  listSandboxes(): Promise<readonly Sandbox[]>;
  findSession(id: SessionId): Promise<Session | undefined>;
  listSessions(taskId: TaskId): Promise<readonly Session[]>;
  findExecution(id: ExecutionId): Promise<Execution | undefined>;
  /** Newest first. */
  listExecutions(taskId: TaskId, page?: PageRequest): Promise<Page<Execution>>;
  countExecutions(taskId: TaskId): Promise<number>;
  listDecisions(taskId: TaskId): Promise<readonly Decision[]>;
  listTodos(taskId: TaskId): Promise<readonly Todo[]>;
  listNotes(taskId: TaskId): Promise<readonly Note[]>;
  /** Newest first. */
  listMessages(taskId: TaskId, page?: PageRequest): Promise<Page<Message>>;
  /** Claims of one task that have not ended, oldest first. */
  listClaims(taskId: TaskId): Promise<TaskClaims>;
  /** Open operations, oldest first; of one task or of the whole home. */
  listOpenOperations(taskId?: TaskId): Promise<readonly Operation[]>;
  findOperation(id: OperationId): Promise<Operation | undefined>;
  findIdempotency(key: string): Promise<IdempotencyEntry | undefined>;

  close(): Promise<void>;
}
