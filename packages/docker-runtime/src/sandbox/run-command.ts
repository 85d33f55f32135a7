import {
  type ByteStream,
  type EndReason,
  type ExecOutcome,
  type ExecRequest,
  type ExecutionId,
  OpencodeToolsError,
  type OutputHandler,
  largestFencingToken,
} from '@opencode-tools/core';
import { isAbsolute } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { asPortError } from '../engine/engine-error.ts';
import { LaneLostError } from '../lane/lane.ts';
import { type RunFrame, executionNumber, markFor } from '../lane/run-frame.ts';
import type { RunResult } from '../lane/run-result.ts';
import { shellClient } from '../lane/shell-process.ts';
import { needsShell } from '../shellless/needs-shell.ts';
import { leftBehind } from './explain-loss.ts';
import type { CommandLane, SandboxInside } from './sandbox-inside.ts';

/** How long a lane may take to end its own command before others are asked. */
const endLimitMs = 4_000;

/** The exit code of what was to become a command that was ended, or fenced off, before it began. */
const notBegun = 125;

type Ended = Omit<ExecOutcome, 'durationMs'>;
type Cause = Extract<EndReason, 'timeout' | 'cancelled'>;

/** Runs one command over a lane, to its end or to its time limit. */
export async function runCommand(link: SandboxInside, request: ExecRequest): Promise<ExecOutcome> {
  assertRequest(request);
  assertRunnable(link, request);
  const startedAt = performance.now();
  const run = new Run(link, request);
  try {
    const ended = await run.toTheEnd();
    return { ...ended, durationMs: Math.round(performance.now() - startedAt) };
  } catch (error) {
    if (run.outputFailure) throw run.outputFailure.error;
    throw asPortError(error, 'Running a command');
  } finally {
    run.release();
  }
}

class Run {
  readonly #link: SandboxInside;
  readonly #request: ExecRequest;
  readonly #execution: number;
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #onAbort = (): void => this.#cancel('cancelled');
  readonly #gaveUp = new AbortController();
  #cause: Cause | undefined;
  #outputFailure: { readonly error: unknown } | undefined;
  #end: (() => void) | undefined;
  #ending: Promise<void> | undefined;

  constructor(link: SandboxInside, request: ExecRequest) {
    this.#link = link;
    this.#request = request;
    this.#execution = executionNumber(request.executionId);
    if (request.timeoutMs !== undefined) this.#timer = setTimeout(() => this.#cancel('timeout'), request.timeoutMs);
    request.signal?.addEventListener('abort', this.#onAbort, { once: true });
    if (request.signal?.aborted) this.#cancel('cancelled');
  }

  async toTheEnd(): Promise<Ended> {
    return this.#ended(await this.#attempt());
  }

  /** What the handler of an output, or the source of the input, failed with; the command was ended for it. */
  get outputFailure(): { readonly error: unknown } | undefined {
    return this.#outputFailure;
  }

  release(): void {
    clearTimeout(this.#timer);
    this.#request.signal?.removeEventListener('abort', this.#onAbort);
  }

  /** Undefined when the command was given up before it began. */
  async #attempt(): Promise<RunResult | undefined> {
    const own = this.#request.stdin !== undefined;
    const { signal } = this.#gaveUp;
    try {
      return await this.#link.lanes.use(async (lane) => this.#on(lane), { own, signal });
    } catch (error) {
      if (signal.aborted && error === signal.reason) return undefined;
      throw await this.#link.explain(error);
    } finally {
      await this.#ending;
    }
  }

  async #on(lane: CommandLane): Promise<RunResult> {
    const { token, stdin, onStdout, onStderr } = this.#request;
    const mark = markFor(token, this.#execution);
    const frame = { token, mark, withStdin: stdin !== undefined, ...whatRuns(this.#request) };
    const output = { onStdout: this.#guarded(onStdout), onStderr: this.#guarded(onStderr) };
    const running = lane.run(frame, output, this.#guardedInput(stdin));
    const settled = running.then(ignore, ignore);
    this.#end = () => {
      this.#ending ??= this.#endOn(lane, settled).catch((error: unknown) => this.#giveUp(lane, error));
    };
    try {
      return await running;
    } catch (error) {
      if (error instanceof LaneLostError) return { kind: 'lost' };
      throw error;
    } finally {
      this.#end = undefined;
    }
  }

  #cancel(cause: Cause): void {
    this.#cause ??= cause;
    this.#gaveUp.abort();
    this.#end?.();
  }

  #fail(error: unknown): void {
    this.#outputFailure ??= { error };
    this.#cancel('cancelled');
  }

  /** A source that throws ends the command, which must not take what it got for the whole. */
  #guardedInput(stdin: ExecRequest['stdin']): ExecRequest['stdin'] {
    if (stdin === undefined || stdin instanceof Uint8Array) return stdin;
    return readUntilFailure(stdin, (error) => {
      this.#fail(error);
      return this.#ending ?? Promise.resolve();
    });
  }

  /** A handler that throws or rejects ends the command; it gets nothing more. */
  #guarded(handler: OutputHandler): OutputHandler {
    const fail = (error: unknown): void => this.#fail(error);
    return (chunk) => {
      if (this.#outputFailure) return undefined;
      try {
        const dealing = handler(this.#request.lendsChunks === true ? chunk : Buffer.from(chunk));
        return dealing instanceof Promise ? dealing.catch(fail) : undefined;
      } catch (error) {
        fail(error);
        return undefined;
      }
    };
  }

  /** First the lane itself is asked, then the sandbox by other means; a lane that still says nothing is given up. */
  async #endOn(lane: CommandLane, settled: Promise<void>): Promise<void> {
    lane.flow();
    if (this.#request.stdin === undefined) {
      lane.end(this.#execution);
      if (await within(endLimitMs, settled)) return;
    }
    await this.#link.cut(this.#execution);
    if (!(await within(endLimitMs, settled))) lane.close();
  }

  #giveUp(lane: CommandLane, error: unknown): void {
    this.#link.logger.warn('A command could not be ended', { sandbox: this.#link.id, error: String(error) });
    lane.close();
  }

  async #ended(result: RunResult | undefined): Promise<Ended> {
    if (this.#outputFailure) throw this.#outputFailure.error;
    if (result === undefined) return { reason: this.#cause ?? 'cancelled', exitCode: null, signal: null };
    if (result.kind === 'refused') throw staleToken(this.#request.token);
    if (result.kind === 'no-process') return this.#noProcess();
    if (result.kind === 'lost') {
      return this.#lost().catch((error: unknown) => {
        throw leftBehind(this.#request.executionId, error);
      });
    }
    // The command itself may end before the last of what it started: whoever gave it up is told when nothing is left.
    if (result.stuck || this.#cause) await this.#link.cut(this.#execution);
    if (result.note === 'no-shell') throw noShell(this.#request.shell);
    const begun = result.note === 'none' || result.note === 'shell-ended' || result.exitCode !== notBegun;
    const ended = { reason: this.#reason(result), exitCode: begun ? result.exitCode : null, signal: result.signal };
    return result.note === 'shell-ended' ? { ...ended, shellEnded: true } : ended;
  }

  #reason(result: Extract<RunResult, { kind: 'ended' }>): EndReason {
    if (result.note === 'cut') return this.#cause ?? 'cancelled';
    if (result.note !== 'none' && result.note !== 'shell-ended' && result.note !== 'no-shell') return result.note;
    return result.signal === null ? 'exited' : 'signalled';
  }

  /** Nothing ran: a sandbox at its limits has no room for the command. */
  async #noProcess(): Promise<Ended> {
    if (this.#cause) return { reason: this.#cause, exitCode: null, signal: null };
    throw await this.#link.explain(new LaneLostError('No process could be made'));
  }

  /** The stream broke: the container says why. A command that lives on without its lane is ended. */
  async #lost(): Promise<Ended> {
    const killed = { exitCode: null, signal: 'SIGKILL' } as const;
    const container = await this.#link.afterLoss();
    if (!container) return { reason: 'sandbox-gone', exitCode: null, signal: null };
    if (!container.State.Running) {
      const reason = container.State.OOMKilled ? 'out-of-memory' : 'sandbox-gone';
      return { ...killed, reason: this.#cause ?? reason };
    }
    await this.#link.cut(this.#execution);
    return { ...killed, reason: this.#cause ?? 'signalled' };
  }
}

const ignore = (): void => undefined;

/** A command for a shell is text that the shell reads; what becomes a command of the lane only stands for it. */
function whatRuns({ shell, command, cwd, env }: ExecRequest): Pick<RunFrame, 'command' | 'cwd' | 'env' | 'shell'> {
  if (shell === undefined) return { command, cwd, env };
  const number = executionNumber(shell);
  const script = command.kind === 'script' ? command.script : command.argv.map(quoted).join(' ');
  const argv = ['/bin/sh', '-c', shellClient, 'oct-shell', String(number), script];
  return { command: { kind: 'argv', argv }, cwd: '/', env: {}, shell: number };
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

function noShell(shell: ExecutionId | undefined): OpencodeToolsError {
  return new OpencodeToolsError('OCT_SHELL_ENDED', 'The shell has ended, or there is none', {
    details: { executionId: shell ?? null },
  });
}

/** Ends only after the command has: the end of its input would look like the end of all input. */
async function* readUntilFailure(
  source: ByteStream,
  onFailure: (error: unknown) => Promise<void>,
): AsyncGenerator<Uint8Array> {
  try {
    yield* source;
  } catch (error) {
    await onFailure(error);
  }
}

async function within(limitMs: number, settled: Promise<void>): Promise<boolean> {
  const limit = new AbortController();
  const late = delay(limitMs, true, { signal: limit.signal }).catch(ignore);
  const first = await Promise.race([settled, late]);
  limit.abort();
  return first !== true;
}

export function assertRequest({ token, cwd, timeoutMs }: Pick<ExecRequest, 'token' | 'cwd' | 'timeoutMs'>): void {
  const wrong = !Number.isInteger(token) || token < 0 || token > largestFencingToken ? 'token' : undefined;
  const argument =
    wrong ??
    (isAbsolute(cwd) ? undefined : 'cwd') ??
    (timeoutMs !== undefined && !(timeoutMs > 0) ? 'timeoutMs' : undefined);
  if (argument === undefined) return;
  throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', `A command cannot run with this ${argument}`, {
    details: { argument },
  });
}

/** @throws OpencodeToolsError `OCT_CAPABILITY_UNSUPPORTED` for a script, or a command of a shell, where there is no shell */
export function assertRunnable(
  { user }: Pick<SandboxInside, 'user'>,
  { command, shell }: Pick<ExecRequest, 'command' | 'shell'>,
): void {
  if (user.hasShell) return;
  if (shell !== undefined) throw needsShell('A shell');
  if (command.kind === 'script') throw needsShell('A script');
}

export function staleToken(token: number): OpencodeToolsError {
  return new OpencodeToolsError('OCT_STALE_FENCING_TOKEN', `The sandbox refuses commands under token ${token}`, {
    details: { token },
  });
}
