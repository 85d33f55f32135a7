import type { ExecutionId } from '../domain/ids.ts';
import type { ExecOutcome, ExecRequest } from './exec-request.ts';
import type { OutputStream } from './task-memory.ts';

export interface SpawnRequest extends Pick<ExecRequest, 'executionId' | 'token' | 'command' | 'cwd' | 'env'> {
  /** Kept in the sandbox itself, whoever lives or dies: 1,000 to 86,400,000, in whole seconds. */
  readonly timeoutMs: number;
  /** False gives the command an empty standard input. */
  readonly openInput: boolean;
}

export type BackgroundState =
  | { readonly kind: 'running' }
  | { readonly kind: 'ended'; readonly outcome: ExecOutcome }
  /** The sandbox knows no such command: it was never started, was forgotten, or went with a container. */
  | { readonly kind: 'none' };

/**
 * Commands of a sandbox that go on without whoever started them. What they put out is spooled in the sandbox until somebody takes
 * it away: at most about two mebibytes of each output, then the command waits. Any process may call any of these.
 */
export interface BackgroundCommands {
  /**
   * Starts a command and returns when it is under way. Marks, fences and limits hold as for `exec`.
   *
   * @throws OpencodeToolsError as `exec` does; `OCT_RESOURCE_LIMIT` when sixteen are there already; `OCT_CAPABILITY_UNSUPPORTED` when
   *   the image has no shell
   */
  spawn(request: SpawnRequest): Promise<void>;
  /**
   * Starts a shell, in which `exec` runs commands one after the other: what they do to directory, variables and functions stays. It
   * counts as a command in the background whose input is open; to end its input is to close it.
   */
  openShell(request: Pick<SpawnRequest, 'executionId' | 'token' | 'cwd' | 'env'>): Promise<void>;
  look(executionId: ExecutionId): Promise<BackgroundState>;
  /**
   * Takes some of an output from an offset on. Asking says that everything before the offset is kept elsewhere: the spool may let
   * go of it.
   *
   * @returns empty bytes when there is nothing (yet); undefined when the spool does not hold that offset any more
   */
  pull(executionId: ExecutionId, stream: OutputStream, offset: number): Promise<Uint8Array | undefined>;
  /** Sends a signal to the process group of the command. Returns false when it does not run. */
  signal(executionId: ExecutionId, signal: NodeJS.Signals): Promise<boolean>;
  /** Writes to the standard input of a command. @throws OpencodeToolsError `OCT_TIMEOUT` when it does not read in time */
  write(executionId: ExecutionId, token: number, bytes: Uint8Array): Promise<void>;
  /** Ends the standard input of a command. */
  endInput(executionId: ExecutionId): Promise<void>;
  /** Removes what the sandbox keeps of a command that has ended. */
  forget(executionId: ExecutionId): Promise<void>;
}
