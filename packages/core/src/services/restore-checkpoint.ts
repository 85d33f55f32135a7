import type { Checkpoint } from '../domain/checkpoint.ts';
import type { TaskId } from '../domain/ids.ts';
import { asJson } from '../domain/json.ts';
import type { Operation } from '../domain/operation.ts';
import type { Sandbox } from '../domain/sandbox.ts';
import type { Task } from '../domain/task.ts';
import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { Put } from '../ledger/put.ts';
import { idempotent } from './idempotent.ts';
import { type Kernel, draft, finished, leaseGuard } from './kernel.ts';
import { makeSandbox } from './make-sandbox.ts';
import { runHooks } from './run-hooks.ts';
import type { SandboxKeeper } from './sandbox-keeper.ts';
import type { Call, Restoration, UnderSession } from './services.ts';
import { takeCheckpoint } from './take-checkpoint.ts';
import { type LeasedWork, withLease } from './with-lease.ts';

/**
 * Brings a task back to a checkpoint: saves the present, ends executions, and replaces container and volumes by new ones made
 * from the checkpoint. Until the new ones stand, the row points to the old volumes; after a crash at any point the task has
 * either the old state or the new one.
 */
export async function restoreCheckpoint(
  kernel: Kernel,
  keeper: SandboxKeeper,
  taskId: TaskId,
  reference: string,
  options: UnderSession,
  call: Call,
): Promise<Restoration> {
  const target = await kernel.deps.checkpoints.resolve(taskId, reference);
  const task = await kernel.deps.tasks.getTask(taskId);
  return idempotent(kernel, call, 'restore', { taskId, checkpointId: target.id }, (key) =>
    withLease(kernel, task, { sessionId: options.sessionId, sandbox: true }, call, async (leased) => {
      await assertAlone(kernel, taskId, leased);
      const { proof, session } = leased;
      await runHooks(
        kernel,
        { point: 'checkpoint:restoring', task, agent: session.agent, model: session.model, sessionId: session.id },
        { stream: taskId, call, proof },
      );
      call.onProgress?.('saving the present');
      const saved = await takeCheckpoint(
        kernel,
        keeper,
        {
          task,
          name: `before restoring ${target.name}`.slice(0, 100),
          reason: `Taken before ${target.id} was restored`,
          onlyIfChanged: true,
        },
        leased,
        call,
      );
      const endedProcesses = await bringBack(kernel, keeper, target, leased, call);
      const restoration: Restoration = {
        checkpoint: target,
        saved: saved.taken ? saved.checkpoint : null,
        endedProcesses,
      };
      await kernel.commit({
        guard: leaseGuard(proof),
        records: [
          draft({
            stream: taskId,
            type: 'task.restored',
            call,
            proof,
            detail: { checkpointId: target.id, savedCheckpointId: restoration.saved?.id ?? null },
          }),
        ],
        ...key.finished(asJson(restoration)),
      });
      return restoration;
    }),
  );
}

async function bringBack(
  kernel: Kernel,
  keeper: SandboxKeeper,
  target: Checkpoint,
  leased: LeasedWork,
  call: Call,
): Promise<number> {
  const { deps } = kernel;
  const task = await deps.tasks.getTask(target.taskId);
  const previous = (await deps.tasks.findSandbox(task.id)) ?? null;
  if (previous === null) {
    await moveHead(kernel, task.id, target, leased, call);
    return 0;
  }
  const found = await keeper.find(task.id);
  const endedProcesses = found === undefined ? 0 : await endExecutions(found.handle);
  if (task.workspace.mode === 'bind') return restoreBind(kernel, keeper, task, target, endedProcesses, leased, call);
  const imageId = target.root?.imageId ?? previous.imageId;
  await makeSandbox(
    kernel,
    {
      kind: 'restore',
      task,
      start: { imageId, workspace: target.workspace, home: target.home },
      previous,
      reuseVolumes: false,
      detail: { checkpointId: target.id },
      prepare: async () => {
        keeper.forget(task.id);
        await found?.handle.destroy();
      },
      finish: async () => ({ puts: [await headPut(kernel, task.id, target)] }),
    },
    leased,
    call,
  );
  await removeVolumes(kernel, previous);
  return endedProcesses;
}

async function endExecutions(handle: {
  inspect(): Promise<{ readonly state: string }>;
  unpause(): Promise<void>;
  endAll(): Promise<{ readonly ended: number }>;
}): Promise<number> {
  const { state } = await handle.inspect();
  if (state === 'paused') await handle.unpause();
  return state === 'running' || state === 'paused' ? (await handle.endAll()).ended : 0;
}

/** A bound directory is changed in place; its container is replaced only when the root file system differs. */
async function restoreBind(
  kernel: Kernel,
  keeper: SandboxKeeper,
  task: Task,
  target: Checkpoint,
  endedProcesses: number,
  leased: LeasedWork,
  call: Call,
): Promise<number> {
  const { proof } = leased;
  const planned = kernel.newOperation('restore', task.id, proof, {
    checkpointId: target.id,
    directory: task.workspace.path,
  });
  await kernel.commit({
    guard: { ...leaseGuard(proof), noOpenOperation: { taskId: task.id, kinds: ['sandbox', 'restore', 'deletion'] } },
    records: [
      draft({
        stream: task.id,
        type: 'restore.requested',
        call,
        proof,
        operationId: planned.id,
        puts: [{ noun: 'operation', value: planned }],
        detail: planned.intent,
      }),
    ],
  });
  const found = await keeper.find(task.id);
  keeper.forget(task.id);
  await found?.handle.destroy();
  if (target.workspace !== null)
    await kernel.deps.workspaces.restoreDirectory(task.workspace.path, target.workspace.id, { signal: leased.signal });
  await finishBind(kernel, task, target, planned, leased, call);
  if (found !== undefined) await removeVolumes(kernel, found.sandbox);
  return endedProcesses;
}

async function finishBind(
  kernel: Kernel,
  task: Task,
  target: Checkpoint,
  open: Operation,
  leased: LeasedWork,
  call: Call,
): Promise<void> {
  const sandbox = await kernel.deps.tasks.findSandbox(task.id);
  const cleared: Sandbox | undefined = sandbox && {
    ...sandbox,
    state: 'absent',
    ref: null,
    homeVolume: null,
    imageId: target.root?.imageId ?? sandbox.imageId,
    updatedAt: kernel.now(),
  };
  await kernel.commit({
    guard: { ...leaseGuard(leased.proof), openOperation: open.id },
    records: [
      draft({
        stream: task.id,
        type: 'restore.completed',
        call,
        proof: leased.proof,
        operationId: open.id,
        puts: [
          { noun: 'operation', value: finished(open, 'completed', { checkpointId: target.id }, kernel.now()) },
          await headPut(kernel, task.id, target),
          ...(cleared === undefined ? [] : [{ noun: 'sandbox', value: cleared } as const]),
        ],
        detail: { checkpointId: target.id },
      }),
    ],
  });
}

async function moveHead(
  kernel: Kernel,
  taskId: TaskId,
  target: Checkpoint,
  leased: LeasedWork,
  call: Call,
): Promise<void> {
  await kernel.commit({
    guard: leaseGuard(leased.proof),
    records: [
      draft({
        stream: taskId,
        type: 'restore.completed',
        call,
        proof: leased.proof,
        puts: [await headPut(kernel, taskId, target)],
        detail: { checkpointId: target.id },
      }),
    ],
  });
}

async function headPut(kernel: Kernel, taskId: TaskId, target: Checkpoint): Promise<Put> {
  const task = await kernel.deps.tasks.getTask(taskId);
  return {
    noun: 'task',
    value: { ...task, headCheckpointId: target.id, version: task.version + 1, updatedAt: kernel.now() },
  };
}

/** The replaced volumes hold only what the saved checkpoint holds; a failure here leaves them for `delete` and the reaper. */
async function removeVolumes(kernel: Kernel, sandbox: Sandbox): Promise<void> {
  for (const volume of [sandbox.workspaceVolume, sandbox.homeVolume]) {
    if (volume === null) continue;
    try {
      await kernel.deps.runtime.volumes.remove(volume);
    } catch (error) {
      kernel.deps.logger.warn('A replaced volume was not removed', { volume, error: String(error) });
    }
  }
}

async function assertAlone(kernel: Kernel, taskId: TaskId, leased: LeasedWork): Promise<void> {
  const others = (await kernel.deps.leases.listActive(taskId)).filter((lease) => lease.id !== leased.proof.leaseId);
  if (others.length === 0) return;
  throw new OpencodeToolsError('OCT_LEASE_HELD', `${others.length} other agents are attached to ${taskId}`, {
    remedy: 'Restoring ends everything that runs in the task; wait until the others have detached.',
    details: { taskId, sessions: others.map((lease) => lease.sessionId) },
  });
}
