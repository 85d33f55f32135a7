import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import {
  type EndReason,
  type ExecOutcome,
  OpencodeToolsError,
  type TerminalRequest,
  type TerminalSize,
} from '@opencode-tools/core';
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
    const resize = sizer(async (to) => {
      try {
        await containers.resizeExec(id, to);
        return true;
      } catch {
        return stream.destroyed || hasEnded(await containers.inspectExec(id));
      }
    });
    await resize(size);
    onOpen({ write: (bytes) => void stream.write(bytes), resize: (to) => void resize(to) });
    for await (const chunk of stream) await onOutput(chunk as Uint8Array);
    return await ended(async () => containers.inspectExec(id));
  } finally {
    signal?.removeEventListener('abort', giveUp);
    stream.destroy();
    // What it left behind has lost its terminal, and would otherwise run on unseen.
    await link.cut(execution);
  }
}

/**
 * Gives a terminal the last size that it was told. The engine takes two at once in any order, so it is asked for one after the other;
 * it knows a terminal only some time after it said that it made it.
 *
 * @param apply whether that size needs no further try
 */
function sizer(apply: (size: TerminalSize) => Promise<boolean>): (size: TerminalSize) => Promise<void> {
  let wanted: TerminalSize | undefined;
  let working = false;
  return async (size) => {
    wanted = size;
    if (working) return;
    working = true;
    for (let tries = 0; wanted !== undefined && tries < mostTries; tries += 1) {
      const next: TerminalSize = wanted;
      if (!(await apply(next).catch(() => false))) await delay(retryMs);
      else if (wanted === next) wanted = undefined;
      else tries = 0;
    }
    working = false;
  };
}

/** A stream ends somewhat before the engine has noticed the end of its process. */
async function ended(inspect: () => Promise<ExecFacts>): Promise<ExecFacts> {
  for (let tries = 0; ; tries += 1) {
    const facts = await inspect();
    if (hasEnded(facts) || tries >= mostTries) return facts;
    await delay(retryMs);
  }
}

/** One that has only just been started does not run yet, and has no exit code. */
function hasEnded({ Running, ExitCode }: ExecFacts): boolean {
  return !Running && ExitCode !== null;
}

function isGone(error: unknown): boolean {
  return error instanceof OpencodeToolsError && error.code === 'OCT_SANDBOX_NOT_FOUND';
}
