import type { Claim, ClaimGrant, ClaimRequest, OutsideClaims } from '../claims/claim.ts';
import type { Checkpoint } from '../domain/checkpoint.ts';
import type { Command, Execution } from '../domain/execution.ts';
import type {
  CheckpointId,
  ClaimId,
  ExecutionId,
  HomeId,
  NoteId,
  OperationId,
  SessionId,
  TaskId,
  TodoId,
} from '../domain/ids.ts';
import type { Decision, Note, Todo, TodoState } from '../domain/journal.ts';
import type { Sandbox } from '../domain/sandbox.ts';
import type { EnvReference, NetworkSpec, ResourceLimits } from '../domain/sandbox-spec.ts';
import type { Lease, Session } from '../domain/session.ts';
import type { ConflictStrategy, LeaseMode, Receipt, Task, TaskStatus } from '../domain/task.ts';
import type { DirtyPolicy } from '../domain/workspace-spec.ts';
import type { EventBus } from '../events/event-bus.ts';
import type { ErrorJson } from '../errors/opencode-tools-error.ts';
import type { ChainHead } from '../ledger/chain.ts';
import type { Actor, StoredRecord, StreamId } from '../ledger/ledger-record.ts';
import type { ChainReport } from '../ledger/verify-chain.ts';
import type { EndpointAnswer } from '../ports/engine-probe.ts';
import type { ImageStore } from '../ports/image-store.ts';
import type { ReadRecords } from '../ports/ledger.ts';
import type { RuntimeCapabilities, SandboxFacts } from '../ports/sandbox-runtime.ts';
import type { StoreAdmin, StoreStatus } from '../ports/store-admin.ts';
import type { OutputRange, OutputSlice, OutputStream } from '../ports/task-memory.ts';
import type { Page, PageRequest, TaskFilter, TaskOrder } from '../ports/task-store.ts';

/** Who calls, and how the call is tied to others. The last parameter of every mutating verb. */
export interface Call {
  readonly actor: Actor;
  /** Same key, verb and arguments: the first call's result again. Kept 24 h. 1 to 200 characters. */
  readonly idempotencyKey?: string;
  readonly correlationId?: string;
  readonly signal?: AbortSignal;
  /** Told in a few words what long work is doing. */
  readonly onProgress?: (message: string) => void;
}

/**
 * A verb that changes a task is made under a lease: the caller's session, or without one a session of the verb's own that
 * ends with it.
 */
export interface UnderSession {
  readonly sessionId?: SessionId;
}

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
}

/** One task with everything that is true of it now. */
export interface TaskView {
  readonly task: Task;
  readonly sandbox: Sandbox | null;
  /** What the engine says, and how the sandbox was made; null when there is no container or no engine answers. */
  readonly live: SandboxFacts | null;
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

/** What deleting would do, or did. */
export interface Deletion {
  readonly dryRun: boolean;
  readonly receipt: Receipt;
}

/** Only the members that are given are changed; null empties. */
export interface UpdateTask extends UnderSession {
  readonly title?: string;
  readonly description?: string;
  /** Replaces all labels. */
  readonly labels?: Readonly<Record<string, string>>;
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
  /** Full id, short id or unique title. @throws OpencodeToolsError `OCT_TASK_NOT_FOUND` */
  resolve(reference: string): Promise<TaskId>;
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
  /** Takes a final checkpoint, removes the sandbox and its volumes, leaves a tombstone. Idempotent: gives the receipt again. */
  delete(
    id: TaskId,
    options: UnderSession & { readonly dryRun?: boolean; readonly force?: boolean },
    call: Call,
  ): Promise<Deletion>;
  stats(id?: TaskId): Promise<TaskStats>;
}

export interface AttachOptions {
  /** 1 to 100 characters. */
  readonly agent: string;
  readonly model?: string;
  /** True ends the sessions that hold the task now, and whatever runs under them. */
  readonly takeover?: boolean;
  /** 1,000 to 86,400,000; default 900,000. */
  readonly ttlMs?: number;
  /** How long to wait for the holder to leave; default 0. */
  readonly waitMs?: number;
  /** What the agent is going to read and write; refused or granted before anything else is done. */
  readonly claims?: ClaimRequest;
}

/** What an operation that its process did not finish turned out to be. */
export interface RecoveredOperation {
  readonly operationId: OperationId;
  readonly kind: string;
  readonly resolution: 'completed' | 'failed' | 'interrupted';
  /** What was found and done, in one line. */
  readonly summary: string;
}

/** A session, and what its agent should know first. */
export interface Attachment {
  readonly session: Session;
  readonly lease: Lease;
  readonly task: Task;
  /** Sessions ended by this one. */
  readonly displaced: readonly Session[];
  /** Operations that earlier processes left open, as resolved now. */
  readonly recovered: readonly RecoveredOperation[];
  /** Processes that ran under older tokens and were ended by the takeover barrier. */
  readonly endedProcesses: number;
  /** What was claimed on attaching, with what it overlaps. */
  readonly claim?: ClaimGrant;
}

export interface SessionService {
  /**
   * Attaches an agent to a task and makes it `running`. When this returns, nothing runs any more under an older token.
   *
   * @throws OpencodeToolsError `OCT_LEASE_HELD`, `OCT_TASK_NOT_FOUND`
   */
  attach(taskId: TaskId, options: AttachOptions, call: Call): Promise<Attachment>;
  /** Ends a session. The last one to go suspends the task. Idempotent. */
  detach(sessionId: SessionId, options: { readonly reason?: string }, call: Call): Promise<Task>;
  /** @throws OpencodeToolsError `OCT_LEASE_LOST` */
  renew(sessionId: SessionId): Promise<Lease>;
  get(sessionId: SessionId): Promise<Session>;
  list(taskId: TaskId): Promise<readonly Session[]>;
  /**
   * Says what a session is going to read and write, beside what it claimed before. An overlap with what other sessions claim is
   * answered by the task's conflict strategy, and recorded either way.
   *
   * @throws OpencodeToolsError `OCT_CLAIM_OVERLAP` under the strategy `reject`; `OCT_LEASE_LOST`; `OCT_INVALID_ARGUMENT`,
   *   `OCT_PATH_OUTSIDE_WORKSPACE` for a glob that is none of the claim language
   */
  claim(sessionId: SessionId, request: ClaimRequest, call: Call): Promise<ClaimGrant>;
  /** Gives up one claim of a session, or all. Idempotent. @returns those that ended now */
  releaseClaims(sessionId: SessionId, options: { readonly claimId?: ClaimId }, call: Call): Promise<readonly Claim[]>;
  /** Claims on a task that have not ended; one whose lease has expired makes way for whoever needs its place. */
  claims(taskId: TaskId): Promise<readonly Claim[]>;
}

export interface RunCommand extends UnderSession {
  readonly command: Command;
  /** Absolute, or relative to the workspace; the workspace by default. */
  readonly cwd?: string;
  /** Values for this command only; names are recorded, values are not. */
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: Uint8Array;
  /** 1 to 86,400,000; default 600,000. */
  readonly timeoutMs?: number;
  /** Bytes of each output returned, head and tail; default 32,768, at most 1 MiB. The whole is in the task's memory. */
  readonly outputLimitBytes?: number;
  /** Bytes of each output kept at most; beyond, the command is ended with reason `output-limit`. Default 1 GiB, 1 to 1 TiB. */
  readonly maxOutputBytes?: number;
  /** Sees each chunk as it comes. A promise that it returns holds the command's output back until it settles. */
  readonly onOutput?:
    ((stream: OutputStream, chunk: Uint8Array) => void) | ((stream: OutputStream, chunk: Uint8Array) => Promise<void>);
}

/** What is shown of one output. */
export interface OutputPreview {
  /** UTF-8; invalid bytes become U+FFFD. When cut: head, one line that says what is left out, tail. */
  readonly text: string;
  readonly totalBytes: number;
  readonly truncated: boolean;
}

export interface ExecutionResult {
  readonly execution: Execution;
  readonly stdout: OutputPreview;
  readonly stderr: OutputPreview;
  /** True for the result of an earlier call with the same idempotency key: nothing ran now. */
  readonly replayed?: true;
  /** What happened to the sandbox before the command that its caller should know, such as lost volumes; absent when nothing did. */
  readonly notices?: readonly string[];
  /** What the command changed outside the session's claims; absent when nobody claims anything on the task. */
  readonly outsideClaims?: OutsideClaims;
}

export interface ExecutionService {
  /** Runs a command in the task's sandbox, which is made or started when needed. A non-zero exit is a result. */
  run(taskId: TaskId, options: RunCommand, call: Call): Promise<ExecutionResult>;
  get(id: ExecutionId): Promise<Execution>;
  list(taskId: TaskId, page?: PageRequest): Promise<Page<Execution>>;
  readOutput(id: ExecutionId, stream: OutputStream, range?: OutputRange): Promise<OutputSlice>;
}

export interface CreateCheckpoint extends UnderSession {
  readonly name?: string;
  readonly reason?: string;
}

export interface Restoration {
  /** The checkpoint that the task is at now. */
  readonly checkpoint: Checkpoint;
  /** The state before, saved first; null when there was nothing that is not in a checkpoint. */
  readonly saved: Checkpoint | null;
  /** Executions that the restore ended. */
  readonly endedProcesses: number;
}

export interface CheckpointService {
  create(taskId: TaskId, options: CreateCheckpoint, call: Call): Promise<Checkpoint>;
  /** Saves the present, then brings workspace, home directory and root file system back. Ends executions. */
  restore(taskId: TaskId, reference: string, options: UnderSession, call: Call): Promise<Restoration>;
  list(taskId: TaskId): Promise<readonly Checkpoint[]>;
  get(taskId: TaskId, reference: string): Promise<Checkpoint>;
  /** Reads every byte. @throws OpencodeToolsError `OCT_CHECKPOINT_CORRUPT` */
  verify(id: CheckpointId): Promise<Checkpoint>;
}

export interface NewDecision extends UnderSession {
  readonly what: string;
  readonly why?: string;
  readonly alternatives?: readonly string[];
  readonly executionIds?: readonly ExecutionId[];
  readonly checkpointIds?: readonly CheckpointId[];
}

/** Decisions, todos and notes: what the next agent needs to know. */
export interface JournalService {
  decide(taskId: TaskId, decision: NewDecision, call: Call): Promise<Decision>;
  decisions(taskId: TaskId): Promise<readonly Decision[]>;
  addTodo(
    taskId: TaskId,
    todo: UnderSession & { readonly text: string; readonly major?: boolean },
    call: Call,
  ): Promise<Todo>;
  /**
   * Changes the named fields. Has the todo gone on since `expectedVersion`, the task's conflict strategy decides, and the conflict
   * is recorded.
   *
   * @throws OpencodeToolsError `OCT_VERSION_CONFLICT`
   */
  setTodo(
    taskId: TaskId,
    todoId: TodoId,
    change: UnderSession & {
      readonly state?: TodoState;
      readonly text?: string;
      readonly major?: boolean;
      readonly expectedVersion?: number;
    },
    call: Call,
  ): Promise<Todo>;
  todos(taskId: TaskId): Promise<readonly Todo[]>;
  addNote(taskId: TaskId, note: UnderSession & { readonly text: string }, call: Call): Promise<Note>;
  /** Replaces a note's text; as `setTodo` when it has gone on since `expectedVersion`. */
  setNote(
    taskId: TaskId,
    noteId: NoteId,
    change: UnderSession & { readonly text: string; readonly expectedVersion?: number },
    call: Call,
  ): Promise<Note>;
  notes(taskId: TaskId): Promise<readonly Note[]>;
}

export interface VerifyReport {
  readonly ok: boolean;
  readonly chains: readonly ChainReport[];
  readonly records: number;
  /** What a clean report does and does not prove. */
  readonly limit: string;
}

export interface LedgerService {
  /** Records of a task, also of a deleted one; newest first unless asked otherwise. */
  history(taskId: TaskId, options?: ReadRecords): Promise<readonly StoredRecord[]>;
  /** One task's chain, or all chains of the home. Reports the first broken record of each; never throws for one. */
  verify(taskId?: TaskId): Promise<VerifyReport>;
  head(stream: StreamId): Promise<ChainHead>;
}

export interface DoctorFinding {
  readonly severity: 'ok' | 'warning' | 'problem';
  readonly subject: string;
  readonly message: string;
  readonly remedy: string | null;
}

export interface DoctorReport {
  readonly healthy: boolean;
  readonly findings: readonly DoctorFinding[];
  readonly store: StoreStatus | null;
  readonly engine: {
    readonly answers: readonly EndpointAnswer[];
    readonly capabilities: RuntimeCapabilities | null;
    readonly error: ErrorJson | null;
  };
  readonly recovered: readonly RecoveredOperation[];
  /** Sandboxes of this home that no row knows; reported, never removed here. */
  readonly orphans: readonly SandboxFacts[];
}

export interface DoctorService {
  /** Checks home, store, ledger, engine and images; resolves operations whose process died; heals task memory. */
  run(call: Call): Promise<DoctorReport>;
}

/** Everything a front end gets. */
export interface Services {
  readonly tasks: TaskService;
  readonly sessions: SessionService;
  readonly executions: ExecutionService;
  readonly checkpoints: CheckpointService;
  readonly journal: JournalService;
  readonly ledger: LedgerService;
  readonly doctor: DoctorService;
}

/** An opened home, as the apps hand it to a front end. */
export interface OpenHome {
  readonly homeId: HomeId;
  /** Absolute path of the home directory. */
  readonly directory: string;
  readonly services: Services;
  readonly images: ImageStore;
  readonly store: StoreAdmin;
  /** Tells what this process commits; what others commit comes with it, or by following the ledger. */
  readonly events: EventBus;
  /** Finishes projections and lets everything go. Never ends a sandbox. */
  close(): Promise<void>;
}
