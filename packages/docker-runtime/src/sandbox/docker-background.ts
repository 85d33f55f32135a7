import { constants } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import {
  type BackgroundCommands,
  type BackgroundState,
  type EndReason,
  type ExecOutcome,
  type ExecutionId,
  OpencodeToolsError,
  type OutputStream,
  type SpawnRequest,
  createIds,
  systemClock,
} from '@opencode-tools/core';
import { asPortError } from '../engine/engine-error.ts';
import { LaneLostError } from '../lane/lane.ts';
import { executionNumber, markFor } from '../lane/run-frame.ts';
import { feedCommand } from '../lane/supervisor-command.ts';
import { shellProcess } from '../lane/shell-process.ts';
import { type RunResult, parseRunResult } from '../lane/run-result.ts';
import { needsShell } from '../shellless/needs-shell.ts';
import { assertRequest, assertRunnable, runCommand, staleToken } from './run-command.ts';
import type { SandboxLink } from './sandbox-link.ts';

const writeLimitMs = 10_000;
const mostTries = 100;
const retryMs = 20;
const streamNumbers = { stdout: 1, stderr: 2 } as const;
type Verb = 'look' | 'pull' | 'signal' | 'eof' | 'forget';

/** Commands in the background of one container, each with a supervisor of its own there. */
export class DockerBackground implements BackgroundCommands {
  readonly #link: SandboxLink;

  constructor(link: SandboxLink) {
    this.#link = link;
  }

  async spawn(request: SpawnRequest & { readonly shell?: true }): Promise<void> {
    assertRequest(request);
    assertRunnable(this.#link, { command: request.command });
    await this.#doing('Starting a command in the background', async () => {
      assertStarted(await this.#handOver(request), request.token);
    });
  }

  async openShell({ executionId, token, cwd, env }: Parameters<BackgroundCommands['openShell']>[0]): Promise<void> {
    if (!this.#link.user.hasShell) throw needsShell('A shell');
    await this.spawn({
      executionId,
      token,
      cwd,
      command: { kind: 'argv', argv: shellProcess.argv },
      env: { ...env, ...shellProcess.env },
      timeoutMs: 1_000,
      openInput: false,
      shell: true,
    });
  }

  async look(executionId: ExecutionId): Promise<BackgroundState> {
    const answer = await this.#ask('look', [executionNumber(executionId)]);
    if (answer === 'running' || answer === 'none') return { kind: answer };
    return { kind: 'ended', outcome: outcomeOf(answer) };
  }

  async pull(executionId: ExecutionId, stream: OutputStream, offset: number): Promise<Uint8Array | undefined> {
    const chunks: Buffer[] = [];
    const words = [executionNumber(executionId), streamNumbers[stream], offset];
    const answer = await this.#ask('pull', words, (chunk) => void chunks.push(chunk));
    return answer === 'none' ? undefined : Buffer.concat(chunks);
  }

  async signal(executionId: ExecutionId, signal: NodeJS.Signals): Promise<boolean> {
    const number = constants.signals[signal];
    if (number === undefined) {
      throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', `Not a signal: ${signal as string}`, {
        remedy: 'Give a name such as SIGINT, SIGTERM or SIGHUP.',
        details: { argument: 'signal' },
      });
    }
    // A command that was just started may not have a process yet.
    for (let tries = 0; ; tries += 1) {
      if ((await this.#ask('signal', [executionNumber(executionId), number])) !== 'ok 0') return true;
      if (tries >= mostTries || (await this.look(executionId)).kind !== 'running') return false;
      await delay(retryMs);
    }
  }

  async write(executionId: ExecutionId, token: number, bytes: Uint8Array): Promise<void> {
    const outcome = await runCommand(this.#link, {
      executionId: createIds(systemClock).next('execution'),
      token,
      command: { kind: 'argv', argv: feedCommand(executionNumber(executionId)) },
      cwd: '/',
      env: {},
      stdin: bytes,
      timeoutMs: writeLimitMs,
      onStdout: () => undefined,
      onStderr: () => undefined,
    });
    if (outcome.exitCode !== 0) throw notRead(executionId, outcome);
  }

  async endInput(executionId: ExecutionId): Promise<void> {
    await this.#ask('eof', [executionNumber(executionId)]);
  }

  async forget(executionId: ExecutionId): Promise<void> {
    await this.#ask('forget', [executionNumber(executionId)]);
  }

  async #handOver(request: SpawnRequest & { readonly shell?: true }): Promise<string> {
    const { executionId, token, command, cwd, env, openInput, timeoutMs, shell } = request;
    const limitSeconds = Math.max(1, Math.round(timeoutMs / 1_000));
    const mark = markFor(token, executionNumber(executionId));
    const kind = shell === true ? ({ shell: 'host' } as const) : {};
    const frame = { token, mark, command, cwd, env, withStdin: openInput, ...kind };
    const answer = await this.#link.lanes.use(
      async (lane) => ((await lane.keepsNext(limitSeconds)) ? lane.handOver(frame) : undefined),
      { own: true, urgent: true },
    );
    return answer ?? (await this.#link.openSpool(limitSeconds)).handOver(frame);
  }

  async #ask(verb: Verb, words: readonly number[], onData?: (chunk: Buffer) => void): Promise<string> {
    return this.#doing('Asking about a command in the background', async () =>
      this.#link.lanes.use(async (lane) => lane.spool(verb, words, onData), { urgent: true }),
    );
  }

  async #doing<T>(doing: string, act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (error) {
      throw asPortError(error instanceof LaneLostError ? await this.#link.explain(error) : error, doing);
    }
  }
}

function assertStarted(answer: string, token: number): void {
  if (answer === 'ok') return;
  if (answer === 'refused') throw staleToken(token);
  if (answer === 'full') {
    throw new OpencodeToolsError(
      'OCT_RESOURCE_LIMIT',
      'Sixteen commands are in the background of the sandbox already',
      {
        remedy: 'Wait for some of them, or end them.',
        details: { limit: 'background commands', value: 16 },
      },
    );
  }
  throw new Error(`The supervisor did not start the command: ${answer}`);
}

const ended = /^ended (.+) (\d+\.\d+) (\d+\.\d+)$/;

function outcomeOf(answer: string): ExecOutcome {
  const [, result, from, to] = ended.exec(answer) ?? [];
  const lost = { reason: 'signalled', exitCode: null, signal: 'SIGKILL', durationMs: 0 } as const;
  if (result === undefined) return lost;
  const durationMs = Math.max(0, Math.round((Number(to) - Number(from)) * 1_000));
  const parsed = parseRunResult(result);
  if (parsed.kind !== 'ended') return { ...lost, durationMs };
  return { reason: reasonOf(parsed), exitCode: parsed.exitCode, signal: parsed.signal, durationMs };
}

function reasonOf({ note, signal }: Extract<RunResult, { kind: 'ended' }>): EndReason {
  if (note === 'cut') return 'cancelled';
  if (note !== 'none' && note !== 'shell-ended' && note !== 'no-shell') return note;
  return signal === null ? 'exited' : 'signalled';
}

function notRead(executionId: ExecutionId, { exitCode, reason }: ExecOutcome): OpencodeToolsError {
  const details = { executionId };
  if (reason === 'timeout') {
    return new OpencodeToolsError('OCT_TIMEOUT', `The command did not read its input within ${writeLimitMs} ms`, {
      remedy: 'What it had room for is written. Write less at once, or see what the command waits for.',
      details: { ...details, limit: 'input', valueMs: writeLimitMs },
    });
  }
  const message = exitCode === 3 ? 'The command does not run, or has no input' : 'The input could not be written';
  return new OpencodeToolsError('OCT_INVALID_ARGUMENT', message, {
    remedy: 'Start it with its input open, and write while it runs.',
    details,
  });
}
