import type { TaskId } from '../domain/ids.ts';
import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { Kernel } from './kernel.ts';
import type { LeasedWork } from './with-lease.ts';

/**
 * Refuses a verb that ends everything in a task while other agents are attached to it.
 *
 * @throws OpencodeToolsError `OCT_LEASE_HELD` naming their sessions
 */
export async function assertAlone(kernel: Kernel, taskId: TaskId, leased: LeasedWork, verb: string): Promise<void> {
  const active = await kernel.deps.leases.listActive(taskId);
  const others = active.filter((lease) => lease.id !== leased.proof.leaseId);
  if (others.length === 0) return;
  const who = others.length === 1 ? 'Another agent is' : `${others.length} other agents are`;
  throw new OpencodeToolsError('OCT_LEASE_HELD', `${who} attached to ${taskId}`, {
    remedy: `${verb} ends everything that runs in the task; wait until the others have detached, or stop the task.`,
    details: { taskId, sessions: others.map((lease) => lease.sessionId) },
  });
}
