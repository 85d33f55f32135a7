import { asJson } from '../domain/json.ts';
import type { TaskId } from '../domain/ids.ts';
import type { OperationKind } from '../domain/operation.ts';
import type { NetworkSpec } from '../domain/sandbox-spec.ts';
import type { Sandbox } from '../domain/sandbox.ts';
import type { Task } from '../domain/task.ts';
import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { Put } from '../ledger/put.ts';
import { assertAlone } from './assert-alone.ts';
import { idempotent } from './idempotent.ts';
import type { Kernel } from './kernel.ts';
import { awaitQuiet } from './quiet.ts';
import { runHooks } from './run-hooks.ts';
import { runOperation } from './run-operation.ts';
import type { SandboxKeeper } from './sandbox-keeper.ts';
import type { Call, NetworkChange, SetNetwork } from './services.ts';
import { takeCheckpoint } from './take-checkpoint.ts';
import { type LeasedWork, withLease } from './with-lease.ts';

/**
 * Changes what may leave a task's sandbox, as one operation. Until it is finished the task's row has the old network, and
 * recovery puts that in force again.
 */
export async function setNetwork(
  kernel: Kernel,
  keeper: SandboxKeeper,
  taskId: TaskId,
  options: SetNetwork,
  call: Call,
): Promise<NetworkChange> {
  const { network, endExecutions = false } = options;
  kernel.deps.egress.validate(network);
  const task = await kernel.deps.tasks.getTask(taskId);
  const args = { taskId, network: asJson(network), endExecutions };
  return idempotent(kernel, call, 'set-network', args, (key) =>
    withLease(kernel, task, { sessionId: options.sessionId, sandbox: true }, call, async (leased) => {
      const { session, proof } = leased;
      const context = { point: 'egress:changing', task, agent: session.agent, model: session.model, network } as const;
      const hooks = await runHooks(kernel, { ...context, sessionId: session.id }, { stream: taskId, call, proof });
      const plan = await planChange(kernel, keeper, task, network);
      const saved =
        plan.applied === 'recreated' ? await putAside(kernel, keeper, task, endExecutions, leased, call) : null;
      const imageId = saved?.root?.imageId ?? null;
      const operation = kernel.newOperation('egress', taskId, proof, {
        from: asJson(task.sandboxSpec.network),
        to: asJson(network),
        ...(imageId === null ? {} : { imageId }),
      });
      const savedCheckpointId = saved?.id ?? null;
      const { applied } = plan;
      const change: { -readonly [K in keyof NetworkChange]: NetworkChange[K] } = { task, applied, savedCheckpointId };
      await runOperation(
        kernel,
        { operation, excludes: excludedBy(plan), detail: { ...operation.intent, ...hooks }, key },
        leased,
        call,
        async () => {
          await carryOut(kernel, keeper, { ...task, sandboxSpec: { ...task.sandboxSpec, network } }, plan);
          return {
            result: undefined,
            outcome: { applied },
            detail: { ...operation.intent, applied, savedCheckpointId },
            stored: asJson(change),
            puts: async () => {
              change.task = await changedTask(kernel, taskId, network);
              const sandbox = await sandboxPuts(kernel, taskId, imageId);
              return [{ noun: 'task', value: change.task } as const, ...sandbox];
            },
          };
        },
        { clear: () => putBack(kernel, keeper, taskId) },
      );
      // A command that started meanwhile may have put the old policy back.
      if (applied === 'live' && network.mode === 'policy' && plan.ref !== null)
        await kernel.deps.egress.enforce(change.task, plan.ref, { anew: true });
      return change;
    }),
  );
}

interface ChangePlan {
  readonly applied: NetworkChange['applied'];
  /** The container that runs now. */
  readonly ref: string | null;
}

/** A container made without a network for good cannot get one; every other one changes while it runs. */
async function planChange(
  kernel: Kernel,
  keeper: SandboxKeeper,
  task: Task,
  network: NetworkSpec,
): Promise<ChangePlan> {
  const found = await keeper.find(task.id);
  if (found === undefined) return { applied: 'at-start', ref: null };
  const { mode } = task.sandboxSpec.network;
  if (mode === 'fixed-none' && network.mode !== 'fixed-none') return { applied: 'recreated', ref: found.handle.ref };
  const { state } = await found.handle.inspect();
  const lives = state === 'running' || state === 'paused';
  return { applied: lives ? 'live' : 'at-start', ref: found.handle.ref };
}

/** Saves what only the container has, after whatever runs in it has ended. */
async function putAside(
  kernel: Kernel,
  keeper: SandboxKeeper,
  task: Task,
  endExecutions: boolean,
  leased: LeasedWork,
  call: Call,
) {
  await assertAlone(kernel, task.id, leased, 'Changing the network', call);
  const running = await kernel.deps.tasks.listOpenOperations(task.id);
  const executions = running.filter(({ kind }) => kind === 'execution');
  if (executions.length > 0 && !endExecutions) throw stillRunning(task, executions.length);
  await keeper.endExecutions(task.id, call);
  await awaitQuiet(kernel, task.id, ['execution'], leased.signal);
  call.onProgress?.('saving the present');
  const reason = 'Taken before the container was made anew with a network';
  const input = { taskId: task.id, name: 'before the network changed', reason, onlyIfChanged: true };
  return (await takeCheckpoint(kernel, keeper, input, leased, call)).checkpoint;
}

async function carryOut(kernel: Kernel, keeper: SandboxKeeper, wanted: Task, plan: ChangePlan): Promise<void> {
  const { egress } = kernel.deps;
  if (plan.applied === 'recreated') {
    const found = await keeper.find(wanted.id);
    keeper.forget(wanted.id);
    await found?.handle.destroy();
    return;
  }
  if (plan.ref === null) return;
  if (wanted.sandboxSpec.network.mode !== 'policy') await egress.release(wanted.id, plan.ref);
  else if (plan.applied === 'live') {
    await egress.enforce({ ...wanted, version: wanted.version + 1 }, plan.ref, { anew: true });
  }
}

function excludedBy({ applied }: ChangePlan): readonly OperationKind[] {
  const always = ['sandbox', 'restore', 'checkpoint', 'egress', 'deletion'] as const;
  return applied === 'recreated' ? [...always, 'execution'] : always;
}

/** After a failure: what the row says is in force again. */
async function putBack(kernel: Kernel, keeper: SandboxKeeper, taskId: TaskId): Promise<void> {
  const task = await kernel.deps.tasks.getTask(taskId);
  const found = await keeper.find(taskId);
  if (found === undefined) return;
  const { mode } = task.sandboxSpec.network;
  if (mode === 'policy') await kernel.deps.egress.enforce(task, found.handle.ref, { anew: true });
  else await kernel.deps.egress.release(taskId, found.handle.ref);
}

async function changedTask(kernel: Kernel, taskId: TaskId, network: NetworkSpec): Promise<Task> {
  const task = await kernel.deps.tasks.getTask(taskId);
  const sandboxSpec = { ...task.sandboxSpec, network };
  return { ...task, sandboxSpec, version: task.version + 1, updatedAt: kernel.now() };
}

/** A container that was removed is made anew from what was saved. */
async function sandboxPuts(kernel: Kernel, taskId: TaskId, imageId: string | null): Promise<readonly Put[]> {
  const sandbox = await kernel.deps.tasks.findSandbox(taskId);
  if (sandbox === undefined || imageId === null) return [];
  const value: Sandbox = { ...sandbox, imageId, ref: null, state: 'absent', updatedAt: kernel.now() };
  return [{ noun: 'sandbox', value }];
}

function stillRunning(task: Task, count: number): OpencodeToolsError {
  const what = count === 1 ? 'a command runs' : `${count} commands run`;
  return new OpencodeToolsError(
    'OCT_VERSION_CONFLICT',
    `The container of ${task.id} has to be made anew, and ${what} in it`,
    {
      remedy: 'Wait until it has ended, or ask for running commands to be ended.',
      details: { taskId: task.id, running: count },
    },
  );
}
