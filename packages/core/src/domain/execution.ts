import type { ExecutionId, OperationId, SessionId, TaskId } from './ids.ts';
import type { Tripwire } from '../policy/tripwires.ts';
import type { Timestamp } from './task.ts';

/** `script` is run by the sandbox's `sh -c`; `argv` without any shell. */
export type Command =
  { readonly kind: 'argv'; readonly argv: readonly string[] } | { readonly kind: 'script'; readonly script: string };

export const executionStates = ['running', 'exited', 'interrupted', 'failed'] as const;
export type ExecutionState = (typeof executionStates)[number];

/** Why an execution ended. `output-limit`: it put out more than is kept of one output; what was kept stays. */
export const endReasons = [
  'exited',
  'signalled',
  'timeout',
  'cancelled',
  'fenced',
  'out-of-memory',
  'output-limit',
  'sandbox-gone',
  'owner-died',
] as const;
export type EndReason = (typeof endReasons)[number];

/** Size and digest of one whole output, kept in the task's memory. */
export interface OutputSummary {
  readonly bytes: number;
  /** SHA-256 in lower-case hexadecimal. */
  readonly digest: string;
}

/** What a command changed in a directory of the host that would run there, or steer who works there next. */
export interface ToldTripwires {
  /** False when the workspace could not be compared; `reason` says why. */
  readonly checked: boolean;
  readonly reason: string | null;
  /** At most 50, those near the top first. */
  readonly found: readonly Tripwire[];
  readonly total: number;
}

/** The record of one command. A command's failure is a result: `exitCode` or `signal`, never an error of ours. */
export interface Execution {
  readonly id: ExecutionId;
  readonly taskId: TaskId;
  readonly sessionId: SessionId;
  readonly operationId: OperationId;
  readonly command: Command;
  /** Absolute path inside the sandbox. */
  readonly cwd: string;
  /** Names only; values are never recorded. */
  readonly envNames: readonly string[];
  readonly agent: string;
  /** True for a command that goes on without whoever started it; absent for the others. */
  readonly background?: true;
  /** Name of the shell that it ran in, or, of one in the background, that it is; absent for the others. */
  readonly shell?: string;
  readonly state: ExecutionState;
  readonly reason: EndReason | null;
  /** 0 to 255; null unless the command exited. */
  readonly exitCode: number | null;
  /** Such as `SIGKILL`; null unless it was ended by a signal. */
  readonly signal: string | null;
  readonly stdout: OutputSummary | null;
  readonly stderr: OutputSummary | null;
  readonly startedAt: Timestamp;
  readonly endedAt: Timestamp | null;
  readonly durationMs: number | null;
  /** What changed in a bind workspace while it ran; absent for nothing, for a volume, and until it has ended. */
  readonly tripwires?: ToldTripwires;
}
