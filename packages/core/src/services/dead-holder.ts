import { type SessionId, type TaskId, isId } from '../domain/ids.ts';
import type { ProcessRef } from '../domain/operation.ts';
import type { Lease, Session } from '../domain/session.ts';
import { OpencodeToolsError, isOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { Kernel } from './kernel.ts';
import type { Call } from './services.ts';

const mostTries = 3;

/** Who holds a lease that one verb took for itself, with a process that is provably gone. */
export interface DeadHolder {
  readonly lease: Lease;
  readonly session: Session;
  readonly process: ProcessRef;
  /** True when it left an operation open. */
  readonly midway: boolean;
}

export async function deadHolders({ deps }: Kernel, taskId: TaskId): Promise<readonly DeadHolder[]> {
  const leases = await deps.leases.listActive(taskId);
  if (leases.length === 0) return [];
  const known = await deps.tasks.listOpenOperations(taskId);
  const dead: Omit<DeadHolder, 'midway'>[] = [];
  for (const lease of leases) {
    const session = await deps.tasks.findSession(lease.sessionId);
    if (session?.ephemeral !== true) continue;
    const process = session.process ?? known.find(({ proof }) => proof?.sessionId === session.id)?.owner;
    if (process === undefined || deps.processes.isAlive(process)) continue;
    dead.push({ lease, session, process });
  }
  if (dead.length === 0) return [];
  // Who is dead begins nothing more, so that what is open now is all that it left.
  const left = new Set((await deps.tasks.listOpenOperations(taskId)).map(({ proof }) => proof?.sessionId));
  return dead.map((holder) => ({ ...holder, midway: left.has(holder.session.id) }));
}

/**
 * Ends the leases of dead holders that left nothing open. Whoever acquires the task next gets a larger token and passes the barrier as
 * after any takeover. Where an operation is open, what it asked of engine or disk may still be under way, and its lease stands
 * until it expires or a person takes the task over.
 *
 * @returns the sessions that ended
 */
export async function endLeasesOfDead(kernel: Kernel, taskId: TaskId, call: Call): Promise<readonly SessionId[]> {
  const ended: SessionId[] = [];
  for (const { session, process, midway } of await deadHolders(kernel, taskId)) {
    if (midway) continue;
    const end = { actor: call.actor, correlationId: call.correlationId ?? null };
    const reason = `its process ${process.pid} is dead`;
    await kernel.deps.leases.revoke(taskId, { ...end, reason }, [session.id]);
    ended.push(session.id);
  }
  if (ended.length > 0) kernel.deps.memory.touch(taskId);
  return ended;
}

/**
 * Acquires a lease, past those of dead holders that left nothing open; of a refusal by one that did says that it is dead, and how the
 * task is free. A caller who waits for it to detach waits for nothing.
 *
 * @throws OpencodeToolsError `OCT_LEASE_HELD`
 */
export async function acquirePastDead<T>(
  kernel: Kernel,
  taskId: TaskId,
  call: Call,
  acquire: () => Promise<T>,
): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await acquire();
    } catch (error) {
      if (!isOpencodeToolsError(error, 'OCT_LEASE_HELD')) throw error;
      const ended = await endLeasesOfDead(kernel, taskId, call).catch(() => []);
      if (ended.length > 0 && tries < mostTries) continue;
      throw (await ofDeadHolder(kernel, taskId, error).catch(() => undefined)) ?? error;
    }
  }
}

async function ofDeadHolder(
  kernel: Kernel,
  taskId: TaskId,
  refusal: OpencodeToolsError,
): Promise<OpencodeToolsError | undefined> {
  const { sessionId, expiresAt } = refusal.details;
  if (typeof sessionId !== 'string' || !isId('session', sessionId) || typeof expiresAt !== 'string') return undefined;
  const dead = (await deadHolders(kernel, taskId)).find(({ session }) => session.id === sessionId);
  if (dead === undefined) return undefined;
  return new OpencodeToolsError('OCT_LEASE_HELD', `${refusal.message}; its process ${dead.process.pid} is dead`, {
    remedy: `Call again after ${expiresAt}, when its lease ends, or take the task over now: \`opencode-tools resume-task ${taskId} --takeover\`, or the tool attach_agent_to_task with takeover: true.`,
    details: { ...refusal.details, holderIsDead: true },
    cause: refusal,
  });
}
