import type { TaskId } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import { asJson } from '../domain/json.ts';
import type { Receipt, Task } from '../domain/task.ts';
import { asOpencodeToolsError, isOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { Put } from '../ledger/put.ts';
import { assertAlone } from './assert-alone.ts';
import { findDamage } from './find-damage.ts';
import { idempotent } from './idempotent.ts';
import type { IdempotencyKey } from './idempotent.ts';
import { type Kernel, draft } from './kernel.ts';
import { lostWork } from './lost-work.ts';
import { runHooks } from './run-hooks.ts';
import { runOperation } from './run-operation.ts';
import type { SandboxKeeper } from './sandbox-keeper.ts';
import type { Call, Deletion, UnderSession } from './services.ts';
import { type TaskObjects, findTaskObjects, removeTaskObjects } from './task-objects.ts';
import { takeCheckpoint } from './take-checkpoint.ts';
import { type LeasedWork, withLease } from './with-lease.ts';

export interface DeleteOptions extends UnderSession {
  readonly dryRun?: boolean;
  readonly force?: boolean;
}

/**
 * Deletes a task's sandbox and leaves its record: executions are ended, what only exists in the sandbox is saved, then
 * containers and volumes go, then the row becomes a tombstone with a receipt. A deletion that was interrupted is finished by
 * asking again.
 */
export async function deleteTask(
  kernel: Kernel,
  keeper: SandboxKeeper,
  id: TaskId,
  options: DeleteOptions,
  call: Call,
): Promise<Deletion> {
  const dryRun = options.dryRun === true;
  const existing = await kernel.deps.tasks.findReceipt(id);
  if (existing !== undefined) return { dryRun, receipt: existing };
  const task = await kernel.deps.tasks.getTask(id);
  if (dryRun) return { dryRun, receipt: await preview(kernel, task) };
  const lease = { sessionId: options.sessionId, sandbox: true, takeover: options.force === true };
  return idempotent(kernel, call, 'delete', { taskId: id }, (key) =>
    withLease(kernel, task, lease, call, async (leased) => {
      await assertAlone(kernel, id, leased, 'Deleting', call);
      return bury(kernel, keeper, task, { force: options.force === true, key }, leased, call);
    }),
  );
}

async function bury(
  kernel: Kernel,
  keeper: SandboxKeeper,
  task: Task,
  { force, key }: { readonly force: boolean; readonly key: IdempotencyKey },
  leased: LeasedWork,
  call: Call,
): Promise<Deletion> {
  const { proof, session } = leased;
  const context = { point: 'task:deleting', task, agent: session.agent, model: session.model } as const;
  const hooks = await runHooks(kernel, { ...context, sessionId: session.id }, { stream: task.id, call, proof });
  const { finalCheckpointId, notices, lost } = await saveLast(kernel, keeper, task, force, leased, call);
  const operation = kernel.newOperation('deletion', task.id, proof, { finalCheckpointId });
  return runOperation(
    kernel,
    {
      operation,
      excludes: ['sandbox', 'execution', 'file', 'checkpoint', 'restore', 'egress', 'work', 'deletion'],
      detail: hooks,
      key,
    },
    leased,
    call,
    async () => {
      const removed = await removeObjects(kernel, keeper, task.id);
      const receipt = await composeReceipt(kernel, task, finalCheckpointId, removed, lost);
      const head = await kernel.deps.ledger.head(task.id);
      const final: JsonObject = { taskId: task.id, title: task.title, headSeq: head.seq, headHash: head.hash };
      const deletion = { dryRun: false, receipt, ...(notices.length === 0 ? {} : { notices }) };
      return {
        result: deletion,
        outcome: asJson(receipt),
        stored: asJson(deletion),
        puts: () => tombstonePuts(kernel, receipt),
        records: [
          draft({ stream: 'home', type: 'task.deleted', call, proof, operationId: operation.id, detail: final }),
        ],
      };
    },
  );
}

interface Saved {
  readonly finalCheckpointId: Receipt['finalCheckpointId'];
  /** What of the task is not in it, each in one sentence. */
  readonly notices: readonly string[];
  /** What could not be saved at all, each in one sentence. */
  readonly lost: readonly string[];
}

/**
 * Saves what no checkpoint holds yet. A task that never had a sandbox has nothing of the kind.
 *
 * @param force also where the engine has lost work: saves what is left
 * @throws OpencodeToolsError `OCT_WORKSPACE_LOST` for lost work without force
 */
async function saveLast(
  kernel: Kernel,
  keeper: SandboxKeeper,
  task: Task,
  force: boolean,
  leased: LeasedWork,
  call: Call,
): Promise<Saved> {
  const sandbox = await kernel.deps.tasks.findSandbox(task.id);
  const isAtRest =
    sandbox === undefined || (sandbox.ref === null && sandbox.homeVolume === null && sandbox.workspaceVolume === null);
  if (isAtRest) return lastSaved(kernel, task, force);
  await keeper.endExecutions(task.id, call);
  call.onProgress?.('taking a final checkpoint');
  const reason = 'Taken before the task was deleted';
  const input = { taskId: task.id, name: 'final', reason, onlyIfChanged: true, whatIsLeft: force };
  try {
    const { checkpoint, notices, lost } = await takeCheckpoint(kernel, keeper, input, leased, call);
    return { finalCheckpointId: checkpoint.id, notices, lost };
  } catch (error) {
    if (!force || !isOpencodeToolsError(error, 'OCT_WORKSPACE_LOST')) throw error;
    const { finalCheckpointId, lost } = await lastSaved(kernel, task, force);
    return { finalCheckpointId, notices: [], lost: [asOpencodeToolsError(error).message, ...lost] };
  }
}

/** The newest checkpoint of a task that has nothing else, if the engine has not lost it. */
async function lastSaved(kernel: Kernel, task: Task, force: boolean): Promise<Saved> {
  const head = task.headCheckpointId === null ? undefined : await kernel.deps.checkpoints.find(task.headCheckpointId);
  const damage = head === undefined ? undefined : (await findDamage(kernel, [head], { root: false })).get(head.id);
  if (damage === undefined) return { finalCheckpointId: task.headCheckpointId, notices: [], lost: [] };
  const what = damage.map(({ message }) => message).join('; ');
  if (!force) throw await lostWork(kernel, task, what);
  return { finalCheckpointId: null, notices: [], lost: [`Its newest checkpoint is damaged: ${what}`] };
}

/** Removes every container and volume of the task, whatever operation made it. */
async function removeObjects(kernel: Kernel, keeper: SandboxKeeper, taskId: TaskId): Promise<Receipt['removed']> {
  keeper.forget(taskId);
  const hadNetwork = await kernel.deps.egress.release(taskId, null);
  const removed = countsOf(await removeTaskObjects(kernel, taskId));
  return { ...removed, networks: removed.networks + (hadNetwork ? 1 : 0) };
}

function countsOf({ containers, volumes }: TaskObjects): Receipt['removed'] {
  return { containers: containers.length, volumes: volumes.length, networks: 0 };
}

async function composeReceipt(
  kernel: Kernel,
  task: Task,
  finalCheckpointId: Receipt['finalCheckpointId'],
  removed: Receipt['removed'],
  lost: readonly string[] = [],
): Promise<Receipt> {
  const roots = (await kernel.deps.checkpoints.list(task.id)).flatMap(({ root }) => (root === null ? [] : [root]));
  const kept: string[] = [];
  for (const imageId of new Set(roots.filter((root) => root.imageId !== root.baseImageId).map((root) => root.imageId)))
    if ((await kernel.deps.images.find(imageId)) !== undefined) kept.push(imageId);
  return {
    taskId: task.id,
    title: task.title,
    deletedAt: kernel.now(),
    finalCheckpointId,
    memory: kernel.deps.memory.directory(task.id),
    removed,
    keptImages: kept,
    ...(lost.length === 0 ? {} : { lost }),
  };
}

/** The rows after a deletion: a tombstone, and sessions and leases that have ended. */
async function tombstonePuts(kernel: Kernel, receipt: Receipt): Promise<readonly Put[]> {
  const { deps } = kernel;
  const endedAt = kernel.now();
  const puts: Put[] = [];
  for (const session of await deps.tasks.listSessions(receipt.taskId)) {
    if (session.state !== 'attached') continue;
    puts.push({ noun: 'session', value: { ...session, state: 'detached', endedAt, endReason: 'task deleted' } });
  }
  for (const lease of await deps.leases.listActive(receipt.taskId)) {
    puts.push({ noun: 'lease', value: { ...lease, state: 'released', endedAt } });
  }
  puts.push({ noun: 'receipt', value: receipt });
  return puts;
}

async function preview(kernel: Kernel, task: Task): Promise<Receipt> {
  const used = (await kernel.deps.tasks.findSandbox(task.id)) !== undefined;
  const found = used ? countsOf(await findTaskObjects(kernel, task.id)) : { containers: 0, volumes: 0, networks: 0 };
  const own = used ? (await kernel.deps.egress.list()).filter(({ taskId }) => taskId === task.id).length : 0;
  const removed = { ...found, networks: found.networks + own };
  const { finalCheckpointId, lost } = await lastSaved(kernel, task, true);
  return composeReceipt(kernel, task, finalCheckpointId, removed, lost);
}
