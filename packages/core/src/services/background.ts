import type { Execution } from '../domain/execution.ts';
import { type JsonObject, asJson } from '../domain/json.ts';
import type { ExecutionId, TaskId } from '../domain/ids.ts';
import { type Operation, isSameProcess } from '../domain/operation.ts';
import type { Task } from '../domain/task.ts';
import { isOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { SandboxFacts, SandboxHandle } from '../ports/sandbox-runtime.ts';
import { type BackgroundEnd, endOfBackground, isBackground } from './background-end.ts';
import { markOf, rememberMask } from './background-masks.ts';
import { createPace, keptBytesOf } from './background-pace.ts';
import { resolveSecrets } from './command-secrets.ts';
import { composeExecution, describeCommand } from './compose-execution.ts';
import type { IdempotencyKey } from './idempotent.ts';
import { type Kernel, draft, finished } from './kernel.ts';
import type { RunPlan } from './run-execution.ts';
import { createRedaction } from './redactor.ts';
import { runHooks } from './run-hooks.ts';
import { abandon, begin } from './run-operation.ts';
import type { SandboxKeeper } from './sandbox-keeper.ts';
import type { Call } from './services.ts';
import { forgetWorkspace, noteWorkspace, trippedRecords } from './tripwire-watch.ts';
import type { LeasedWork } from './with-lease.ts';

const shortestPauseMs = 50;
const mostFailures = 20;

interface BackgroundPlan extends RunPlan {
  readonly openInput: boolean;
}

/** Starts commands in the background and looks after them, as any process may. */
export interface BackgroundKeeper {
  /** Starts a command as an operation that stays open until the command is known to have ended. */
  start(task: Task, plan: BackgroundPlan, leased: LeasedWork, key: IdempotencyKey, call: Call): Promise<Execution>;
  /** Starts a shell, likewise. */
  startShell(
    task: Task,
    name: string,
    plan: RunPlan,
    leased: LeasedWork,
    key: IdempotencyKey,
    call: Call,
  ): Promise<Execution>;
  /** Takes what a command has put out, and records its end when it has ended. Returns it as it is now. */
  attend(execution: Execution, call: Call): Promise<Execution>;
}

/** What this process is about to begin, in any home that it has open. */
const spawning = new Set<ExecutionId>();

export function createBackgroundKeeper(kernel: Kernel, keeper: SandboxKeeper): BackgroundKeeper {
  const { deps } = kernel;
  const attending = new Map<ExecutionId, Promise<Execution>>();

  const attendOnce = async (execution: Execution, call: Call): Promise<Execution> => {
    const operation = await deps.tasks.findOperation(execution.operationId);
    if (operation?.state !== 'open') return (await deps.tasks.findExecution(execution.id)) ?? execution;
    const found = await keeper.find(execution.taskId);
    const state = found === undefined ? 'absent' : await stateOf(found.handle);
    if (state === 'paused' || state === 'creating') return execution;
    const handle = state === 'running' ? found?.handle : undefined;
    const mayBegin = spawning.has(execution.id) || startedElsewhere(kernel, operation);
    const options = { mayBegin, needsSecrets: true };
    const end = await endOfBackground(kernel, handle, { execution, operation }, options).catch(async (error) => {
      if (handle === undefined || (await stateOf(handle)) === 'running') throw error;
      return endOfBackground(kernel, undefined, { execution, operation }, { mayBegin });
    });
    return end === null ? execution : settle(kernel, handle, operation, end, call);
  };

  const attend = async (execution: Execution, call: Call): Promise<Execution> => {
    if (execution.background !== true || execution.state !== 'running') return execution;
    const running = attending.get(execution.id) ?? attendOnce(execution, call);
    attending.set(execution.id, running);
    try {
      return await running;
    } finally {
      attending.delete(execution.id);
    }
  };

  const watch = async (execution: Execution, call: Call): Promise<void> => {
    const pace = createPace({ shortestMs: shortestPauseMs, longestMs: 1_000, growth: 1.3 });
    for (let [failures, keptBytes] = [0, 0]; failures < mostFailures;) {
      await pause(pace(keptBytes), deps.closing);
      if (deps.closing?.aborted === true) return;
      try {
        if ((await attend(execution, call)).state !== 'running') return;
        keptBytes = await keptBytesOf(kernel, execution);
      } catch (error) {
        failures += 1;
        deps.logger.debug('A command in the background was not looked after', {
          id: execution.id,
          error: String(error),
        });
      }
    }
  };

  const start: BackgroundKeeper['start'] = async (task, plan, leased, key, call) => {
    const { proof, session } = leased;
    const context = { point: 'execution:starting', task, agent: session.agent, model: session.model } as const;
    const command = describeCommand(plan.command);
    const site = { stream: task.id, call, proof };
    const detail = await runHooks(kernel, { ...context, sessionId: session.id, command }, site);
    const execution = await launch(task, plan, leased, call, { detail, key });
    const { signal: _signal, onProgress: _onProgress, ...later } = call;
    void watch(execution, later);
    return execution;
  };

  const launch = async (
    task: Task,
    plan: BackgroundPlan,
    leased: LeasedWork,
    call: Call,
    { detail, key }: { readonly detail: JsonObject; readonly key: IdempotencyKey },
  ): Promise<Execution> => {
    const { proof } = leased;
    const handle = await keeper.ensureRunning(task, leased, call);
    const secrets = await resolveSecrets(kernel, task, plan.secrets);
    const env = { ...(await deps.egress.environment(task)), ...secrets.env, ...plan.env };
    const redaction = createRedaction(...secrets.hidden);
    const id = deps.ids.next('execution');
    const shell = plan.shell === undefined ? {} : { shell: plan.shell.name };
    const lookedUp = plan.secrets.length === 0 ? {} : { secrets: asJson(plan.secrets) };
    const mark = await markOf(kernel, secrets.had);
    const { maxOutputBytes } = plan;
    const intent = { executionId: id, background: true, maxOutputBytes, ...shell, ...lookedUp, ...mark };
    const operation = kernel.newOperation('execution', task.id, proof, intent);
    const composed = composeExecution(kernel, { id, task, plan, redaction, env, operation, leased });
    const execution: Execution = { ...composed, background: true };
    spawning.add(id);
    rememberMask(kernel, id, secrets.hidden);
    try {
      const request = { operation, excludes: ['restore', 'deletion'], detail } as const;
      const handleKnown = { ...key, started: () => key.finished({ executionId: id }, operation.id) };
      await begin(
        kernel,
        { ...request, puts: [{ noun: 'execution', value: execution }], key: handleKnown },
        leased,
        call,
      );
      await noteWorkspace(kernel, task, operation.id, { durable: true });
      await spawnOrFail(kernel, handle, { plan, env, execution, operation }, leased, call);
    } finally {
      spawning.delete(id);
    }
    return execution;
  };

  const startShell: BackgroundKeeper['startShell'] = async (task, name, plan, leased, key, call) => {
    const command = { kind: 'argv', argv: ['sh'] } as const;
    const host = { ...plan, secrets: [], command, shell: { name, anew: false }, openInput: true };
    return launch(task, host, leased, call, { detail: {}, key });
  };

  return { start, startShell, attend };
}

/** A handle may outlive its container. */
async function stateOf(handle: SandboxHandle): Promise<SandboxFacts['state'] | 'absent'> {
  try {
    return (await handle.inspect()).state;
  } catch (error) {
    if (isOpencodeToolsError(error, 'OCT_SANDBOX_NOT_FOUND')) return 'absent';
    throw error;
  }
}

interface Spawning {
  readonly plan: BackgroundPlan;
  readonly env: Readonly<Record<string, string>>;
  readonly execution: Execution;
  readonly operation: Operation;
}

async function spawnOrFail(
  kernel: Kernel,
  handle: SandboxHandle,
  { plan, env, execution, operation }: Spawning,
  leased: LeasedWork,
  call: Call,
): Promise<void> {
  const { command, cwd, timeoutMs, openInput } = plan;
  const request = { executionId: execution.id, token: leased.proof.token, command, cwd, env, timeoutMs, openInput };
  try {
    if (plan.shell === undefined) await handle.background.spawn(request);
    else await handle.background.openShell(request);
  } catch (error) {
    const failed: Execution = { ...execution, state: 'failed', endedAt: kernel.now() };
    await handle.endExecution(execution.id).catch(() => undefined);
    await abandon(kernel, operation, { puts: () => [{ noun: 'execution', value: failed }] }, error, leased, call);
    await forgetWorkspace(kernel, operation);
    throw error;
  }
}

/** Records the end, unless another process has; either way it is recorded now. */
async function settle(
  kernel: Kernel,
  handle: SandboxHandle | undefined,
  operation: Operation,
  { execution, state }: BackgroundEnd,
  call: Call,
): Promise<Execution> {
  const outcome = { reason: execution.reason, exitCode: execution.exitCode };
  const puts = [
    { noun: 'operation', value: finished(operation, state, outcome, kernel.now()) },
    { noun: 'execution', value: execution },
  ] as const;
  const type = `execution.${state}` as const;
  const { taskId: stream, proof, id: operationId } = operation;
  try {
    await kernel.commit({
      guard: { openOperation: operationId },
      records: [draft({ stream, type, call, proof, operationId, puts }), ...trippedRecords(execution, proof, call)],
    });
  } catch (error) {
    if (!isOpencodeToolsError(error, 'OCT_VERSION_CONFLICT')) throw error;
    return (await kernel.deps.tasks.findExecution(execution.id)) ?? execution;
  }
  await forgetWorkspace(kernel, operation);
  await handle?.background.forget(execution.id).catch((error: unknown) => {
    kernel.deps.logger.debug('A spool was not removed', { id: execution.id, error: String(error) });
  });
  return execution;
}

/**
 * Ends the commands in the background of a task before its container goes: what they have put out would go with it.
 *
 * @param graceMs how long they may take to end by themselves
 * @returns how many commands there were
 */
export async function endBackground(
  kernel: Kernel,
  handle: SandboxHandle,
  taskId: TaskId,
  graceMs: number,
  call: Call,
): Promise<number> {
  const open = (await kernel.deps.tasks.listOpenOperations(taskId)).filter(isBackground);
  await Promise.all(open.map(async (operation) => endOne(kernel, handle, operation, graceMs, call)));
  return open.length;
}

export async function endOne(
  kernel: Kernel,
  handle: SandboxHandle,
  operation: Operation,
  graceMs: number,
  call: Call,
): Promise<void> {
  const execution = await kernel.deps.tasks.findExecution(operation.intent['executionId'] as ExecutionId);
  if (execution === undefined) return;
  const { background } = handle;
  const deadline = performance.now() + graceMs;
  if (graceMs > 0) await background.signal(execution.id, 'SIGTERM');
  while (performance.now() < deadline && (await background.look(execution.id)).kind === 'running') {
    await endOfBackground(kernel, handle, { execution, operation });
    await pause(shortestPauseMs, undefined);
  }
  const end = await endOfBackground(kernel, handle, { execution, operation }, { endAs: 'cancelled' });
  if (end !== null) await settle(kernel, handle, operation, end, call);
}

/** Its own process knows whether a command was begun; while that lives, nobody else takes it for gone. */
function startedElsewhere(kernel: Kernel, { owner }: Operation): boolean {
  return !isSameProcess(owner, kernel.deps.processes.self()) && kernel.deps.processes.isAlive(owner);
}

async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms);
    if (signal !== undefined) timer.unref();
  });
}
