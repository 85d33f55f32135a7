import type { AcquireLease, Lease, SessionId, TaskId } from '@opencode-tools/core';
import { type Outcome, type Plan, changedRows, later, noted, outcomeRows, together } from '../query/plan.ts';
import { template } from '../query/template.ts';
import { fromLeaseRow } from '../rows/lease-row.ts';
import type { StoreContext } from '../write/context.ts';
import { openTransaction } from '../write/open-transaction.ts';
import { selectActiveLeases } from './lease-rows.ts';

/** A waiter that has not been heard of for this long is passed over. */
const waiterTtlMs = 2_500;

/** One who stands in line, as of a moment of the store's clock. */
export interface Waiter {
  readonly sessionId: string;
  readonly position: number;
  readonly alive: boolean;
}

/** Where a session stands. */
export interface Place {
  /** Live waiters before it. */
  readonly ahead: number;
  /** True when the leases would let it in. */
  readonly room: boolean;
  /** False when it was passed over, and stands in line no more. */
  readonly inLine: boolean;
}

/** Everyone in line for a task, in order. */
export function waitersIn(taskId: TaskId, outcome: Outcome | undefined, nowMs: number): readonly Waiter[] {
  return outcomeRows(selectWaiters({ taskId }), outcome).map((row) => ({
    sessionId: row.session_id,
    position: row.position,
    alive: row.expires_at_ms > nowMs,
  }));
}

/** Live waiters whom a session may not overtake: those before it, or all when it does not stand in line. */
export function waitersAhead(waiters: readonly Waiter[], sessionId: SessionId): number {
  const own = waiters.findIndex((waiter) => waiter.sessionId === sessionId);
  return (own === -1 ? waiters : waiters.slice(0, own)).filter(({ alive }) => alive).length;
}

/** The first live waiter but one: whom to tell when there is room. */
export function nextWaiter(waiters: readonly Waiter[], except?: SessionId): readonly string[] {
  const next = waiters.find(({ alive, sessionId }) => alive && sessionId !== except);
  return next === undefined ? [] : [next.sessionId];
}

/** Leases that keep a request out: expired ones make way, live ones only for a takeover. */
export function remainingLeases(request: AcquireLease, active: readonly Lease[], nowMs: number): readonly Lease[] {
  return request.takeover ? [] : active.filter((lease) => Date.parse(lease.expiresAt) > nowMs);
}

export function hasRoom(request: AcquireLease, remaining: readonly Lease[]): boolean {
  if (request.mode === 'exclusive') return remaining.length === 0;
  return remaining.length < request.maxAgents && remaining.every((lease) => lease.mode === 'collaborative');
}

/** Where a session came to stand; known once the transaction has been committed. */
export interface Entered {
  position: number;
}

/** Puts a session at the end of the line; positions rise. The caller has locked the task's stream. */
export function* enterLine(taskId: TaskId, sessionId: SessionId, nowMs: number): Plan<Entered> {
  const entered: Entered = { position: 0 };
  const insert = insertWaiter({ taskId, sessionId, expiresAtMs: nowMs + waiterTtlMs });
  yield* noted(insert, (outcome) => {
    entered.position = outcomeRows(insert, outcome)[0]?.position ?? 0;
  });
  return entered;
}

/** Takes a session out of the line, and with it all that were passed over. */
export function* leaveLine(taskId: TaskId, sessionId: SessionId, nowMs: number): Plan<void> {
  yield* later(deleteWaiters({ taskId, sessionId, nowMs }));
}

/** Reads a session's place, to tell whether trying is worth a transaction. */
export function* readPlace(ctx: StoreContext, request: AcquireLease): Plan<Place> {
  const { id, taskId } = request.session;
  const readNow = selectNow({ nowMs: ctx.clock.nowMs() });
  const active = selectActiveLeases({ taskId });
  const [now, leases, waiting] = yield* together([readNow, active, selectWaiters({ taskId })]);
  const nowMs = outcomeRows(readNow, now)[0]?.now_ms ?? 0;
  const waiters = waitersIn(taskId, waiting, nowMs);
  const remaining = remainingLeases(request, outcomeRows(active, leases).map(fromLeaseRow), nowMs);
  return {
    ahead: waitersAhead(waiters, id),
    room: hasRoom(request, remaining),
    inLine: waiters.some(({ sessionId }) => sessionId === id),
  };
}

/** Says that a session still waits. @returns false when it was passed over meanwhile. */
export function* keepPlace(ctx: StoreContext, sessionId: SessionId): Plan<boolean> {
  const { nowMs } = yield* openTransaction(ctx, new Map());
  return (yield* changedRows(renewWaiter({ sessionId, expiresAtMs: nowMs + waiterTtlMs }))) > 0;
}

/** Gives a place up. @returns whom to tell, who may have come first by that */
export function* giveUpPlace(ctx: StoreContext, taskId: TaskId, sessionId: SessionId): Plan<readonly string[]> {
  const { nowMs, also } = yield* openTransaction(ctx, new Map(), [selectWaiters({ taskId })]);
  yield* leaveLine(taskId, sessionId, nowMs);
  return nextWaiter(waitersIn(taskId, also[0], nowMs), sessionId);
}

export const selectWaiters = template<{ taskId: string }>()(({ db }, slot) =>
  db
    .selectFrom('lease_waiters')
    .select(['session_id', 'position', 'expires_at_ms'])
    .where('task_id', '=', slot('taskId'))
    .orderBy('position'),
);

const insertWaiter = template<{ taskId: string; sessionId: string; expiresAtMs: number }>()(({ db }, slot) =>
  db
    .insertInto('lease_waiters')
    .values({ task_id: slot('taskId'), session_id: slot('sessionId'), expires_at_ms: slot('expiresAtMs') } as never)
    .returning('position'),
);

const renewWaiter = template<{ sessionId: string; expiresAtMs: number }>()(({ db }, slot) =>
  db
    .updateTable('lease_waiters')
    .set({ expires_at_ms: slot('expiresAtMs') })
    .where('session_id', '=', slot('sessionId')),
);

const deleteWaiters = template<{ taskId: string; sessionId: string; nowMs: number }>()(({ db }, slot) =>
  db
    .deleteFrom('lease_waiters')
    .where('task_id', '=', slot('taskId'))
    .where((row) => row.or([row('session_id', '=', slot('sessionId')), row('expires_at_ms', '<=', slot('nowMs'))])),
);

const selectNow = template<{ nowMs: number }>()(({ db, nowMs }, slot) =>
  db.selectNoFrom(nowMs(slot('nowMs')).as('now_ms')),
);
