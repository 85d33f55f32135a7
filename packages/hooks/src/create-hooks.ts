import {
  type Clock,
  type GitPort,
  type HookContext,
  type HookOutcome,
  type HookPoint,
  type HookPort,
  type Logger,
  OpencodeToolsError,
  hookPoints,
} from '@opencode-tools/core';
import type { Hook, HookApi } from './hook.ts';
import { runHook } from './run-hook.ts';

export interface HooksOptions {
  readonly hooks: readonly Hook[];
  /** Handed to hooks that work on repositories. */
  readonly git?: GitPort;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Longest run of a hook that names no limit of its own; 1 to 600,000, default 30,000. */
  readonly timeoutMs?: number;
}

const defaultTimeoutMs = 30_000;
const longestTimeoutMs = 600_000;
const hookName = /^[a-z0-9][a-z0-9-]{0,63}$/;

/**
 * Makes the registry that runs hooks one after the other, in order, and stops at the first that refuses.
 *
 * @throws OpencodeToolsError `OCT_INVALID_CONFIG` for a hook with a bad or repeated name, an unknown point or a time limit
 *   out of range
 */
export function createHooks(options: HooksOptions): HookPort {
  const timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
  assertTimeout('The hook registry', timeoutMs);
  const names = new Set<string>();
  for (const hook of options.hooks) assertHook(hook, names);
  const ordered = options.hooks.toSorted((first, second) => (first.order ?? 0) - (second.order ?? 0));
  const api: Omit<HookApi, 'signal'> = { git: options.git ?? null, clock: options.clock, logger: options.logger };
  const listeners = (point: HookPoint) => ordered.filter((hook) => hook.points.includes(point));
  return {
    listens: (point) => listeners(point).length > 0,
    run: (context) => runInOrder(listeners(context.point), context, api, timeoutMs),
  };
}

async function runInOrder(
  hooks: readonly Hook[],
  context: HookContext,
  api: Omit<HookApi, 'signal'>,
  timeoutMs: number,
): Promise<readonly HookOutcome[]> {
  const outcomes: HookOutcome[] = [];
  for (const hook of hooks) {
    const outcome = await runHook(hook, context, api, hook.timeoutMs ?? timeoutMs);
    outcomes.push(outcome);
    if (outcome.result !== 'passed') break;
  }
  return outcomes;
}

function assertHook(hook: Hook, names: Set<string>): void {
  if (!hookName.test(hook.name)) {
    throw invalid(`${JSON.stringify(hook.name)} is no hook name`, 'Use 1 to 64 characters of a-z, 0-9 and -.');
  }
  if (names.has(hook.name)) throw invalid(`Two hooks are named ${hook.name}`, 'Register each hook once.');
  names.add(hook.name);
  const unknown = hook.points.find((point) => !hookPoints.includes(point));
  if (hook.points.length === 0 || unknown !== undefined) {
    throw invalid(
      `The hook ${hook.name} ${unknown === undefined ? 'names no hook point' : `names an unknown hook point: ${unknown}`}`,
      `The hook points are ${hookPoints.join(', ')}.`,
    );
  }
  if (hook.timeoutMs !== undefined) assertTimeout(`The hook ${hook.name}`, hook.timeoutMs);
}

function assertTimeout(subject: string, timeoutMs: number): void {
  if (Number.isInteger(timeoutMs) && timeoutMs >= 1 && timeoutMs <= longestTimeoutMs) return;
  throw invalid(`${subject} has a time limit of ${timeoutMs} ms`, `Use 1 to ${longestTimeoutMs} milliseconds.`);
}

function invalid(message: string, remedy: string): OpencodeToolsError {
  return new OpencodeToolsError('OCT_INVALID_CONFIG', message, { remedy });
}
