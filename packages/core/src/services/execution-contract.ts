import type { OutsideClaims } from '../claims/claim.ts';
import type { Command, Execution } from '../domain/execution.ts';
import type { EnvReference } from '../domain/sandbox-spec.ts';
import type { ExecutionId, TaskId } from '../domain/ids.ts';
import type { OpenTerminal, TerminalSize } from '../ports/exec-request.ts';
import type { OutputRange, OutputSlice, OutputStream } from '../ports/task-memory.ts';
import type { Page, PageRequest } from '../ports/task-store.ts';
import type { Call, UnderSession } from './call.ts';

/** A secret for one command: where its value is, or the value itself. */
export type CommandSecret = EnvReference | { readonly name: string; readonly from: 'value'; readonly value: string };

export interface RunCommand extends UnderSession {
  readonly command: Command;
  /** Absolute, or relative to the workspace; the workspace by default. */
  readonly cwd?: string;
  /** Values for this command only; names are recorded, values are not. */
  readonly env?: Readonly<Record<string, string>>;
  /**
   * Variables for this command only whose values are looked up when it starts, and kept out of outputs and records like those of
   * the task. None of them in `env`, and not with `shell`, which keeps its variables.
   */
  readonly secrets?: readonly CommandSecret[];
  readonly stdin?: Uint8Array;
  /**
   * Name of a shell of the session, begun when there is none: what commands do in it to directory, variables and functions stays.
   * It runs one command at a time, and ends with the session. There is no input, and `cwd` and `env` stay as well. 1 to 32 letters,
   * digits, dots, dashes and underscores.
   */
  readonly shell?: string;
  /** With `shell`: ends the one of that name and begins another. Needed once after a shell ended otherwise than by `exit 0`. */
  readonly newShell?: boolean;
  /** 1 to 86,400,000; default 600,000. */
  readonly timeoutMs?: number;
  /** Bytes of each output returned, head and tail; default 32,768, at most 1 MiB. The whole is in the task's memory. */
  readonly outputLimitBytes?: number;
  /** Bytes of each output kept at most; beyond, the command is ended with reason `output-limit`. Default 1 GiB, 1 to 1 TiB. */
  readonly maxOutputBytes?: number;
  /** Sees each chunk as it comes. A promise that it returns holds the command's output back until it settles. */
  readonly onOutput?:
    ((stream: OutputStream, chunk: Uint8Array) => void) | ((stream: OutputStream, chunk: Uint8Array) => Promise<void>);
  /** True lends chunks to `onOutput`: each stays as it is until that returns. By default a chunk is its own to keep. */
  readonly lendsChunks?: boolean;
  /** Told at once what holds the command up, such as a sandbox that is held near a limit; it is among the notices of the result as well. */
  readonly onNotice?: (notice: string) => void;
}

/** A command that goes on without whoever started it; made under a session, whose end is its end. */
export interface StartCommand extends Pick<RunCommand, 'sessionId' | 'command' | 'cwd' | 'env' | 'maxOutputBytes'> {
  /** As `RunCommand.secrets`, and where each value is, so that any process can keep it out of the output. */
  readonly secrets?: readonly EnvReference[];
  /** 1,000 to 86,400,000; default 86,400,000. Kept by the sandbox itself. */
  readonly timeoutMs?: number;
  /** True keeps its standard input open for `writeInput`; by default it is empty. */
  readonly openInput?: boolean;
}

/** A command for a person at a terminal. */
export interface TerminalCommand extends Pick<RunCommand, 'sessionId' | 'cwd' | 'env' | 'secrets' | 'maxOutputBytes'> {
  /** By default bash where the image has it, else `sh`. */
  readonly command?: Command;
  /** 1 to 10,000 each. */
  readonly size: TerminalSize;
  /** Called once, when there is a terminal to write to. */
  readonly onOpen: (terminal: OpenTerminal) => void;
  /** Sees each chunk as it comes, as `RunCommand.onOutput`. */
  readonly onOutput: NonNullable<RunCommand['onOutput']>;
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
  /**
   * Runs a command in the task's sandbox, which is made or started when needed. A non-zero exit is a result.
   *
   * @throws OpencodeToolsError `OCT_SHELL_ENDED` when the shell that it names has ended
   */
  run(taskId: TaskId, options: RunCommand, call: Call): Promise<ExecutionResult>;
  /**
   * Runs a command on a terminal of its own until it ends or the call is aborted, which ends it. What the terminal showed is kept as
   * its stdout. It ends with its session's lease, and nothing that it started outlives it.
   */
  runTerminal(taskId: TaskId, options: TerminalCommand, call: Call): Promise<ExecutionResult>;
  /**
   * Starts a command in the background and returns its handle at once. It goes on when this process dies; any process reads its
   * output, waits for it, writes to it, signals it. It ends with its session: by takeover, detach, stop, restore or delete.
   *
   * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` without a session; `OCT_RESOURCE_LIMIT` past sixteen in one sandbox
   */
  start(taskId: TaskId, options: StartCommand, call: Call): Promise<Execution>;
  /**
   * Secrets of the configuration, for `RunCommand.secrets`: what an agent may ask for, since it names no place of the host.
   *
   * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` for a name that is not configured
   */
  secretsNamed(names: readonly string[]): readonly EnvReference[];
  /** Shells of the task that run, oldest first. */
  listShells(taskId: TaskId): Promise<readonly Execution[]>;
  /**
   * Closes a shell of the session: its traps run, and it is ended when it does not end within two seconds.
   *
   * @returns how it ended
   * @throws OpencodeToolsError `OCT_SHELL_ENDED` when there is none of that name
   */
  closeShell(taskId: TaskId, name: string, options: UnderSession, call: Call): Promise<Execution>;
  /** The execution as it is now: one in the background is asked for in its sandbox, and its end recorded. */
  poll(id: ExecutionId, call: Call): Promise<Execution>;
  /** Polls until the command has ended or the time is over. @param timeoutMs 0 to 86,400,000 */
  wait(id: ExecutionId, options: { readonly timeoutMs: number }, call: Call): Promise<Execution>;
  /** Sends a signal to the process group of a running command. @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` when it has ended */
  signal(id: ExecutionId, signal: NodeJS.Signals, options: UnderSession, call: Call): Promise<void>;
  /** Writes to the standard input of a command in the background, or ends it, or both. */
  writeInput(
    id: ExecutionId,
    input: { readonly bytes?: Uint8Array; readonly end?: boolean } & UnderSession,
    call: Call,
  ): Promise<void>;
  /** As recorded; see `poll`. */
  get(id: ExecutionId): Promise<Execution>;
  /** Newest first. One that runs as recorded, but whose process is dead, is given as interrupted. */
  list(taskId: TaskId, page?: PageRequest): Promise<Page<Execution>>;
  /** What there is of an output, also while the command runs. */
  readOutput(id: ExecutionId, stream: OutputStream, range?: OutputRange): Promise<OutputSlice>;
}
