import type { Checkpoint } from '../domain/checkpoint.ts';
import type { CheckpointId, TaskId } from '../domain/ids.ts';
import type { OperationKind } from '../domain/operation.ts';
import type { LeaseProof } from '../domain/session.ts';
import type { Task } from '../domain/task.ts';
import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';
import { rootImagePrefix } from './capture.ts';
import { changeCheckpoint, taskOrLastRow } from './change-checkpoint.ts';
import type { CheckpointDeletion } from './checkpoint-contract.ts';
import { type IdempotencyKey, idempotent } from './idempotent.ts';
import type { Kernel } from './kernel.ts';
import type { Call, UnderSession } from './services.ts';
import { assertHere, withLease } from './with-lease.ts';

/** What begins from a checkpoint, or is about to name one. */
const usesCheckpoints: readonly OperationKind[] = ['sandbox', 'checkpoint', 'restore', 'deletion'];
const pageSize = 500;

/**
 * Deletes a checkpoint of a task, deleted ones included: its row goes with a record that keeps what it was, then its image when nothing else needs it.
 * The trees that only it named are collected later. A fork has a checkpoint of its own and loses nothing.
 *
 * @throws OpencodeToolsError `OCT_POLICY_DENIED` for one that is kept: see `keptBecause`; `OCT_VERSION_CONFLICT` while an operation that
 *   may begin from it is open
 */
export async function deleteCheckpoint(
  kernel: Kernel,
  taskId: TaskId,
  reference: string,
  options: UnderSession & { readonly dryRun?: boolean },
  call: Call,
): Promise<CheckpointDeletion> {
  const { task, living } = await taskOrLastRow(kernel, taskId);
  assertHere(kernel, task);
  if (options.dryRun === true) {
    const checkpoint = await kernel.deps.checkpoints.resolve(taskId, reference);
    await assertMayGo(kernel, living ? task : undefined, checkpoint);
    return { dryRun: true, checkpoint };
  }
  return idempotent(kernel, call, 'delete-checkpoint', { taskId, reference }, async (key) => {
    const { sessionId } = options;
    if (sessionId === undefined || !living)
      return removeCheckpoint(kernel, taskId, reference, { call, key, proof: null });
    return withLease(kernel, task, { sessionId, sandbox: false }, call, ({ proof }) =>
      removeCheckpoint(kernel, taskId, reference, { call, key, proof }),
    );
  });
}

interface Removing {
  readonly call: Call;
  readonly key?: IdempotencyKey;
  readonly proof: LeaseProof | null;
  /** Why, for the record. */
  readonly reason?: string;
}

/** Deletes a checkpoint that may go, and then its image. */
export async function removeCheckpoint(
  kernel: Kernel,
  taskId: TaskId,
  reference: string,
  { call, key, proof, reason }: Removing,
): Promise<CheckpointDeletion> {
  const changing = { call, key, proof };
  const deletion = await changeCheckpoint(kernel, taskId, reference, changing, async (checkpoint, task) => {
    await assertMayGo(kernel, task, checkpoint);
    const { id, name, parentId, manifestDigest } = checkpoint;
    const detail = { checkpointId: id, name, parentId, manifestDigest, ...(reason === undefined ? {} : { reason }) };
    return {
      result: { dryRun: false, checkpoint },
      record: { type: 'checkpoint.deleted', put: { noun: 'checkpointRemoval', value: { id, taskId } }, detail },
      guard: { noOpenOperation: { taskId, kinds: usesCheckpoints } },
    };
  });
  await dropImage(kernel, deletion.checkpoint);
  return deletion;
}

/** Why a checkpoint of the task stays whatever is asked; null when it may go. */
async function keptBecause(
  kernel: Kernel,
  task: Task | undefined,
  { id, taskId, pinned, tags }: Checkpoint,
): Promise<{ readonly fact: string; readonly remedy: string } | null> {
  if (task?.headCheckpointId === id)
    return {
      fact: 'is what its task comes back from',
      remedy: 'Take another checkpoint first, or restore one; or delete the task.',
    };
  if (tags.length > 0)
    return {
      fact: `is tagged ${tags.join(', ')}`,
      remedy: `Take the tag away first: opencode-tools checkpoints untag ${taskId} ${tags[0] ?? ''}`,
    };
  if (pinned) return { fact: 'is pinned', remedy: `Unpin it first: opencode-tools checkpoints unpin ${taskId} ${id}` };
  const fork = (await tasksByHead(kernel)).get(id);
  if (fork === undefined) return null;
  return {
    fact: `is what task ${fork.id} comes back from`,
    remedy: `Take a checkpoint of that task first: opencode-tools checkpoint ${fork.id}`,
  };
}

async function assertMayGo(kernel: Kernel, task: Task | undefined, checkpoint: Checkpoint): Promise<void> {
  const kept = await keptBecause(kernel, task, checkpoint);
  if (kept === null) return;
  throw new OpencodeToolsError('OCT_POLICY_DENIED', `Checkpoint ${checkpoint.id} ${kept.fact}`, {
    remedy: kept.remedy,
    details: { checkpointId: checkpoint.id, taskId: checkpoint.taskId },
  });
}

/** The checkpoints that tasks come back from, and the first task of each; before forks had their own they shared one. */
async function tasksByHead(kernel: Kernel): Promise<ReadonlyMap<CheckpointId, Task>> {
  const { tasks } = kernel.deps;
  const heads = new Map<CheckpointId, Task>();
  let cursor: string | null = null;
  do {
    const page: Awaited<ReturnType<typeof tasks.listTasks>> = await tasks.listTasks(
      {},
      { limit: pageSize, ...(cursor === null ? {} : { cursor }) },
    );
    for (const task of page.items) if (task.headCheckpointId !== null) heads.set(task.headCheckpointId, task);
    cursor = page.next;
  } while (cursor !== null);
  return heads;
}

/** The checkpoints that tasks come back from. */
export async function headsOf(kernel: Kernel): Promise<ReadonlySet<CheckpointId>> {
  return new Set((await tasksByHead(kernel)).keys());
}

/** An image that another checkpoint or a sandbox begins with stays; what the engine refuses to remove is left to the reaper. */
async function dropImage(kernel: Kernel, { root }: Checkpoint): Promise<void> {
  const { checkpoints, tasks, images, logger } = kernel.deps;
  if (root === null) return;
  const { imageId } = root;
  const others = (await checkpoints.listAll()).flatMap((other) => (other.root === null ? [] : [other.root]));
  const isNeeded =
    others.some((other) => other.imageId === imageId || other.baseImageId === imageId) ||
    (await tasks.listSandboxes()).some((sandbox) => sandbox.imageId === imageId);
  if (isNeeded) return;
  try {
    const names = (await images.find(imageId))?.references ?? [];
    for (const name of names) if (name.startsWith(rootImagePrefix)) await images.remove(name);
  } catch (error) {
    logger.warn('The image of a deleted checkpoint was not removed', { imageId, error: String(error) });
  }
}
