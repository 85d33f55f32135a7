import {
  type AcquireLease,
  type AcquiredLease,
  type Actor,
  type Lease,
  type LeaseProof,
  OpencodeToolsError,
  type RecordDraft,
  type Sandbox,
  type Session,
  type SessionId,
  type TaskId,
  prepareDraft,
  toTimestamp,
} from '@opencode-tools/core';
import { type Plan, type Statement, allRows, firstRow, outcomeRows } from '../query/plan.ts';
import { fromRow } from '../rows/entity-rows.ts';
import { fromLeaseRow } from '../rows/lease-row.ts';
import { appendRecords } from '../write/append.ts';
import { applyPut } from '../write/apply-put.ts';
import type { StoreContext } from '../write/context.ts';
import { type Opened, openTransaction } from '../write/open-transaction.ts';
import { CountChanges } from '../write/task-counts.ts';
import { type EndOfLease, draftEnding, endingOf, endingStatements } from './lease-ending.ts';
import {
  type Entered,
  type Waiter,
  enterLine,
  hasRoom,
  leaveLine,
  nextWaiter,
  remainingLeases,
  selectWaiters,
  waitersAhead,
  waitersIn,
} from './lease-queue.ts';
import {
  leaseLost,
  lockActiveLeases,
  renewLease,
  renewLeaseUntil,
  selectLeaseById,
  selectSessionById,
} from './lease-rows.ts';
import { selectSandbox, selectTask } from './task-rows.ts';

/** Grants a lease, or throws `OCT_LEASE_HELD`. */
export function* acquirePlan(ctx: StoreContext, request: AcquireLease): Plan<Waking<AcquiredLease>> {
  const found = yield* findRoom(ctx, request);
  if (!found.free) throw yield* leaseHeld(request.session.taskId, found.remaining, found.ahead);
  return yield* grant(ctx, request, found);
}

/** Grants a lease, or puts the session in line: its position there. */
export function* acquireOrQueuePlan(ctx: StoreContext, request: AcquireLease): Plan<Waking<AcquiredLease> | Entered> {
  const { session } = request;
  const found = yield* findRoom(ctx, request);
  if (found.free) return yield* grant(ctx, request, found);
  const own = found.waiters.find(({ sessionId }) => sessionId === session.id);
  if (own !== undefined) return { position: own.position };
  return yield* enterLine(session.taskId, session.id, found.opened.nowMs);
}

interface Room {
  readonly opened: Opened;
  readonly free: boolean;
  readonly displaced: readonly Lease[];
  readonly remaining: readonly Lease[];
  readonly waiters: readonly Waiter[];
  readonly ahead: number;
  readonly sandbox: Sandbox | undefined;
}

/** What a lease verb gives, and the sessions in line for whom there may be room now. */
export interface Waking<T> {
  readonly result: T;
  readonly wake: readonly string[];
}

function* findRoom(ctx: StoreContext, request: AcquireLease): Plan<Room> {
  const { session } = request;
  const { taskId } = session;
  const active = lockActiveLeases({ taskId });
  const opened = yield* openOn(ctx, taskId, [
    selectTask({ id: taskId }),
    selectSessionById({ id: session.id }),
    active,
    selectWaiters({ taskId }),
    selectSandbox({ taskId }),
  ]);
  const [tasks, sessions, leases, waiting, sandboxes] = opened.also;
  if (tasks?.rows.length === 0) throw taskNotFound(taskId);
  if (sessions?.rows.length !== 0) throw sessionExists(session);
  const all = outcomeRows(active, leases).map(fromLeaseRow);
  const remaining = remainingLeases(request, all, opened.nowMs);
  const waiters = waitersIn(taskId, waiting, opened.nowMs);
  const ahead = request.takeover ? 0 : waitersAhead(waiters, session.id);
  const [sandbox] = outcomeRows(selectSandbox({ taskId }), sandboxes);
  return {
    opened,
    free: ahead === 0 && hasRoom(request, remaining),
    displaced: all.filter((lease) => !remaining.includes(lease)),
    remaining,
    waiters,
    ahead,
    sandbox: sandbox === undefined ? undefined : fromRow<Sandbox>(sandbox),
  };
}

function* grant(ctx: StoreContext, request: AcquireLease, room: Room): Plan<Waking<AcquiredLease>> {
  const { session, actor, correlationId } = request;
  const { opened } = room;
  const taskId = session.taskId;
  const ended: Session[] = [];
  const drafts: RecordDraft[] = [];
  for (const lease of room.displaced) {
    const expired = Date.parse(lease.expiresAt) <= opened.nowMs;
    const reason = expired ? `Lease expired; ${session.agent} attached` : `Taken over by ${session.agent}`;
    const end = { reason, actor, correlationId };
    const { drafts: own, session: lost } = yield* endingOf(lease, expired ? 'expired' : 'revoked', end, opened.nowMs);
    drafts.push(...own);
    if (lost !== null) ended.push(lost);
  }
  const lease = newLease(request, opened, room.sandbox);
  const common = { stream: taskId, actor, correlationId, token: lease.token };
  drafts.push({ ...common, type: 'lease.acquired', puts: [{ noun: 'lease', value: lease }] });
  drafts.push({ ...common, type: 'session.attached', puts: [{ noun: 'session', value: session }] });
  if (room.waiters.length > 0) yield* leaveLine(taskId, session.id, opened.nowMs);
  yield* writeDrafts(ctx, opened, drafts);
  const more = request.mode === 'collaborative' && room.remaining.length + 1 < request.maxAgents;
  return { result: { lease, displaced: ended }, wake: more ? nextWaiter(room.waiters, session.id) : [] };
}

export function* confirmPlan(
  ctx: StoreContext,
  proof: LeaseProof,
  actor: Actor,
  forMs: number | undefined,
): Plan<Lease> {
  const opened = yield* openOn(ctx, proof.taskId);
  const lease = yield* activeLease(proof);
  if (lease.state === 'held') return lease;
  const held: Lease = { ...lease, ...renewedTimes(forMs ?? lease.ttlMs, opened.nowMs), state: 'held' };
  const draft: RecordDraft = {
    stream: proof.taskId,
    type: 'lease.confirmed',
    actor,
    token: proof.token,
    puts: [{ noun: 'lease', value: held }],
  };
  yield* writeDrafts(ctx, opened, [draft]);
  return held;
}

export function* renewPlan(ctx: StoreContext, proof: LeaseProof, forMs: number | undefined): Plan<Lease> {
  const { nowMs } = yield* openTransaction(ctx, new Map());
  const named = { id: proof.leaseId, sessionId: proof.sessionId, token: proof.token, nowMs };
  const renewed = yield* firstRow(
    forMs === undefined ? renewLease(named) : renewLeaseUntil({ ...named, expiresAtMs: nowMs + forMs }),
  );
  return renewed === undefined ? yield* activeLease(proof) : fromLeaseRow(renewed);
}

export function* releasePlan(ctx: StoreContext, proof: LeaseProof, end: EndOfLease): Plan<Waking<void>> {
  const { taskId, leaseId, sessionId } = proof;
  const select = selectLeaseById({ id: leaseId });
  const opened = yield* openOn(ctx, taskId, [select, selectWaiters({ taskId }), ...endingStatements(sessionId)]);
  const [found, waiting, ...ending] = opened.also;
  const [row] = outcomeRows(select, found);
  if (row === undefined) throw leaseLost(leaseId, undefined, undefined);
  const lease = fromLeaseRow(row);
  if (!isActive(lease) || lease.token !== proof.token) return { result: undefined, wake: [] };
  const { drafts } = draftEnding(lease, 'released', end, opened.nowMs, ending);
  yield* writeDrafts(ctx, opened, drafts);
  return { result: undefined, wake: nextWaiter(waitersIn(taskId, waiting, opened.nowMs)) };
}

export function* revokePlan(
  ctx: StoreContext,
  taskId: TaskId,
  end: EndOfLease,
  only?: readonly SessionId[],
): Plan<Waking<readonly Session[]>> {
  const opened = yield* openOn(ctx, taskId, [selectWaiters({ taskId })]);
  const result = yield* revokeOn(ctx, opened, taskId, end, only);
  return { result, wake: nextWaiter(waitersIn(taskId, opened.also[0], opened.nowMs)) };
}

/** Revokes the active leases, of the named sessions or all, of a task whose stream the transaction has locked. */
export function* revokeOn(
  ctx: StoreContext,
  opened: Opened,
  taskId: TaskId,
  end: EndOfLease,
  only?: readonly SessionId[],
): Plan<readonly Session[]> {
  const drafts: RecordDraft[] = [];
  const ended: Session[] = [];
  const active = (yield* allRows(lockActiveLeases({ taskId }))).map(fromLeaseRow);
  for (const lease of active.filter(({ sessionId }) => only?.includes(sessionId) !== false)) {
    const { drafts: own, session } = yield* endingOf(lease, 'revoked', end, opened.nowMs);
    drafts.push(...own);
    if (session !== null) ended.push(session);
  }
  yield* writeDrafts(ctx, opened, drafts);
  return ended;
}

export function openOn(ctx: StoreContext, taskId: TaskId, also: readonly Statement<unknown>[] = []): Plan<Opened> {
  return openTransaction(ctx, new Map([[taskId, ctx.homeId]]), also);
}

function* writeDrafts(ctx: StoreContext, opened: Opened, drafts: readonly RecordDraft[]): Plan<void> {
  const counts = new CountChanges(ctx.engine.traits);
  for (const draft of drafts) for (const put of draft.puts) yield* applyPut(put, counts);
  yield* appendRecords(ctx, opened, drafts.map(prepareDraft));
}

function newLease(request: AcquireLease, opened: Opened, sandbox: Sandbox | undefined): Lease {
  const { session, mode, ttlMs, forMs = ttlMs } = request;
  const state = opened.streams.get(session.taskId);
  if (state === undefined) throw new OpencodeToolsError('OCT_INTERNAL', `Stream of ${session.taskId} was not locked`);
  state.lastToken += 1;
  const mustFence = sandbox !== undefined && sandbox.ref !== null && sandbox.state !== 'absent';
  return {
    id: session.leaseId,
    taskId: session.taskId,
    sessionId: session.id,
    mode,
    token: state.lastToken,
    state: mustFence ? 'pending' : 'held',
    ttlMs,
    acquiredAt: toTimestamp(opened.nowMs),
    ...renewedTimes(forMs, opened.nowMs),
    endedAt: null,
  };
}

function renewedTimes(forMs: number, nowMs: number) {
  return { renewedAt: toTimestamp(nowMs), expiresAt: toTimestamp(nowMs + forMs) };
}

export function* activeLease(proof: LeaseProof): Plan<Lease> {
  const row = yield* firstRow(selectLeaseById({ id: proof.leaseId }));
  const lease = row === undefined ? undefined : fromLeaseRow(row);
  if (lease !== undefined && isActive(lease) && lease.token === proof.token && lease.sessionId === proof.sessionId) {
    return lease;
  }
  const session = yield* firstRow(selectSessionById({ id: proof.sessionId }));
  throw leaseLost(proof.leaseId, session === undefined ? undefined : fromRow<Session>(session), lease);
}

function* leaseHeld(taskId: TaskId, holders: readonly Lease[], waiting: number): Plan<OpencodeToolsError> {
  const first = holders[0];
  const row = first === undefined ? undefined : yield* firstRow(selectSessionById({ id: first.sessionId }));
  const agent = row === undefined ? 'another session' : fromRow<Session>(row).agent;
  const others = holders.length > 1 ? ` and ${holders.length - 1} more` : '';
  const held = first === undefined ? 'is free but promised' : `is held by ${agent}${others} until ${first.expiresAt}`;
  const line = waiting === 0 ? '' : `${first === undefined ? ' to the first of' : ';'} ${waiting} waiting in line`;
  return new OpencodeToolsError('OCT_LEASE_HELD', `Task ${taskId} ${held}${line}`, {
    details: {
      taskId,
      holder: first === undefined ? null : agent,
      sessionId: first?.sessionId ?? null,
      expiresAt: first?.expiresAt ?? null,
      holders: holders.length,
      waiting,
    },
  });
}

function isActive(lease: Lease): boolean {
  return lease.state === 'held' || lease.state === 'pending';
}

function sessionExists({ id, taskId }: Session): OpencodeToolsError {
  return new OpencodeToolsError('OCT_VERSION_CONFLICT', `Session ${id} was attached before`, {
    remedy: 'Attach with a new session id.',
    details: { taskId, sessionId: id },
  });
}

function taskNotFound(taskId: TaskId): OpencodeToolsError {
  return new OpencodeToolsError('OCT_TASK_NOT_FOUND', `There is no task ${taskId}`, { details: { taskId } });
}
