import type { Checkpoint } from '../domain/checkpoint.ts';
import type { Session } from '../domain/session.ts';
import type { Task } from '../domain/task.ts';
import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';
import { type DeadHolder, deadHolders } from './dead-holder.ts';
import type { Kernel } from './kernel.ts';

export function reasonFor({ id }: Task): string {
  return `The state of attempt ${id}`;
}

/** @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` while another attempt is being kept, and this one on its way out */
export function refuseIfDecided(checkpoints: readonly Checkpoint[], others: readonly Task[]): void {
  const reasons = new Set(checkpoints.map(({ reason }) => reason));
  const kept = others.find((other) => reasons.has(reasonFor(other)));
  if (kept === undefined) return;
  throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', `Attempt ${kept.id} is being kept already`, {
    remedy: `Finish that: opencode-tools attempts keep ${kept.forkedFrom?.taskId ?? ''} ${kept.id}. The others come back with \`opencode-tools recover\`.`,
    details: { argument: 'attempt', taskId: kept.id },
  });
}

/**
 * An attempt that an agent works in cannot be deleted. One that attaches later is met by the deletion, and the call finished by asking again.
 *
 * @throws OpencodeToolsError `OCT_LEASE_HELD` naming the agents
 */
export async function refuseIfHeld(kernel: Kernel, others: readonly Task[]): Promise<void> {
  const held: { readonly task: Task; readonly sessions: readonly Session[]; readonly dead: readonly DeadHolder[] }[] =
    [];
  for (const task of others) {
    const dead = await deadHolders(kernel, task.id);
    // Leases of the dead that left nothing open end when the attempt is deleted.
    const over = dead.filter(({ midway }) => !midway).map(({ lease }) => lease.id);
    const leases = (await kernel.deps.leases.listActive(task.id)).filter(
      ({ id, expiresAt }) => expiresAt > kernel.now() && !over.includes(id),
    );
    const sessions = await Promise.all(leases.map(({ sessionId }) => kernel.deps.tasks.findSession(sessionId)));
    if (leases.length > 0) held.push({ task, sessions: sessions.filter((session) => session !== undefined), dead });
  }
  const [first] = held;
  if (first === undefined) return;
  const who = held.map(({ task, sessions, dead }) => `${task.id} by ${sessions.map(nameAmong(dead)).join(', ')}`);
  throw new OpencodeToolsError('OCT_LEASE_HELD', `Attempts that would be deleted are held: ${who.join('; ')}`, {
    remedy: 'Wait until those agents have detached, or keep the attempt that is worked in; then ask again.',
    details: { taskId: first.task.id, sessions: held.flatMap(({ sessions }) => sessions.map(({ id }) => id)) },
  });
}

/** The agent of a session; for one whose process is dead that, and when its lease ends. */
function nameAmong(dead: readonly DeadHolder[]): (session: Session) => string {
  return ({ id, agent }) => {
    const holder = dead.find(({ session }) => session.id === id);
    if (holder === undefined) return agent;
    return `${agent} until ${holder.lease.expiresAt}; its process ${holder.process.pid} is dead`;
  };
}

/** The attempt that a person means. @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` for none, and for several */
export function pick(forks: readonly Task[], reference: string): Task {
  const named = forks.filter(({ title }) => title === reference);
  const found =
    reference.length < 8 ? named : forks.filter((fork) => fork.id.endsWith(reference) || named.includes(fork));
  const [only, ...more] = found;
  if (only !== undefined && more.length === 0) return only;
  throw new OpencodeToolsError(
    'OCT_INVALID_ARGUMENT',
    `${more.length === 0 ? 'No attempt is' : 'Several attempts are'} ${JSON.stringify(reference.slice(0, 200))}`,
    {
      remedy: `Name one by its id: ${(more.length === 0 ? forks : found).map(({ id }) => id).join(', ')}.`,
      details: { argument: 'attempt' },
    },
  );
}
