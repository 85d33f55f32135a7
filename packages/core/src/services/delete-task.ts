import type { TaskId } from '../domain/ids.ts';
import { asJson } from '../domain/json.ts';
import type { Operation } from '../domain/operation.ts';
import type { Receipt, Task } from '../domain/task.ts';
import { idempotent } from './idempotent.ts';
import { type Kernel, draft, finished, leaseGuard } from './kernel.ts';
import { runHooks } from './run-hooks.ts';
import type { SandboxKeeper } from './sandbox-keeper.ts';
import type { Call, Deletion, UnderSession } from './services.ts';
import { takeCheckpoint } from './take-checkpoint.ts';
import { type LeasedWork, withLease } from './with-lease.ts';

interface Removed {
  readonly containers: number;
  readonly volumes: number;
  readonly networks: number;
}

/**
 * Deletes a task's sandbox and leaves its record: what only exists in the sandbox is saved first, then containers and volumes
 * go, then the row becomes a tombstone with a receipt. A deletion that was interrupted is finished by asking again.
 */
export async function deleteTask(
  kernel: Kernel,
  keeper: SandboxKeeper,
  id: TaskId,
  options: UnderSession & { readonly dryRun?: boolean; readonly force?: boolean },
  call: Call,
): Promise<Deletion> {
  const dryRun = options.dryRun === true;
  const existing = await kernel.deps.tasks.findReceipt(id);
  if (existing !== undefined) return { dryRun, receipt: existing };
  const task = await kernel.deps.tasks.getTask(id);
  if (dryRun) return { dryRun, receipt: await preview(kernel, task) };
  return idempotent(kernel, call, 'delete', { taskId: id }, (key) =>
    withLease(
      kernel,
      task,
      { sessionId: options.sessionId, sandbox: true, takeover: options.force === true },
      call,
      async (leased) => {
        const { proof, session } = leased;
        const hooks = await runHooks(
          kernel,
          { point: 'task:deleting', task, agent: session.agent, model: session.model, sessionId: session.id },
          { stream: id, call, proof },
        );
        const finalCheckpointId = await saveLast(kernel, keeper, task, leased, call);
        const open = kernel.newOperation('deletion', id, proof, { finalCheckpointId });
        await kernel.commit({
          guard: {
            ...leaseGuard(proof),
            noOpenOperation: { taskId: id, kinds: ['sandbox', 'execution', 'checkpoint', 'restore', 'deletion'] },
          },
          records: [
            draft({
              stream: id,
              type: 'deletion.requested',
              call,
              proof,
              operationId: open.id,
              puts: [{ noun: 'operation', value: open }],
              detail: hooks,
            }),
          ],
          ...key.started(open.id),
        });
        const removed = await removeObjects(kernel, keeper, id);
        const receipt = await composeReceipt(kernel, task, finalCheckpointId, removed);
        await bury(kernel, open, receipt, leased, call);
        return { dryRun, receipt };
      },
    ),
  );
}

/** Saves what no checkpoint holds yet. A task that never had a sandbox has nothing of the kind. */
async function saveLast(
  kernel: Kernel,
  keeper: SandboxKeeper,
  task: Task,
  leased: LeasedWork,
  call: Call,
): Promise<Receipt['finalCheckpointId']> {
  const sandbox = await kernel.deps.tasks.findSandbox(task.id);
  if (sandbox === undefined || (sandbox.ref === null && sandbox.homeVolume === null)) return task.headCheckpointId;
  call.onProgress?.('taking a final checkpoint');
  const input = { task, name: 'final', reason: 'Taken before the task was deleted', onlyIfChanged: true };
  return (await takeCheckpoint(kernel, keeper, input, leased, call)).checkpoint.id;
}

/** Removes every container and volume that carries the task's label, whatever operation made it. */
async function removeObjects(kernel: Kernel, keeper: SandboxKeeper, taskId: TaskId): Promise<Removed> {
  const { runtime, homeId } = kernel.deps;
  keeper.forget(taskId);
  const containers = await runtime.list({ homeId, taskId });
  for (const { ref } of containers) await (await runtime.find(ref))?.destroy();
  const volumes = await runtime.volumes.list(taskLabels(kernel, taskId));
  for (const { name } of volumes) await runtime.volumes.remove(name);
  return { containers: containers.length, volumes: volumes.length, networks: 0 };
}

function taskLabels(kernel: Kernel, taskId: TaskId): Readonly<Record<string, string>> {
  return { 'io.opencode-tools.home': kernel.deps.homeId, 'io.opencode-tools.task': taskId };
}

async function composeReceipt(
  kernel: Kernel,
  task: Task,
  finalCheckpointId: Receipt['finalCheckpointId'],
  removed: Removed,
): Promise<Receipt> {
  const checkpoints = await kernel.deps.checkpoints.list(task.id);
  const committed = checkpoints
    .map((checkpoint) => checkpoint.root)
    .filter((root) => root !== null && root.imageId !== root.baseImageId);
  return {
    taskId: task.id,
    title: task.title,
    deletedAt: kernel.now(),
    finalCheckpointId,
    memory: kernel.deps.memory.directory(task.id),
    removed,
    keptImages: [...new Set(committed.map((root) => root?.imageId ?? ''))],
  };
}

/** The last transaction: tombstone, ended sessions, and the home's own record of the final head. */
async function bury(kernel: Kernel, open: Operation, receipt: Receipt, leased: LeasedWork, call: Call): Promise<void> {
  const { proof, session } = leased;
  const { deps } = kernel;
  const head = await deps.ledger.head(receipt.taskId);
  const at = kernel.now();
  const leases = await deps.leases.listActive(receipt.taskId);
  const sessions = (await deps.tasks.listSessions(receipt.taskId)).filter(
    (candidate) => candidate.state === 'attached',
  );
  await kernel.commit({
    guard: { ...leaseGuard(proof), openOperation: open.id },
    records: [
      draft({
        stream: receipt.taskId,
        type: 'deletion.completed',
        call,
        proof,
        operationId: open.id,
        puts: [
          { noun: 'operation', value: finished(open, 'completed', asJson(receipt), at) },
          ...sessions.map(
            (value) =>
              ({
                noun: 'session',
                value: { ...value, state: 'detached', endedAt: at, endReason: 'task deleted' },
              }) as const,
          ),
          ...leases.map((value) => ({ noun: 'lease', value: { ...value, state: 'released', endedAt: at } }) as const),
          { noun: 'receipt', value: receipt },
        ],
        detail: { by: session.id },
      }),
      draft({
        stream: 'home',
        type: 'task.deleted',
        call,
        proof,
        operationId: open.id,
        detail: { taskId: receipt.taskId, title: receipt.title, headSeq: head.seq, headHash: head.hash },
      }),
    ],
  });
}

async function preview(kernel: Kernel, task: Task): Promise<Receipt> {
  const { runtime, homeId } = kernel.deps;
  const sandbox = await kernel.deps.tasks.findSandbox(task.id);
  const engine = sandbox !== undefined;
  const containers = engine ? await runtime.list({ homeId, taskId: task.id }) : [];
  const volumes = engine ? await runtime.volumes.list(taskLabels(kernel, task.id)) : [];
  return composeReceipt(kernel, task, task.headCheckpointId, {
    containers: containers.length,
    volumes: volumes.length,
    networks: 0,
  });
}
