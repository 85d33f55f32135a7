import type { TaskId } from '../domain/ids.ts';
import type { Operation, OperationKind } from '../domain/operation.ts';
import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { Kernel } from './kernel.ts';

const limitMs = 600_000;
const pollMs = 25;

/** True when its process is gone or gave it up, or its lease has ended: nobody will finish the operation. */
export async function isAbandoned(kernel: Kernel, operation: Operation): Promise<boolean> {
  if (kernel.leftToRecovery.has(operation.id)) return true;
  if (!kernel.deps.processes.isAlive(operation.owner)) return true;
  return !(await isLeaseActive(kernel, operation));
}

/** True while nobody has taken or released the lease that the operation was requested under. */
export async function isLeaseActive(kernel: Kernel, { proof, taskId }: Operation): Promise<boolean> {
  if (proof === null) return true;
  const active = await kernel.deps.leases.listActive(taskId);
  return active.some((lease) => lease.id === proof.leaseId && lease.token === proof.token);
}

/**
 * Waits until no operation of the kinds is under way on a task in another call. A sandbox that a checkpoint has paused must
 * not be woken before the checkpoint is taken: it would be torn.
 *
 * @throws OpencodeToolsError `OCT_TIMEOUT` after ten minutes
 */
export async function awaitQuiet(
  kernel: Kernel,
  taskId: TaskId,
  kinds: readonly OperationKind[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const deadline = kernel.deps.clock.nowMs() + limitMs;
  while (await isUnderWay(kernel, taskId, kinds)) {
    signal?.throwIfAborted();
    if (kernel.deps.clock.nowMs() > deadline) throw stillBusy(taskId, kinds);
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}

/** Tells whether an operation of the kinds is under way on a task, by a process that lives. */
export async function isUnderWay(kernel: Kernel, taskId: TaskId, kinds: readonly OperationKind[]): Promise<boolean> {
  for (const operation of await kernel.deps.tasks.listOpenOperations(taskId)) {
    if (kinds.includes(operation.kind) && !(await isAbandoned(kernel, operation))) return true;
  }
  return false;
}

function stillBusy(taskId: TaskId, kinds: readonly OperationKind[]): OpencodeToolsError {
  return new OpencodeToolsError(
    'OCT_TIMEOUT',
    `Operations of ${taskId} (${kinds.join(', ')}) did not end in ${limitMs} ms`,
    {
      remedy: 'Ask for the task status to see what is under way; stop the task to end it.',
      details: { limit: 'other operations', valueMs: limitMs },
    },
  );
}
