import type { OperationId } from '../domain/ids.ts';
import { type Operation, isSameProcess } from '../domain/operation.ts';
import { isOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import { type Kernel, draft } from './kernel.ts';
import type { Call } from './services.ts';

/** Undoing takes milliseconds; bringing the work tree of a branch along, seconds at most. */
const settledWithinMs = 5_000;
const pollMs = 25;

/**
 * Makes this process the owner of a change that nobody will finish, in one transaction with the check of who it was. It needs no
 * lease from then on: nobody else settles it while this process lives.
 *
 * @returns null when another process was first
 */
export async function adoptWork(kernel: Kernel, operation: Operation, call: Call): Promise<Operation | null> {
  const { id, taskId: stream, owner, state, proof } = operation;
  const { processes } = kernel.deps;
  const adopted = { ...operation, owner: processes.self(), proof: null };
  if (proof === null && isSameProcess(owner, adopted.owner)) return operation;
  // Only who adopts has no proof: this one is at it already.
  if (proof === null && processes.isAlive(owner)) return null;
  const puts = [{ noun: 'operation', value: adopted }] as const;
  const detail = { from: { pid: owner.pid, startedAt: owner.startedAt } };
  try {
    await kernel.commit({
      guard: { ownedOperation: { id, owner }, ...(state === 'open' ? { openOperation: id } : {}) },
      records: [draft({ stream, type: 'work.adopted', call, operationId: id, puts, detail })],
    });
    return adopted;
  } catch (error) {
    if (isOpencodeToolsError(error, 'OCT_VERSION_CONFLICT')) return null;
    throw error;
  }
}

/** Waits a little for the process that adopted a change to settle it. */
export async function awaitSettled({ deps }: Kernel, id: OperationId): Promise<void> {
  const deadline = deps.clock.nowMs() + settledWithinMs;
  while (deps.clock.nowMs() < deadline) {
    const operation = await deps.tasks.findOperation(id);
    if (operation?.state !== 'open' || !deps.processes.isAlive(operation.owner)) return;
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}
