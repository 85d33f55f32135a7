import type { Command, EndReason } from '../domain/execution.ts';
import type { ExecutionId } from '../domain/ids.ts';
import type { ByteStream } from './volume-port.ts';

/**
 * Takes the chunks of an output in order. A promise that it returns holds the output back until it settles, at the process that
 * writes it: nothing piles up on the way. When it throws or rejects, the command is ended.
 */
export type OutputHandler = ((chunk: Uint8Array) => void) | ((chunk: Uint8Array) => Promise<void>);

/** Above every lease's token: whoever only looks is not in anybody's way, and is not ended by a takeover. */
export const largestFencingToken = 2 ** 32 - 2;

export interface ExecRequest {
  readonly executionId: ExecutionId;
  /** Compared inside the sandbox right before the command starts; at most `largestFencingToken`. */
  readonly token: number;
  readonly command: Command;
  /** Absolute. */
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** A stream is read as the command takes it; when it throws, the command is ended and `exec` throws the same. */
  readonly stdin?: Uint8Array | ByteStream;
  /** A shell that was started with `background.openShell`; directory and variables are then the shell's own, and there is no input. */
  readonly shell?: ExecutionId;
  /** Counts from the call; ends the command and everything it started, also while it waits for its turn. */
  readonly timeoutMs?: number;
  /** While one output of a command is held back the other may be, too; other commands go on. An end is not waited for. */
  readonly onStdout: OutputHandler;
  readonly onStderr: OutputHandler;
  /** True lends chunks to the handlers: each stays as it is until they return. By default a chunk is theirs to keep. */
  readonly lendsChunks?: boolean;
  /** Ends the command as its time limit does. */
  readonly signal?: AbortSignal;
}

export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

/** A terminal that a command has, from outside. */
export interface OpenTerminal {
  /** What a person types, as bytes: the terminal makes an interrupt of byte 3, and an end of input of byte 4. */
  write(bytes: Uint8Array): void;
  /** The command is told by SIGWINCH. */
  resize(size: TerminalSize): void;
}

export interface TerminalRequest extends Pick<
  ExecRequest,
  'executionId' | 'token' | 'command' | 'cwd' | 'env' | 'signal'
> {
  readonly size: TerminalSize;
  /** Called once, when the terminal can be written to. */
  readonly onOpen: (terminal: OpenTerminal) => void;
  /** Both outputs, as a terminal shows them. */
  readonly onOutput: OutputHandler;
}

/** How a command ended. Its failure is a result. */
export interface ExecOutcome {
  readonly reason: EndReason;
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly durationMs: number;
  /** True when the shell that ran the command ended with it; exit code and signal are the shell's. */
  readonly shellEnded?: true;
}
