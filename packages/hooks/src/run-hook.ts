import { type HookContext, type HookOutcome, printable } from '@opencode-tools/core';
import type { Hook, HookApi } from './hook.ts';
import { isHookRejection } from './hook-rejection.ts';

type Verdict = Pick<HookOutcome, 'result' | 'message'>;

const longestMessage = 500;

/** Runs one hook within its time limit and turns whatever happens into an outcome. Never throws. */
export async function runHook(
  hook: Hook,
  context: HookContext,
  api: Omit<HookApi, 'signal'>,
  timeoutMs: number,
): Promise<HookOutcome> {
  const startedMs = api.clock.nowMs();
  const verdict = soften(hook, await judge(hook, context, api, timeoutMs));
  const durationMs = Math.max(0, api.clock.nowMs() - startedMs);
  const outcome = { hook: hook.name, point: context.point, ...verdict, message: oneLine(verdict.message), durationMs };
  api.logger.debug('A hook ran', outcome);
  return outcome;
}

async function judge(
  hook: Hook,
  context: HookContext,
  api: Omit<HookApi, 'signal'>,
  timeoutMs: number,
): Promise<Verdict> {
  const controller = new AbortController();
  const { promise: timedOut, resolve } = Promise.withResolvers<Verdict>();
  const timer = setTimeout(() => {
    resolve({ result: 'failed', message: `outlasted its time limit of ${timeoutMs} ms` });
    controller.abort(new Error(`The hook ${hook.name} outlasted its time limit`));
  }, timeoutMs);
  try {
    return await Promise.race([attempt(hook, context, { ...api, signal: controller.signal }), timedOut]);
  } finally {
    clearTimeout(timer);
  }
}

async function attempt(hook: Hook, context: HookContext, api: HookApi): Promise<Verdict> {
  try {
    return { result: 'passed', message: await hook.run(context, api) };
  } catch (error) {
    if (isHookRejection(error)) return { result: 'rejected', message: `${error.message} Remedy: ${error.remedy}` };
    return { result: 'failed', message: error instanceof Error ? error.message : String(error) };
  }
}

function soften(hook: Hook, verdict: Verdict): Verdict {
  if (!hook.advisory || verdict.result === 'passed') return verdict;
  return { result: 'passed', message: `advisory only, ${verdict.result}: ${verdict.message}` };
}

function oneLine(text: string): string {
  const line = printable(text).replace(/\s+/g, ' ').trim();
  return line.length > longestMessage ? `${line.slice(0, longestMessage - 1)}…` : line;
}
