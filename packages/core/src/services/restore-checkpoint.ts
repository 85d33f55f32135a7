import type { Checkpoint } from '../domain/checkpoint.ts';
import type { TaskId } from '../domain/ids.ts';
import { asJson } from '../domain/json.ts';
import type { Operation } from '../domain/operation.ts';
import type { Sandbox } from '../domain/sandbox.ts';
import type { Task } from '../domain/task.ts';
import type { Put } from '../ledger/put.ts';
import { assertAlone } from './assert-alone.ts';
import { clip } from './clip.ts';
import { idempotentFromStart } from './idempotent.ts';
import { type Kernel, draft, leaseGuard } from './kernel.ts';
import { makeSandbox } from './make-sandbox.ts';
import { directoryPuts, headPut, restoreDirectory } from './restore-directory.ts';
import { runHooks } from './run-hooks.ts';
import { runOperation } from './run-operation.ts';
import type { SandboxKeeper } from './sandbox-keeper.ts';
import type { Call, Restoration, UnderSession } from './services.ts';
import { takeCheckpoint } from './take-checkpoint.ts';
import { type LeasedWork, withLease } from './with-lease.ts';

/**
 * Brings a task back to a checkpoint: ends executions, saves the present, and replaces container and volumes by new ones made
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
  return idempotentFromStart(kernel, call, 'restore', { taskId, checkpointId: target.id }, (key) =>
    withLease(kernel, task, { sessionId: options.sessionId, sandbox: true }, call, async (leased) => {
      const { proof, session } = leased;
      await assertAlone(kernel, taskId, leased, 'Restoring');
      const context = { point: 'checkpoint:restoring', task, agent: session.agent, model: session.model } as const;
      const hooks = await runHooks(kernel, { ...context, sessionId: session.id }, { stream: taskId, call, proof });
      const endedProcesses = await keeper.endExecutions(taskId, call);
      call.onProgress?.('saving the present');
      const name = clip(`before restoring ${target.name}`, 100);
      const reason = `Taken before ${target.id} was restored`;
      const saved = await takeCheckpoint(kernel, keeper, { taskId, name, reason, onlyIfChanged: true }, leased, call);
      const notBack = await bringBack(kernel, keeper, target, leased, call);
      const notices = [...saved.notices, ...notBack];
      const restoration = {
        checkpoint: target,
        saved: saved.taken ? saved.checkpoint : null,
        endedProcesses,
        ...(notices.length === 0 ? {} : { notices }),
      };
      const detail = { checkpointId: target.id, savedCheckpointId: restoration.saved?.id ?? null, ...hooks };
      await kernel.commit({
        guard: leaseGuard(proof),
        records: [draft({ stream: taskId, type: 'task.restored', call, proof, detail })],
        ...key.finished(asJson(restoration)),
      });
      return restoration;
    }),
  );
}

/** @returns what was not brought back, each in one sentence */
async function bringBack(
  kernel: Kernel,
  keeper: SandboxKeeper,
  target: Checkpoint,
  leased: LeasedWork,
  call: Call,
): Promise<readonly string[]> {
  const task = await kernel.deps.tasks.getTask(target.taskId);
  const previous = await kernel.deps.tasks.findSandbox(task.id);
  if (task.workspace.mode === 'bind' || previous === undefined) {
    return restoreWithoutVolume(kernel, keeper, task, previous, target, leased, call);
  }
  const found = await keeper.find(task.id);
  await makeSandbox(
    kernel,
    {
      kind: 'restore',
      task,
      start: {
        imageId: target.root?.imageId ?? previous.imageId,
        workspace: target.workspace,
        home: target.home,
      },
      previous,
      keep: { workspace: null, home: null },
      checkpoint: target.id,
      detail: { checkpointId: target.id },
      prepare: async () => {
        keeper.forget(task.id);
        await found?.handle.destroy();
      },
      finish: async () => [await headPut(kernel, target)],
    },
    leased,
    call,
  );
  await removeVolumes(kernel, previous);
  return [];
}

/**
 * A bound directory is changed in place and its container is made again when it is next used. A task that never had a
 * sandbox only gets another starting point.
 */
async function restoreWithoutVolume(
  kernel: Kernel,
  keeper: SandboxKeeper,
  task: Task,
  previous: Sandbox | undefined,
  target: Checkpoint,
  leased: LeasedWork,
  call: Call,
): Promise<readonly string[]> {
  const directory = task.workspace.mode === 'bind' ? task.workspace.path : null;
  const intent = { checkpointId: target.id, directory };
  const operation: Operation = kernel.newOperation('restore', task.id, leased.proof, intent);
  const notices = await runOperation(
    kernel,
    { operation, excludes: ['sandbox', 'restore', 'checkpoint', 'deletion'], checkpoint: target.id, detail: intent },
    leased,
    call,
    async () => {
      const found = await keeper.find(task.id);
      keeper.forget(task.id);
      await found?.handle.destroy();
      const notBack = await restoreDirectory(kernel, directory, target, leased.signal);
      const puts = (): Promise<readonly Put[]> => directoryPuts(kernel, target, previous);
      const detail = { ...intent, ...(notBack.length === 0 ? {} : { warning: notBack.join('\n') }) };
      return { result: notBack, outcome: { checkpointId: target.id }, detail, puts };
    },
  );
  if (previous !== undefined) await removeVolumes(kernel, previous);
  return notices;
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
