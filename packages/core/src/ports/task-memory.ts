import type { OutputSummary } from '../domain/execution.ts';
import type { CheckpointId, ExecutionId, TaskId } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import type { StoredRecord } from '../ledger/ledger-record.ts';

export const outputStreams = ['stdout', 'stderr'] as const;
export type OutputStream = (typeof outputStreams)[number];

/** Takes one whole output as it comes. */
export interface OutputSink {
  /** Keeps no hold of the chunk. */
  write(chunk: Uint8Array): void;
  /** Waits until what was written is with the operating system. */
  drained(): Promise<void>;
  close(): Promise<OutputSummary>;
}

export interface OutputRange {
  /** Bytes from the start; negative counts from the end. Default 0. */
  readonly offset?: number;
  /** Default 65,536, at most 16 MiB. */
  readonly limit?: number;
}

export interface OutputSlice {
  readonly bytes: Uint8Array;
  readonly offset: number;
  readonly totalBytes: number;
}

export interface MemoryHealth {
  readonly taskId: TaskId;
  /** Files that were rebuilt, with what was wrong and where the bad one is kept. */
  readonly healed: readonly { readonly file: string; readonly fault: string; readonly keptAs: string | null }[];
}

/**
 * The files of each task, under `<home>/tasks/<taskId>/`: projections of the ledger that a person can read, and the
 * whole outputs of executions.
 */
export interface TaskMemory {
  /** The directory, relative to the home: `tasks/<taskId>`. */
  directory(taskId: TaskId): string;
  /** Tasks that have files here, whether the registry knows them or not. */
  list(): Promise<readonly TaskId[]>;
  /** Checkpoints of all tasks that have a manifest here, whether the registry knows them or not. */
  listCheckpoints(): Promise<readonly CheckpointId[]>;
  /**
   * Opens both outputs of an execution for writing; what an earlier attempt left is replaced. An output to which nothing
   * is written leaves no file.
   */
  openOutput(taskId: TaskId, executionId: ExecutionId): Promise<Readonly<Record<OutputStream, OutputSink>>>;
  /** @throws OpencodeToolsError `OCT_EXECUTION_NOT_FOUND` when nothing of this output is kept */
  readOutput(taskId: TaskId, executionId: ExecutionId, stream: OutputStream, range?: OutputRange): Promise<OutputSlice>;
  /** How many bytes of an output are kept; 0 when there is no file. */
  outputBytes(taskId: TaskId, executionId: ExecutionId, stream: OutputStream): Promise<number>;
  /**
   * Writes a part of an output at its place. Several processes may write the same bytes to the same place; none leaves a hole:
   * the offset is at most what is kept.
   */
  writeOutput(
    taskId: TaskId,
    executionId: ExecutionId,
    stream: OutputStream,
    part: { readonly offset: number; readonly bytes: Uint8Array },
  ): Promise<void>;
  /** Size and digest of an output as it lies on disk; for executions whose owner died. */
  summariseOutput(taskId: TaskId, executionId: ExecutionId, stream: OutputStream): Promise<OutputSummary>;
  /** Says that a task has records to project; the work is done soon and in order, by one process at a time. */
  touch(taskId: TaskId): void;
  /** Projects what is due now, of one task or of all that lag. */
  project(taskId?: TaskId): Promise<void>;
  /** The newest records of a task's log file, newest last, at the same cost however long it is. */
  readLogTail(taskId: TaskId, limit: number): Promise<readonly StoredRecord[]>;
  /** Reads and checks `state.json`. */
  readState(taskId: TaskId): Promise<JsonObject>;
  /** Checks every file of a task, keeps bad ones aside and rebuilds them. */
  heal(taskId: TaskId): Promise<MemoryHealth>;
  close(): Promise<void>;
}
