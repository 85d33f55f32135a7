import type { Checkpoint } from '../domain/checkpoint.ts';
import { type CheckpointId, type TaskId, isId } from '../domain/ids.ts';
import { asJson } from '../domain/json.ts';
import type { Operation } from '../domain/operation.ts';
import type { Sandbox } from '../domain/sandbox.ts';
import type { Task } from '../domain/task.ts';
import { asOpencodeToolsError, isOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { RecordDraft } from '../ledger/ledger-record.ts';
import type { Put } from '../ledger/put.ts';
import { assertAlone } from './assert-alone.ts';
import { clip } from './clip.ts';
import { assertSound } from './find-damage.ts';
import { type IdempotencyKey, idempotentFromStart } from './idempotent.ts';
import { type Kernel, draft } from './kernel.ts';
import { makeSandbox } from './make-sandbox.ts';
import { directoryPuts, headPut, restoreDirectory } from './restore-directory.ts';
import { runHooks } from './run-hooks.ts';
import { runOperation } from './run-operation.ts';
import type { SandboxKeeper } from './sandbox-keeper.ts';
import type { Call, Restoration, UnderSession } from './services.ts';
import { type TakeCheckpoint, takeCheckpoint } from './take-checkpoint.ts';
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
      if (task.workspace.mode === 'volume') await kernel.deps.workspaces.takeStock();
      await assertSound(kernel, target);
      const endedProcesses = await keeper.endExecutions(taskId, call);
      call.onProgress?.('saving the present');
      const name = clip(`before restoring ${target.name}`, 100);
      const reason = `Taken before ${target.id} was restored`;
      const input = { taskId, name, reason, onlyIfChanged: true, whatIsLeft: true };
      const present = await savePresent(kernel, keeper, input, leased, call);
      const facts = { endedProcesses, savedCheckpointId: present.saved?.id ?? null };
      const detail = { checkpointId: target.id, savedCheckpointId: facts.savedCheckpointId, ...hooks };
      const records = [draft({ stream: taskId, type: 'task.restored', call, proof, detail })];
      return bringBack(kernel, keeper, { target, ...present, facts, records, key }, leased, call);
    });
  const args = { taskId, checkpointId: target.id };
  return idempotentFromStart(kernel, call, 'restore', args, restore, {
    settle: async () => settleTask(kernel, task, options.sessionId, call),
    given: async (operation) => restoredBefore(kernel, target, operation),
  });
}

/** Saves what is left of the present. Where the engine has lost all of it the task comes back all the same. */
async function savePresent(
  kernel: Kernel,
  keeper: SandboxKeeper,
  input: TakeCheckpoint,
  leased: LeasedWork,
  call: Call,
): Promise<Pick<Restoring, 'saved' | 'notices'>> {
  try {
    const { checkpoint, taken, notices } = await takeCheckpoint(kernel, keeper, input, leased, call);
    return { saved: taken ? checkpoint : null, notices };
  } catch (error) {
    if (!isOpencodeToolsError(error, 'OCT_WORKSPACE_LOST')) throw error;
    return { saved: null, notices: [asOpencodeToolsError(error).message] };
  }
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
  readonly saved: Checkpoint | null;
  /** What of the present could not be saved. */
  readonly notices: readonly string[];
  /** What its operation keeps for whoever has to answer in place of this process. */
  readonly facts: { readonly endedProcesses: number; readonly savedCheckpointId: CheckpointId | null };
  /** Of the transaction that finishes it. */
  readonly records: readonly RecordDraft[];
  readonly key: IdempotencyKey;
}

/** @param notBack what was not brought back */
function restoration(
  { target, saved, facts, notices: unsaved }: Restoring,
  notBack: readonly string[] = [],
): Restoration {
  const notices = [...unsaved, ...notBack];
  return {
    checkpoint: target,
    saved,
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
