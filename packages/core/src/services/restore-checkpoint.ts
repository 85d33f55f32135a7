import type { Checkpoint } from '../domain/checkpoint.ts';
import { type CheckpointId, type TaskId, isId } from '../domain/ids.ts';
import { asJson } from '../domain/json.ts';
import type { Operation } from '../domain/operation.ts';
import type { Sandbox } from '../domain/sandbox.ts';
import type { Task } from '../domain/task.ts';
import type { RecordDraft } from '../ledger/ledger-record.ts';
import type { Put } from '../ledger/put.ts';
import { assertAlone } from './assert-alone.ts';
import { clip } from './clip.ts';
import { type IdempotencyKey, idempotentFromStart } from './idempotent.ts';
import { type Kernel, draft } from './kernel.ts';
import { makeSandbox } from './make-sandbox.ts';
import { directoryPuts, headPut, restoreDirectory } from './restore-directory.ts';
import { runHooks } from './run-hooks.ts';
import { runOperation } from './run-operation.ts';
import type { SandboxKeeper } from './sandbox-keeper.ts';
import type { Call, Restoration, UnderSession } from './services.ts';
import { type TakenCheckpoint, takeCheckpoint } from './take-checkpoint.ts';
import { type LeasedWork, settleTask, withLease } from './with-lease.ts';

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
  const restore = async (key: IdempotencyKey): Promise<Restoration> =>
    withLease(kernel, task, { sessionId: options.sessionId, sandbox: true }, call, async (leased) => {
      const { proof, session } = leased;
      await assertAlone(kernel, taskId, leased, 'Restoring', call);
      const context = { point: 'checkpoint:restoring', task, agent: session.agent, model: session.model } as const;
      const hooks = await runHooks(kernel, { ...context, sessionId: session.id }, { stream: taskId, call, proof });
      const endedProcesses = await keeper.endExecutions(taskId, call);
      call.onProgress?.('saving the present');
      const name = clip(`before restoring ${target.name}`, 100);
      const reason = `Taken before ${target.id} was restored`;
      const saved = await takeCheckpoint(kernel, keeper, { taskId, name, reason, onlyIfChanged: true }, leased, call);
      const facts = { endedProcesses, savedCheckpointId: saved.taken ? saved.checkpoint.id : null };
      const detail = { checkpointId: target.id, savedCheckpointId: facts.savedCheckpointId, ...hooks };
      const records = [draft({ stream: taskId, type: 'task.restored', call, proof, detail })];
      return bringBack(kernel, keeper, { target, saved, facts, records, key }, leased, call);
    });
  const args = { taskId, checkpointId: target.id };
  return idempotentFromStart(kernel, call, 'restore', args, restore, {
    settle: async () => settleTask(kernel, task, options.sessionId, call),
    given: async (operation) => restoredBefore(kernel, target, operation),
  });
}

/** What is known of a restore that was finished after its process had died. */
async function restoredBefore(kernel: Kernel, target: Checkpoint, { intent }: Operation): Promise<Restoration> {
  const { savedCheckpointId: id, endedProcesses } = intent;
  const saved = typeof id === 'string' && isId('checkpoint', id) ? await kernel.deps.checkpoints.find(id) : undefined;
  return {
    checkpoint: target,
    saved: saved ?? null,
    endedProcesses: typeof endedProcesses === 'number' ? endedProcesses : 0,
  };
}

interface Restoring {
  readonly target: Checkpoint;
  readonly saved: TakenCheckpoint;
  /** What its operation keeps for whoever has to answer in place of this process. */
  readonly facts: { readonly endedProcesses: number; readonly savedCheckpointId: CheckpointId | null };
  /** Of the transaction that finishes it. */
  readonly records: readonly RecordDraft[];
  readonly key: IdempotencyKey;
}

/** @param notBack what was not brought back */
function restoration({ target, saved, facts }: Restoring, notBack: readonly string[] = []): Restoration {
  const notices = [...saved.notices, ...notBack];
  return {
    checkpoint: target,
    saved: saved.taken ? saved.checkpoint : null,
    endedProcesses: facts.endedProcesses,
    ...(notices.length === 0 ? {} : { notices }),
  };
}

async function bringBack(
  kernel: Kernel,
  keeper: SandboxKeeper,
  restoring: Restoring,
  leased: LeasedWork,
  call: Call,
): Promise<Restoration> {
  const { target, facts, records, key } = restoring;
  const task = await kernel.deps.tasks.getTask(target.taskId);
  const previous = await kernel.deps.tasks.findSandbox(task.id);
  if (task.workspace.mode === 'bind' || previous === undefined) {
    return restoreWithoutVolume(kernel, keeper, task, previous, restoring, leased, call);
  }
  const found = await keeper.find(task.id);
  const result = restoration(restoring);
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
      detail: { checkpointId: target.id, ...facts },
      prepare: async () => {
        keeper.forget(task.id);
        await found?.handle.destroy();
      },
      finish: async () => [await headPut(kernel, target)],
      records,
      key,
      stored: asJson(result),
    },
    leased,
    call,
  );
  await removeVolumes(kernel, previous);
  return result;
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
  restoring: Restoring,
  leased: LeasedWork,
  call: Call,
): Promise<Restoration> {
  const { target, facts, records, key } = restoring;
  const directory = task.workspace.mode === 'bind' ? task.workspace.path : null;
  const intent = { checkpointId: target.id, directory, ...facts };
  const operation: Operation = kernel.newOperation('restore', task.id, leased.proof, intent, key.operationId);
  const result = await runOperation(
    kernel,
    {
      operation,
      excludes: ['sandbox', 'restore', 'checkpoint', 'deletion'],
      checkpoint: target.id,
      detail: intent,
      key,
    },
    leased,
    call,
    async () => {
      const found = await keeper.find(task.id);
      keeper.forget(task.id);
      await found?.handle.destroy();
      const notBack = await restoreDirectory(kernel, directory, target, leased.signal);
      const puts = (): Promise<readonly Put[]> => directoryPuts(kernel, target, previous);
      const detail = { ...intent, ...(notBack.length === 0 ? {} : { warning: notBack.join('\n') }) };
      const done = restoration(restoring, notBack);
      return { result: done, stored: asJson(done), outcome: { checkpointId: target.id }, detail, puts, records };
    },
  );
  if (previous !== undefined) await removeVolumes(kernel, previous);
  return result;
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
