import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { type EndReason, type ExecOutcome, OpencodeToolsError, type TerminalRequest } from '@opencode-tools/core';
import type { ExecFacts } from '../engine/containers.ts';
import { asPortError, hasStatus } from '../engine/engine-error.ts';
import { executionNumber, markFor, wordsOf } from '../lane/run-frame.ts';
import { terminalCommand } from '../lane/supervisor-command.ts';
import { assertRequest, assertRunnable, staleToken } from './run-command.ts';
import type { SandboxLink } from './sandbox-link.ts';

const mostTries = 40;
const retryMs = 50;

/**
 * Runs one command on a terminal of its own, made by the engine, to its end or until it is given up. It carries a mark as any command
 * does, so that a fence ends it; nothing that it started outlives it.
 */
export async function runTerminal(link: SandboxLink, request: TerminalRequest): Promise<ExecOutcome> {
  assertRequest(request);
  assertRunnable(link, request);
  const { token, command, cwd, env, size, signal } = request;
  const execution = executionNumber(request.executionId);
  const mark = markFor(token, execution);
  const startedAt = performance.now();
  const outcome = (reason: EndReason, exitCode: number | null): ExecOutcome => ({
    reason,
    exitCode,
    signal: null,
    durationMs: Math.round(performance.now() - startedAt),
  });
  try {
    if (!(await link.admit(token, mark))) throw staleToken(token);
    if (signal?.aborted) return outcome('cancelled', null);
    const argv = terminalCommand(token, mark, wordsOf({ cwd, command }));
    const exec = await link.starts.open({
      tty: true,
      user: `${link.user.uid}:${link.user.gid}`,
      env: Object.entries(env).map(([name, value]) => `${name}=${value}`),
      argv,
    });
    const facts = await attend(link, exec, { ...request, size }, execution);
    if (!(await link.admit(token, mark))) return outcome('fenced', null);
    if (signal?.aborted) return outcome('cancelled', null);
    return outcome('exited', facts.ExitCode ?? null);
  } catch (error) {
    const container = hasStatus(error, 404) || hasStatus(error, 409) ? await link.explain(error) : error;
    if (signal?.aborted || isGone(container)) return outcome(signal?.aborted ? 'cancelled' : 'sandbox-gone', null);
    throw asPortError(container, 'Running a command on a terminal');
  }
}

async function attend(
  link: SandboxLink,
  { id, stream }: { readonly id: string; readonly stream: Duplex },
  { size, onOpen, onOutput, signal }: TerminalRequest,
  execution: number,
): Promise<ExecFacts> {
  const { containers, logger } = link;
  const giveUp = (): void => {
    link.cut(execution).catch((error: unknown) => {
      logger.warn('A command on a terminal could not be ended', { sandbox: link.id, error: String(error) });
      stream.destroy();
    });
  };
  signal?.addEventListener('abort', giveUp, { once: true });
  if (signal?.aborted) giveUp();
  try {
    let wanted = size;
    const resize = async (): Promise<void> => resizeSoon(async () => containers.resizeExec(id, wanted), stream);
    await resize();
    onOpen({
      write: (bytes) => void stream.write(bytes),
      resize: (to) => {
        wanted = to;
        void resize();
      },
    });
    for await (const chunk of stream) await onOutput(chunk as Uint8Array);
    return await ended(async () => containers.inspectExec(id));
  } finally {
    signal?.removeEventListener('abort', giveUp);
    stream.destroy();
    // What it left behind has lost its terminal, and would otherwise run on unseen.
    await link.cut(execution);
  }
}

/** The engine knows the terminal only some time after it said that it made it. */
async function resizeSoon(resize: () => Promise<void>, stream: Duplex): Promise<void> {
  for (let tries = 0; tries < mostTries && !stream.destroyed; tries += 1) {
    try {
      return await resize();
    } catch {
      await delay(retryMs);
    }
  }
}

/** A stream ends somewhat before the engine has noticed the end of its process. */
async function ended(inspect: () => Promise<ExecFacts>): Promise<ExecFacts> {
  for (let tries = 0; ; tries += 1) {
    const facts = await inspect();
    if (!facts.Running || tries >= mostTries) return facts;
    await delay(retryMs);
  }
}

function isGone(error: unknown): boolean {
  return error instanceof OpencodeToolsError && error.code === 'OCT_SANDBOX_NOT_FOUND';
}
