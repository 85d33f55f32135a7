import type { LeaseId, SessionId, TaskId } from '../domain/ids.ts';
import type { Lease, LeaseProof, Session } from '../domain/session.ts';
import type { Task } from '../domain/task.ts';
import { OpencodeToolsError, isOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import { passBarrier, proofOf, withRaisedTokens } from './barrier.ts';
import { acquirePastDead } from './dead-holder.ts';
import type { Kernel } from './kernel.ts';
import { recoverTask } from './recovery.ts';
import type { Call, RecoveredOperation } from './services.ts';

/** A command that is killed keeps others out no longer than this; one that lives renews three times as often. */
const ephemeralTtlMs = 30_000;

export interface WithLeaseOptions {
  readonly sessionId?: SessionId | undefined;
  /**
   * True passes the takeover barrier first and settles what dead processes left open; false is for changes of rows only.
   */
  readonly sandbox: boolean;
  /** True ends the sessions that hold the task; for an operator's verbs. Ignored when a session is given. */
  readonly takeover?: boolean;
}

/** The right under which `withLease` runs its work. */
export interface LeasedWork {
  readonly proof: LeaseProof;
  readonly session: Session;
  /** Aborted when the caller gives up or the lease is lost. */
  readonly signal: AbortSignal;
  /** Operations of dead processes that were settled on the way in. */
  readonly recovered: readonly RecoveredOperation[];
  /** What the caller should be told beside the result, in sentences; the work adds to it. */
  readonly notices: string[];
}

/**
 * Runs work under a lease: the given session's, or one that is taken for the work and released after it. Renews the lease
 * while the work lasts and aborts the work when the lease is lost.
 *
 * @throws OpencodeToolsError `OCT_LEASE_HELD`, `OCT_LEASE_LOST`, `OCT_SESSION_NOT_FOUND`
 */
export async function withLease<T>(
  kernel: Kernel,
  task: Task,
  options: WithLeaseOptions,
  call: Call,
  work: (leased: LeasedWork) => Promise<T>,
): Promise<T> {
  call.signal?.throwIfAborted();
  if (options.sandbox) assertHere(kernel, task);
  if (options.sessionId !== undefined) {
    const { lease, session } = await sessionLease(kernel, task.id, options.sessionId);
    return underLease(kernel, lease, session, { ...options, takeover: false }, call, work);
  }
  return withRaisedTokens(async () => {
    const { lease, session } = await ephemeralLease(kernel, task, options.takeover === true, call);
    try {
      return await underLease(kernel, lease, session, options, call, work);
    } finally {
      await releaseQuietly(kernel, proofOf(lease), 'done', call);
    }
  });
}

async function underLease<T>(
  kernel: Kernel,
  lease: Lease,
  session: Session,
  options: WithLeaseOptions,
  call: Call,
  work: (leased: LeasedWork) => Promise<T>,
): Promise<T> {
  const proof = proofOf(lease);
  const lost = new AbortController();
  const signal = call.signal === undefined ? lost.signal : AbortSignal.any([call.signal, lost.signal]);
  const timer = setInterval(() => void renewOrAbort(kernel, proof, lost), Math.max(250, lease.ttlMs / 3));
  try {
    await renewIfAged(kernel, lease);
    const recovered = options.sandbox
      ? await enterSandbox(kernel, lease, options.takeover === true, { ...call, signal })
      : [];
    signal.throwIfAborted();
    return await work({ proof, session, signal, recovered, notices: [] });
  } catch (error) {
    if (lost.signal.aborted && isOpencodeToolsError(lost.signal.reason, 'OCT_LEASE_LOST')) throw lost.signal.reason;
    throw error;
  } finally {
    clearInterval(timer);
  }
}

/** Passes the takeover barrier and settles what dead processes left open. */
async function enterSandbox(
  kernel: Kernel,
  lease: Lease,
  takeover: boolean,
  call: Call,
): Promise<readonly RecoveredOperation[]> {
  await passBarrier(kernel, lease, call, { takeover });
  return recoverTask(kernel, proofOf(lease), call);
}

/**
 * For effects outside store and sandbox, which nothing fences: asks the store right before, so that whoever slept while the lease was
 * lost does nothing when it wakes. A moment remains between the answer and the effect.
 */
export function stillHeld(kernel: Kernel, { proof, signal }: LeasedWork): () => Promise<void> {
  return async () => {
    signal.throwIfAborted();
    await kernel.deps.leases.renew(proof);
  };
}

/** Settles what dead processes left open in a task, and does nothing else. */
export async function settleTask(
  kernel: Kernel,
  task: Task,
  sessionId: SessionId | undefined,
  call: Call,
): Promise<void> {
  await withLease(kernel, task, { sessionId, sandbox: true }, call, async () => undefined);
}

/** Any call renews; writing the row is spared while most of the ttl is left. */
async function renewIfAged(kernel: Kernel, lease: Lease): Promise<void> {
  const age = kernel.deps.clock.nowMs() - Date.parse(lease.renewedAt);
  if (lease.state === 'held' && age > lease.ttlMs / 4) await kernel.deps.leases.renew(proofOf(lease));
}

async function renewOrAbort(kernel: Kernel, proof: LeaseProof, lost: AbortController): Promise<void> {
  try {
    await kernel.deps.leases.renew(proof);
  } catch (error) {
    if (isOpencodeToolsError(error, 'OCT_LEASE_LOST')) lost.abort(error);
    else kernel.deps.logger.warn('Lease could not be renewed; trying again', { leaseId: proof.leaseId });
  }
}

/**
 * Sandbox, outputs and checkpoints of a task are with its home.
 *
 * @throws OpencodeToolsError `OCT_TASK_ON_OTHER_HOST`
 */
export function assertHere(kernel: Kernel, task: Task): void {
  if (isHere(kernel, task)) return;
  throw new OpencodeToolsError('OCT_TASK_ON_OTHER_HOST', `The sandbox of ${task.id} is with home ${task.homeId}`, {
    details: { taskId: task.id, homeId: task.homeId },
  });
}

/** False for a task whose sandbox is with another home of the same registry. */
export function isHere(kernel: Kernel, task: Task): boolean {
  return task.homeId === kernel.deps.homeId;
}

async function sessionLease(
  kernel: Kernel,
  taskId: TaskId,
  sessionId: SessionId,
): Promise<{ lease: Lease; session: Session }> {
  const { lease, session } = await kernel.deps.leases.proofOf(sessionId);
  if (session.taskId === taskId) return { lease, session };
  throw new OpencodeToolsError(
    'OCT_INVALID_ARGUMENT',
    `Session ${sessionId} is attached to another task, ${session.taskId}`,
    {
      remedy: 'Pass the session id that attaching to this task returned.',
      details: { argument: 'sessionId', taskId: session.taskId },
    },
  );
}

async function ephemeralLease(
  kernel: Kernel,
  task: Task,
  takeover: boolean,
  call: Call,
): Promise<{ lease: Lease; session: Session }> {
  const session = newSession(kernel, task.id, {
    agent: call.actor.agent ?? call.actor.id,
    model: call.actor.model,
    ephemeral: true,
  });
  const request = {
    session,
    mode: task.leaseMode,
    maxAgents: task.maxAgents,
    ttlMs: Math.min(kernel.deps.defaults.leaseTtlMs, ephemeralTtlMs),
    takeover,
    actor: call.actor,
    correlationId: call.correlationId ?? null,
  };
  const { lease } = await acquirePastDead(kernel, task.id, call, () => kernel.deps.leases.acquire(request));
  kernel.deps.memory.touch(task.id);
  return { lease, session };
}

export function newSession(
  kernel: Kernel,
  taskId: TaskId,
  who: { readonly agent: string; readonly model: string | null; readonly ephemeral: boolean },
): Session {
  const leaseId: LeaseId = kernel.deps.ids.next('lease');
  return {
    id: kernel.deps.ids.next('session'),
    taskId,
    leaseId,
    agent: who.agent,
    model: who.model,
    state: 'attached',
    ephemeral: who.ephemeral,
    ...(who.ephemeral ? { process: kernel.deps.processes.self() } : {}),
    attachedAt: kernel.now(),
    endedAt: null,
    endReason: null,
  };
}

/** Releases without hiding the outcome of the work: a lease that cannot be released expires by itself. */
export async function releaseQuietly(kernel: Kernel, proof: LeaseProof, reason: string, call: Call): Promise<void> {
  try {
    await kernel.deps.leases.release(proof, {
      reason,
      actor: call.actor,
      correlationId: call.correlationId ?? null,
    });
    kernel.deps.memory.touch(proof.taskId);
  } catch (error) {
    kernel.deps.logger.warn('Lease was not released and will expire', { leaseId: proof.leaseId, error: String(error) });
  }
}
