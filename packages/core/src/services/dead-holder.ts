import { type TaskId, isId } from '../domain/ids.ts';
import { OpencodeToolsError, isOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { Kernel } from './kernel.ts';

/**
 * Acquires a lease; of a refusal whose holder was one command, with a process that is provably gone, says so. A lease of nobody stands
 * until it expires, and a caller who waits for its holder to detach waits for nothing.
 *
 * @throws OpencodeToolsError `OCT_LEASE_HELD`
 */
export async function tellingOfDeadHolder<T>(kernel: Kernel, taskId: TaskId, acquire: () => Promise<T>): Promise<T> {
  try {
    return await acquire();
  } catch (error) {
    if (!isOpencodeToolsError(error, 'OCT_LEASE_HELD')) throw error;
    throw (await ofDeadHolder(kernel, taskId, error).catch(() => undefined)) ?? error;
  }
}

async function ofDeadHolder(
  { deps }: Kernel,
  taskId: TaskId,
  refusal: OpencodeToolsError,
): Promise<OpencodeToolsError | undefined> {
  const { sessionId, expiresAt } = refusal.details;
  if (typeof sessionId !== 'string' || !isId('session', sessionId) || typeof expiresAt !== 'string') return undefined;
  const session = await deps.tasks.findSession(sessionId);
  if (session?.ephemeral !== true) return undefined;
  const operations = await deps.tasks.listOpenOperations(taskId);
  const left = operations.find(({ proof, owner }) => proof?.sessionId === sessionId && !deps.processes.isAlive(owner));
  if (left === undefined) return undefined;
  const { pid } = left.owner;
  return new OpencodeToolsError('OCT_LEASE_HELD', `${refusal.message}; its process ${pid} is dead`, {
    remedy: `Call again after ${expiresAt}, when its lease ends, or take the task over now: \`opencode-tools resume-task ${taskId} --takeover\`, or the tool attach_agent_to_task with takeover: true.`,
    details: { ...refusal.details, holderIsDead: true },
    cause: refusal,
  });
}
