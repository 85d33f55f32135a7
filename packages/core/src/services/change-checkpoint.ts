import type { Checkpoint } from '../domain/checkpoint.ts';
import type { TaskId } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import type { LeaseProof } from '../domain/session.ts';
import type { Task } from '../domain/task.ts';
import { isOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { RecordType } from '../ledger/ledger-record.ts';
import type { Put } from '../ledger/put.ts';
import type { Change, Guard } from '../ports/task-store.ts';
import { lastRow } from './fork-task.ts';
import type { IdempotencyKey } from './idempotent.ts';
import { type Kernel, draft, leaseGuard } from './kernel.ts';
import type { Call } from './services.ts';
import { isHere } from './with-lease.ts';

const mostTurns = 4;

/** A change of one checkpoint, with what the caller gets. */
export interface CheckpointChange<T> {
  readonly result: T;
  /** Null: nothing to do. */
  readonly record: { readonly type: RecordType; readonly put: Put; readonly detail: JsonObject } | null;
  /** What must hold besides, for a task that lives. */
  readonly guard?: Guard;
}

export interface ChangingCheckpoint {
  readonly call: Call;
  readonly proof: LeaseProof | null;
  readonly key?: IdempotencyKey | undefined;
}

/**
 * Changes a checkpoint under its task's version, so that nothing that changes the task meanwhile, a restore for one, goes unseen.
 * A deleted task has no version: how its checkpoint is marked is the guard then, and its chain goes on.
 *
 * @param decide gets the task, undefined when it was deleted; asked again when somebody was faster
 */
export async function changeCheckpoint<T extends object>(
  kernel: Kernel,
  taskId: TaskId,
  reference: string,
  { call, proof, key }: ChangingCheckpoint,
  decide: (checkpoint: Checkpoint, task: Task | undefined) => Promise<CheckpointChange<T>> | CheckpointChange<T>,
): Promise<T> {
  const decideOn = async (task: Task | undefined): Promise<{ readonly change: Change | null; readonly result: T }> => {
    const checkpoint = await kernel.deps.checkpoints.resolve(taskId, reference);
    const { record, result, guard } = await decide(checkpoint, task);
    if (record === null) return { change: null, result };
    const touched: readonly Put[] =
      task === undefined
        ? []
        : [{ noun: 'task', value: { ...task, version: task.version + 1, updatedAt: kernel.now() } }];
    const { type, put, detail } = record;
    const { id, pinned, tags } = checkpoint;
    const guards: Guard = {
      ...(proof === null ? {} : leaseGuard(proof, true)),
      ...(task === undefined ? { marks: { id, pinned, tags } } : guard),
      checkpoint: id,
    };
    const records = [draft({ stream: taskId, type, call, proof, puts: [put, ...touched], detail })];
    return { change: { guard: guards, records, ...key?.finished(result as unknown as JsonObject) }, result };
  };
  if ((await kernel.deps.tasks.findReceipt(taskId)) === undefined) return kernel.changeTask(taskId, decideOn);
  for (let turn = 1; ; turn += 1) {
    const { epoch } = kernel.deps.tasks;
    const { change, result } = await decideOn(undefined);
    if (change === null) return result;
    try {
      await kernel.commit({ ...change, epoch });
      return result;
    } catch (error) {
      if (turn === mostTurns || !isOpencodeToolsError(error, 'OCT_VERSION_CONFLICT')) throw error;
    }
  }
}

/** Whether the checkpoints of a task are with this home; false as well for one of which no record says what it was. */
export async function areHere(kernel: Kernel, taskId: TaskId): Promise<boolean> {
  try {
    return isHere(kernel, (await taskOrLastRow(kernel, taskId)).task);
  } catch (error) {
    if (isOpencodeToolsError(error, 'OCT_TASK_NOT_FOUND')) return false;
    throw error;
  }
}

/** The task of checkpoints, as its last record shows it when it was deleted. @throws OpencodeToolsError `OCT_TASK_NOT_FOUND` */
export async function taskOrLastRow(
  kernel: Kernel,
  taskId: TaskId,
): Promise<{ readonly task: Task; readonly living: boolean }> {
  const living = await kernel.deps.tasks.findTask(taskId);
  if (living !== undefined) return { task: living, living: true };
  return { task: await lastRow(kernel, taskId), living: false };
}
