import type { Checkpoint, SnapshotStore } from '../domain/checkpoint.ts';
import type { Execution } from '../domain/execution.ts';
import type { CheckpointId, TaskId } from '../domain/ids.ts';
import type { EnvReference, NetworkSpec, ResourceLimits } from '../domain/sandbox-spec.ts';
import type { Sandbox } from '../domain/sandbox.ts';
import type { Lease, Session } from '../domain/session.ts';
import type { ConflictStrategy, LeaseMode, Receipt, Task, TaskStatus } from '../domain/task.ts';
import type { DirtyPolicy } from '../domain/workspace-spec.ts';
import type { ChainHead } from '../ledger/chain.ts';
import type { SandboxFacts } from '../ports/sandbox-runtime.ts';
import type { Page, PageRequest, TaskFilter, TaskOrder } from '../ports/task-store.ts';
import type { Call, UnderSession } from './call.ts';

export interface CreateTask {
  /** 1 to 200 characters, one line. */
  readonly title: string;
  readonly description?: string;
  /** Image reference; the configured default image when absent. */
  readonly image?: string;
  /**
   * `empty` (default), a directory, or a git repository for a volume workspace; `bind` mounts a directory of the host.
   * Paths are absolute.
   */
  readonly workspace?:
    | { readonly kind: 'empty' }
    | { readonly kind: 'directory'; readonly path: string }
    | { readonly kind: 'git'; readonly path: string; readonly ref?: string; readonly dirty?: DirtyPolicy }
    | { readonly kind: 'bind'; readonly path: string };
  readonly limits?: Partial<ResourceLimits>;
  readonly network?: NetworkSpec;
  readonly env?: readonly EnvReference[];
  readonly readOnlyRoot?: boolean;
  /** Caches of the configuration, by name, that its sandboxes share with other tasks. What is in them is in no checkpoint. */
  readonly caches?: readonly string[];
  readonly runtime?: string;
  readonly leaseMode?: LeaseMode;
  readonly maxAgents?: number;
  readonly conflictStrategy?: ConflictStrategy;
  readonly labels?: Readonly<Record<string, string>>;
  readonly owner?: string;
  readonly project?: string;
  readonly parentId?: TaskId;
  readonly dependsOn?: readonly TaskId[];
  /** Name and model of the agent that the task is for; hooks name branches by them. */
  readonly agent?: string;
  readonly model?: string;
  /**
   * True when a command is to follow at once: what the first one takes is begun beside the creation. What is not done when the process
   * closes is given up. A process that stays begins it afterwards in any case.
   */
  readonly ready?: boolean;
}

/** Where checkpoints of a workspace go: into layers, which cost what changed, or into the content store, and then why. */
export interface WorkspaceKeeping {
  readonly store: SnapshotStore;
  readonly reason: string | null;
}

/** One task with everything that is true of it now. */
export interface TaskView {
  readonly task: Task;
  readonly sandbox: Sandbox | null;
  /** What the engine says, and how the sandbox was made; null when there is no container or no engine answers. */
  readonly live: SandboxFacts | null;
  /** Null before the first sandbox, and for one that an interrupted call made. */
  readonly workspaceKeeping: WorkspaceKeeping | null;
  readonly sessions: readonly Session[];
  readonly leases: readonly Lease[];
  readonly runningExecutions: readonly Execution[];
  readonly executions: number;
  readonly checkpoints: number;
  readonly openTodos: number;
  readonly ledger: ChainHead;
}

export interface TaskStats {
  readonly tasks: Readonly<Record<TaskStatus, number>>;
  readonly task: {
    readonly executions: number;
    readonly failedExecutions: number;
    readonly commandMs: number;
    readonly checkpoints: number;
    readonly checkpointBytes: number;
    readonly decisions: number;
    readonly records: number;
    readonly sessions: number;
    readonly memoryBytes: number | null;
    readonly processes: number | null;
  } | null;
}

export interface ForkTask extends UnderSession {
  /** Id, short id or name of a checkpoint; the newest by default. */
  readonly checkpoint?: string;
  /** Title of the new task; the first one's with "(fork)" by default. */
  readonly title?: string;
}

export interface RecoverTask {
  /** Id, short id, tag or name of the checkpoint to come back from; the newest one that is sound by default. */
  readonly checkpoint?: string;
  /** Title of the new task; the deleted one's by default, a living one's with "(recovered)". */
  readonly title?: string;
}

/** A task whose work was brought back. */
export interface RecoveredTask {
  readonly task: Task;
  /** The checkpoint of the first task that it comes back from. */
  readonly checkpoint: Checkpoint;
  /** Newer ones that are damaged, with what is wrong; newest first. */
  readonly passedOver: readonly { readonly checkpointId: CheckpointId; readonly damage: readonly string[] }[];
  /** True when the image of the root file system is gone: what was installed into it is not there. */
  readonly rootLost: boolean;
  /** What was copied from the first task. */
  readonly decisions: number;
  readonly todos: number;
  readonly notes: number;
}

/** A deleted task whose work is kept. */
export interface RecoverableTask {
  readonly receipt: Receipt;
  /** Newest first. */
  readonly checkpoints: readonly Checkpoint[];
  /** Tasks that were made from it since it was deleted. */
  readonly recoveredAs: readonly TaskId[];
}

/** What deleting would do, or did. */
export interface Deletion {
  readonly dryRun: boolean;
  readonly receipt: Receipt;
  /** What of the task is not in the checkpoint that was just taken, each in one sentence; absent for nothing. */
  readonly notices?: readonly string[];
}

/** Only the members that are given are changed; null empties. */
export interface UpdateTask extends UnderSession {
  readonly title?: string;
  readonly description?: string;
  /** Replaces all labels. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Sets these labels and leaves the others, after `labels` and `removeLabels`. */
  readonly setLabels?: Readonly<Record<string, string>>;
  /** Names of labels to take away. */
  readonly removeLabels?: readonly string[];
  readonly owner?: string | null;
  readonly project?: string | null;
  readonly parentId?: TaskId | null;
  /** Replaces the list. Says what the task waits for; nothing is kept from starting by it. */
  readonly dependsOn?: readonly TaskId[];
  /** The version that the caller saw; every move of the task raises it, too. */
  readonly expectedVersion?: number;
}

export interface TaskService {
  /** Records a task and freezes its source; no container is made before its first use. */
  create(input: CreateTask, call: Call): Promise<Task>;
  /**
   * Full id, short id or unique title; for a call that is repeated with its key also a title that the task had at the first.
   *
   * @throws OpencodeToolsError `OCT_TASK_NOT_FOUND`
   */
  resolve(reference: string, call?: Pick<Call, 'idempotencyKey'>): Promise<TaskId>;
  get(id: TaskId): Promise<Task>;
  view(id: TaskId): Promise<TaskView>;
  list(filter: TaskFilter, page?: PageRequest & { readonly order?: TaskOrder }): Promise<Page<Task>>;
  /** Ends executions, stops the sandbox, suspends the task. Idempotent. */
  stop(id: TaskId, options: UnderSession & { readonly graceMs?: number }, call: Call): Promise<Task>;
  complete(id: TaskId, options: UnderSession & { readonly summary?: string }, call: Call): Promise<Task>;
  cancel(id: TaskId, options: UnderSession & { readonly reason?: string }, call: Call): Promise<Task>;
  /**
   * Changes what a task says about itself; without a session also while others work in it.
   *
   * @throws OpencodeToolsError `OCT_VERSION_CONFLICT`; `OCT_INVALID_ARGUMENT` for a parent or dependency that closes a cycle
   */
  update(id: TaskId, input: UpdateTask, call: Call): Promise<Task>;
  /** Makes a second task from a checkpoint of the first, which is not touched. */
  fork(id: TaskId, options: ForkTask, call: Call): Promise<Task>;
  /**
   * Brings the work of a deleted task back as a new one that knows where it comes from: workspace, home directory and root file
   * system as its newest sound checkpoint has them, with its decisions, todos and notes. Nothing of the first is changed, so a
   * living task whose sandbox or newest checkpoint is damaged can be recovered, too. Reads every byte of the checkpoints it looks at.
   *
   * @throws OpencodeToolsError `OCT_TASK_NOT_FOUND`; `OCT_CHECKPOINT_NOT_FOUND` when none was kept; `OCT_CHECKPOINT_CORRUPT` when
   *   all are damaged, or the named one is
   */
  recover(id: TaskId, options: RecoverTask, call: Call): Promise<RecoveredTask>;
  /** Deleted tasks of this home that `recover` can bring back, the last deleted first. */
  recoverable(): Promise<readonly RecoverableTask[]>;
  /** Takes a final checkpoint, removes the sandbox and its volumes, leaves a tombstone. Idempotent: gives the receipt again. */
  delete(
    id: TaskId,
    options: UnderSession & { readonly dryRun?: boolean; readonly force?: boolean },
    call: Call,
  ): Promise<Deletion>;
  stats(id?: TaskId): Promise<TaskStats>;
}
