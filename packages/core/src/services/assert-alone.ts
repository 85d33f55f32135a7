import type { TaskId } from '../domain/ids.ts';
import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { Kernel } from './kernel.ts';
import { endLeasesOfDead } from './dead-holder.ts';
import type { Call } from './services.ts';
import type { LeasedWork } from './with-lease.ts';

/**
 * Refuses a verb that ends everything in a task while other agents are attached to it.
 *
 * @throws OpencodeToolsError `OCT_LEASE_HELD` naming their sessions
 */
export async function assertAlone(
  kernel: Kernel,
  taskId: TaskId,
  { proof }: LeasedWork,
  verb: string,
  call: Call,
): Promise<void> {
  const active = await kernel.deps.leases.listActive(taskId);
  const attached = active.filter((lease) => lease.id !== proof.leaseId);
  if (attached.length === 0) return;
  const gone = await endLeasesOfDead(kernel, taskId, call);
  const others = attached.filter(({ sessionId }) => !gone.includes(sessionId));
  if (others.length === 0) return;
  const who = others.length === 1 ? 'Another agent is' : `${others.length} other agents are`;
  throw new OpencodeToolsError('OCT_LEASE_HELD', `${who} attached to ${taskId}`, {
    remedy: `${verb} ends everything that runs in the task; wait until the others have detached, or stop the task.`,
    details: { taskId, sessions: others.map((lease) => lease.sessionId) },
  });
}
