import type { SessionId, TaskId } from '../domain/ids.ts';
import type { Lease, Session } from '../domain/session.ts';
import type { Task } from '../domain/task.ts';
import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { AcquiredLease } from '../ports/lease-store.ts';
import { asJson } from '../domain/json.ts';
import { automaticOf, checkpointUnaskedUnder } from './automatic-checkpoint.ts';
import { passBarrier, proofOf, withRaisedTokens } from './barrier.ts';
import { clip } from './clip.ts';
import { acquirePastDead, endLeasesOfDead } from './dead-holder.ts';
import { idempotentFromStart } from './idempotent.ts';
import { type Kernel, leaseGuard } from './kernel.ts';
import { recoverTask } from './recovery.ts';
import { claim, grantClaim, releaseClaims } from './claim-service.ts';
import { type ClaimGlobs, claimGlobs } from '../claims/claim-globs.ts';
import { runHooks } from './run-hooks.ts';
import type { SandboxKeeper } from './sandbox-keeper.ts';
import type { Attachment, AttachOptions, Call, SessionService } from './services.ts';
import { ensureRunningStatus, moveTask } from './task-moves.ts';
import { integerBetween, leaseTtl, oneLine } from './validate.ts';
import { type LeasedWork, isHere, newSession, releaseQuietly, withLease } from './with-lease.ts';

const maxWaitMs = 86_400_000;
const stopGraceMs = 2_000;
/** A process that is killed while it attaches leaves a session that nobody was told of: it keeps others out no longer than this. */
const untoldMs = 30_000;

export function createSessionService(kernel: Kernel, keeper: SandboxKeeper): SessionService {
  const { deps } = kernel;
  const get = async (sessionId: SessionId): Promise<Session> => {
    const session = await deps.tasks.findSession(sessionId);
    if (session !== undefined) return session;
    throw new OpencodeToolsError('OCT_SESSION_NOT_FOUND', `No session has the id ${sessionId}`);
  };
  return {
    get,
    list: (taskId) => deps.tasks.listSessions(taskId),
    claim: (sessionId, request, call) => claim(kernel, sessionId, request, call),
    releaseClaims: (sessionId, options, call) => releaseClaims(kernel, sessionId, options.claimId, call),
    claims: async (taskId) => (await deps.tasks.listClaims(taskId)).active.map((active) => active.claim),
    revoke: (taskId, options, call) => revoke(kernel, taskId, options, call),
    renew: async (sessionId) => deps.leases.renew((await deps.leases.proofOf(sessionId)).proof),
    attach: (taskId, options, call) =>
      idempotentFromStart(kernel, call, 'attach', { taskId, ...asJson(options) }, async (key) =>
        attach(kernel, taskId, options, call, async (attachment) => {
          await kernel.commit({ records: [], ...key.finished(asJson(attachment)) });
        }),
      ),
    detach: async (sessionId, options, call) =>
      detach(kernel, keeper, await get(sessionId), oneLine('reason', options.reason ?? 'detached', 500), call),
  };
}

/**
 * Until `answer` has kept what the caller is told, the lease is short and renewed: killed before, its process leaves a session
 * that nobody knows of and that ends soon.
 *
 * On another host than the task's the session has its rows only: the lease stays pending where there is a sandbox, until a
 * verb under it passes the barrier at the task's home, and the task keeps its status.
 */
async function attach(
  kernel: Kernel,
  taskId: TaskId,
  options: AttachOptions,
  call: Call,
  answer: (attachment: Attachment) => Promise<void>,
): Promise<Attachment> {
  const agent = oneLine('agent', options.agent, 100);
  const model = options.model === undefined ? null : oneLine('model', options.model, 100);
  const task = await kernel.deps.tasks.getTask(taskId);
  const globs = options.claims === undefined ? undefined : claimGlobs(task, options.claims);
  await runHooks(
    kernel,
    { point: 'agent:attaching', task, agent, model, sessionId: null },
    { stream: taskId, call, recordApart: true },
  );
  return withRaisedTokens(async () => takeHold(kernel, { task, agent, model, globs }, options, call, answer));
}

interface Attaching {
  readonly task: Task;
  readonly agent: string;
  readonly model: string | null;
  readonly globs: ClaimGlobs | undefined;
}

/** Acquires a lease for a new session and makes it usable. */
async function takeHold(
  kernel: Kernel,
  { task, agent, model, globs }: Attaching,
  options: AttachOptions,
  call: Call,
  answer: (attachment: Attachment) => Promise<void>,
): Promise<Attachment> {
  const session = newSession(kernel, task.id, { agent, model, ephemeral: false });
  const acting: Call = { ...call, actor: { ...call.actor, agent, model, session: session.id } };
  const acquired = await acquireWaiting(kernel, task, session, options, acting);
  kernel.deps.memory.touch(task.id);
  const attachment = await keptShort(kernel, acquired.lease, acting, async () => {
    const entered = await enter(
      kernel,
      { task, session, globs, takeover: options.takeover === true, ...acquired },
      acting,
    );
    await answer(entered);
    return entered;
  });
  // Whoever was told of the session renews it by using it, too.
  const lease = await kernel.deps.leases.renew(proofOf(acquired.lease)).catch(() => attachment.lease);
  return { ...attachment, lease };
}

/** Renews a lease by as little as it was granted for while work goes on under it, and releases it when that fails. */
async function keptShort<T>(kernel: Kernel, lease: Lease, call: Call, work: () => Promise<T>): Promise<T> {
  const proof = proofOf(lease);
  const forMs = untoldFor(lease.ttlMs);
  let renewing: Promise<unknown> = Promise.resolve();
  const timer = setInterval(() => {
    renewing = kernel.deps.leases.renew(proof, forMs).catch(() => undefined);
  }, forMs / 3);
  try {
    return await work();
  } catch (error) {
    await releaseQuietly(kernel, proof, 'attaching failed', call);
    throw error;
  } finally {
    clearInterval(timer);
    await renewing;
  }
}

interface Entering extends AcquiredLease {
  readonly task: Task;
  readonly session: Session;
  readonly globs: ClaimGlobs | undefined;
  readonly takeover: boolean;
}

/** What makes a granted lease usable, and the task `running`. */
async function enter(kernel: Kernel, entering: Entering, call: Call): Promise<Attachment> {
  const { task, session, globs, lease, displaced, takeover } = entering;
  const claimant = { task, session, proof: proofOf(lease) };
  const granted = globs === undefined ? {} : { claim: await grantClaim(kernel, claimant, globs, call) };
  if (!isHere(kernel, task)) return { session, lease, task, displaced, recovered: [], endedProcesses: 0, ...granted };
  const endedProcesses = await passBarrier(kernel, lease, call, { forMs: untoldFor(lease.ttlMs), takeover });
  const recovered = await recoverTask(kernel, proofOf(lease), call);
  call.signal?.throwIfAborted();
  const running = await start(kernel, task, session, lease, call);
  const [held] = (await kernel.deps.leases.listActive(task.id)).filter((candidate) => candidate.id === lease.id);
  return { session, lease: held ?? lease, task: running, displaced, recovered, endedProcesses, ...granted };
}

function untoldFor(ttlMs: number): number {
  return Math.min(ttlMs, untoldMs);
}

async function revoke(
  kernel: Kernel,
  taskId: TaskId,
  options: { readonly agent?: string; readonly reason?: string },
  call: Call,
): Promise<readonly Session[]> {
  const { deps } = kernel;
  const reason = oneLine('reason', options.reason ?? 'revoked', 500);
  const agent = options.agent === undefined ? undefined : oneLine('agent', options.agent, 100);
  await deps.tasks.getTask(taskId);
  const named = (await deps.tasks.listSessions(taskId)).filter((session) => session.agent === agent);
  const only = agent === undefined ? undefined : named.map(({ id }) => id);
  const end = { reason, actor: call.actor, correlationId: call.correlationId ?? null };
  const ended = await deps.leases.revoke(taskId, end, only);
  deps.memory.touch(taskId);
  return ended;
}

async function start(kernel: Kernel, task: Task, session: Session, lease: Lease, call: Call): Promise<Task> {
  const proof = proofOf(lease);
  const context = {
    point: 'task:starting',
    task,
    agent: session.agent,
    model: session.model,
    sessionId: session.id,
  } as const;
  const detail = task.status === 'running' ? {} : await runHooks(kernel, context, { stream: task.id, call, proof });
  return ensureRunningStatus(kernel, task, proof, call, { reopen: true, detail });
}

/** Tries at once, then stands in line until its turn has come or the wait is over. */
async function acquireWaiting(
  kernel: Kernel,
  task: Task,
  session: Session,
  options: AttachOptions,
  call: Call,
): Promise<AcquiredLease> {
  const ttlMs = leaseTtl('ttlMs', options.ttlMs ?? kernel.deps.defaults.leaseTtlMs);
  const waitMs = integerBetween('waitMs', options.waitMs ?? 0, 0, maxWaitMs);
  const request = {
    session,
    mode: task.leaseMode,
    maxAgents: task.maxAgents,
    ttlMs,
    forMs: untoldFor(ttlMs),
    takeover: options.takeover === true,
    actor: call.actor,
    correlationId: call.correlationId ?? null,
  };
  const { leases, clock } = kernel.deps;
  if (waitMs > 0) await endLeasesOfDead(kernel, task.id, call);
  const fromMs = clock.nowMs();
  return acquirePastDead(kernel, task.id, call, () => {
    const waitedMs = Math.max(0, clock.nowMs() - fromMs);
    return leases.acquireInTurn(request, { waitMs: Math.max(0, Math.floor(waitMs - waitedMs)), signal: call.signal });
  });
}

/**
 * Ends a session. The last one to go stops the sandbox and suspends the task first, while its lease still guards that; on
 * another host than the task's it only goes.
 */
async function detach(
  kernel: Kernel,
  keeper: SandboxKeeper,
  session: Session,
  reason: string,
  call: Call,
): Promise<Task> {
  const { deps } = kernel;
  const task = await deps.tasks.getTask(session.taskId);
  if (session.state !== 'attached') return task;
  const acting: Call = {
    ...call,
    actor: { ...call.actor, agent: session.agent, model: session.model, session: session.id },
  };
  await runHooks(
    kernel,
    { point: 'agent:detaching', task, agent: session.agent, model: session.model, sessionId: session.id },
    { stream: task.id, call: acting, recordApart: true },
  );
  const here = isHere(kernel, task);
  return withLease(kernel, task, { sessionId: session.id, sandbox: here }, acting, async (leased) => {
    const others = (await deps.leases.listActive(task.id)).filter((lease) => lease.sessionId !== session.id);
    const after = here && others.length === 0 ? await suspend(kernel, keeper, task, leased, reason, acting) : task;
    await deps.leases.release(leased.proof, { reason, actor: acting.actor, correlationId: call.correlationId ?? null });
    deps.memory.touch(task.id);
    return after;
  });
}

async function suspend(
  kernel: Kernel,
  keeper: SandboxKeeper,
  task: Task,
  leased: LeasedWork,
  reason: string,
  call: Call,
): Promise<Task> {
  if (automaticOf(kernel).onDetach && (await kernel.deps.tasks.findSandbox(task.id)) !== undefined) {
    const cause = {
      name: `detached ${kernel.now()}`,
      reason: clip(`Taken before the last agent left: ${reason}`, 2_000),
    };
    await checkpointUnaskedUnder(kernel, keeper, task, cause, leased, call);
  }
  await keeper.stop(task, leased, stopGraceMs, call);
  return kernel.changeTask(task.id, (current) => {
    if (current.status !== 'running') return { change: null, result: current };
    const moved = moveTask(kernel, current, 'suspended', leased.proof, call, { reason });
    return { change: { guard: leaseGuard(leased.proof), records: [moved.record] }, result: moved.task };
  });
}
