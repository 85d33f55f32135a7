import type { OutsideClaims } from '../claims/claim.ts';
import type { Command, Execution } from '../domain/execution.ts';
import type { ExecutionId, TaskId } from '../domain/ids.ts';
import type { OutputRange, OutputSlice, OutputStream } from '../ports/task-memory.ts';
import type { Page, PageRequest } from '../ports/task-store.ts';
import type { Call, UnderSession } from './call.ts';

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
