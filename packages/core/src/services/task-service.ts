import type { TaskId } from '../domain/ids.ts';
import type { Task, TaskStatus } from '../domain/task.ts';
import { assertMove } from '../domain/task-machine.ts';
import type { HousekeeperService } from './housekeeper-contract.ts';
import type { HookPoint } from '../ports/hook-port.ts';
import type { SandboxFacts } from '../ports/sandbox-runtime.ts';
import { assertAlone } from './assert-alone.ts';
import { bringBackTask, recoverableTasks } from './bring-back-task.ts';
import { createTask, readyWorkspace } from './create-task.ts';
import { deleteTask } from './delete-task.ts';
import { forkTask } from './fork-task.ts';
import { type Kernel, leaseGuard } from './kernel.ts';
import { recordedStore } from './volume-keeping.ts';
import { recoverTask } from './recovery.ts';
import { resolveTask } from './resolve-task.ts';
import { runHooks } from './run-hooks.ts';
import type { SandboxKeeper } from './sandbox-keeper.ts';
import type { Call, TaskService, TaskView, UnderSession } from './services.ts';
import { moveTask } from './task-moves.ts';
import { taskStats } from './task-stats.ts';
import { updateTask } from './update-task.ts';
import { freeText, integerBetween } from './validate.ts';
import { type LeasedWork, withLease } from './with-lease.ts';
import { withOwner } from './with-owner.ts';

const defaultGraceMs = 2_000;

export function createTaskService(kernel: Kernel, keeper: SandboxKeeper, housekeeper: HousekeeperService): TaskService {
  const { tasks } = kernel.deps;
  return {
    create: async (input, call) => {
      const task = await createTask(kernel, input, call);
      if (housekeeper.started || input.ready === true) readyWorkspace(kernel, task);
      return task;
    },
    resolve: (reference, by) => resolveTask(kernel, reference, by?.idempotencyKey),
    get: (id) => tasks.getTask(id),
    view: (id) => viewTask(kernel, id),
    list: (filter, page) => tasks.listTasks(filter, page),
    stop: (id, options, call) => {
      const graceMs = integerBetween('graceMs', options.graceMs ?? defaultGraceMs, 0, 60_000);
      return putAway(kernel, keeper, id, { ...options, graceMs, to: 'suspended', reason: 'stopped' }, call);
    },
    complete: (id, options, call) => {
      const reason = options.summary === undefined ? null : freeText('summary', options.summary, 2_000);
      return putAway(
        kernel,
        keeper,
        id,
        { ...options, graceMs: defaultGraceMs, to: 'completed', reason, point: 'task:completing' },
        call,
      );
    },
    cancel: (id, options, call) => {
      const reason = options.reason === undefined ? null : freeText('reason', options.reason, 2_000);
      return putAway(
        kernel,
        keeper,
        id,
        { ...options, graceMs: 0, to: 'cancelled', reason, point: 'task:cancelling' },
        call,
      );
    },
    update: (id, input, call) => updateTask(kernel, id, input, call),
    fork: (id, options, call) => forkTask(kernel, keeper, id, options, call),
    recover: (id, options, call) => bringBackTask(kernel, id, options, call),
    recoverable: () => recoverableTasks(kernel),
    delete: (id, options, call) => deleteTask(kernel, keeper, id, options, call),
    stats: (id) => taskStats(kernel, keeper, id),
  };
}

interface PutAway extends UnderSession {
  readonly to: Extract<TaskStatus, 'suspended' | 'completed' | 'cancelled'>;
  readonly reason: string | null;
  readonly graceMs: number;
  readonly point?: HookPoint;
}

/**
 * Ends executions, stops the sandbox, moves the task and ends its sessions. Stop and cancel without a session are an operator's
 * verbs: they end the sessions that hold the task.
 */
async function putAway(kernel: Kernel, keeper: SandboxKeeper, id: TaskId, options: PutAway, call: Call): Promise<Task> {
  const task = await kernel.deps.tasks.getTask(id);
  if (task.status === options.to && (await isAtRest(kernel, id))) return task;
  const resting = options.to === 'suspended' && (task.status === 'completed' || task.status === 'cancelled');
  if (task.status !== options.to && !resting) assertMove(task.status, options.to);
  const takeover = options.to !== 'completed';
  return withLease(kernel, task, { sessionId: options.sessionId, sandbox: true, takeover }, call, async (leased) => {
    const { proof, session } = leased;
    const context = { task, agent: session.agent, model: session.model, sessionId: session.id };
    const detail =
      options.point === undefined
        ? {}
        : await runHooks(kernel, { point: options.point, ...context }, { stream: id, call, proof });
    if (options.to === 'completed') await assertAlone(kernel, id, leased, 'Completing', call);
    return keeper.puttingAway(id, async () => {
      await keeper.stop(task, leased, options.graceMs, call);
      await recoverOwn(kernel, leased, call);
      const moved = await kernel.changeTask(id, (current) => {
        if (resting || current.status === options.to) return { change: null, result: current };
        const move = moveTask(kernel, current, options.to, proof, call, { reason: options.reason, detail });
        return { change: { guard: leaseGuard(proof), records: [move.record] }, result: move.task };
      });
      await kernel.deps.leases.revoke(id, {
        reason: `task ${options.to}`,
        actor: call.actor,
        correlationId: call.correlationId ?? null,
      });
      kernel.deps.memory.touch(id);
      return moved;
    });
  });
}

async function isAtRest(kernel: Kernel, id: TaskId): Promise<boolean> {
  const sandbox = await kernel.deps.tasks.findSandbox(id);
  const live =
    sandbox !== undefined && sandbox.state !== 'stopped' && sandbox.state !== 'absent' && sandbox.state !== 'failed';
  return !live && (await kernel.deps.leases.listActive(id)).length === 0;
}

/** Executions of the same session that ran in other calls ended with the container; their own calls record that. */
async function recoverOwn(kernel: Kernel, leased: LeasedWork, call: Call): Promise<void> {
  leased.signal.throwIfAborted();
  await recoverTask(kernel, leased.proof, call);
}

async function viewTask(kernel: Kernel, id: TaskId): Promise<TaskView> {
  const { tasks, leases, ledger, checkpoints } = kernel.deps;
  const task = await tasks.getTask(id);
  const sandbox = (await tasks.findSandbox(id)) ?? null;
  const [sessions, active, page, executions, saved, todos, head] = await Promise.all([
    tasks.listSessions(id),
    leases.listActive(id),
    tasks.listExecutions(id, { limit: 50 }),
    tasks.countExecutions(id),
    checkpoints.list(id),
    tasks.listTodos(id),
    ledger.head(id),
  ]);
  const known = await Promise.all(page.items.map(async (execution) => withOwner(kernel, execution)));
  return {
    task,
    sandbox,
    live: sandbox?.ref == null ? null : await liveFacts(kernel, sandbox.ref),
    workspaceKeeping: sandbox === null ? null : await recordedStore(kernel, sandbox),
    sessions,
    leases: active,
    runningExecutions: known.filter((execution) => execution.state === 'running'),
    executions,
    checkpoints: saved.length,
    openTodos: todos.filter((todo) => todo.state === 'open' || todo.state === 'active').length,
    ledger: head,
  };
}

/** A view is worth giving without an engine, too. */
async function liveFacts(kernel: Kernel, ref: string): Promise<SandboxFacts | null> {
  try {
    return (await (await kernel.deps.runtime.find(ref))?.inspect()) ?? null;
  } catch (error) {
    kernel.deps.logger.debug('The engine did not say how the sandbox is', { error: String(error) });
    return null;
  }
}
