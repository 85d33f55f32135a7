import {
  type AcquireLease,
  type AcquiredLease,
  type LeaseWait,
  OpencodeToolsError,
  type TaskId,
  isOpencodeToolsError,
} from '@opencode-tools/core';
import { type Watch, sleepUntil } from '../query/hints.ts';
import type { StoreContext } from '../write/context.ts';
import { acquireOrQueuePlan } from './lease-plans.ts';
import { type Place, giveUpPlace, keepPlace, readPlace } from './lease-queue.ts';

/** Well within the time after which a waiter is passed over, whatever else the machine does. */
const heartbeatMs = 700;
const pacePerPlaceMs = 2;
const longestPaceMs = 40;

/**
 * Those of one process who wait for the same task. Only the first of them looks at the database; the others do so to say
 * that they are still there, and when they have become first.
 */
export class LocalLines {
  readonly #lines = new Map<string, LocalPlace[]>();

  /** Takes a place by its position in the whole line. */
  enter(taskId: string, position: number): LocalPlace {
    const line = this.#lines.get(taskId) ?? [];
    this.#lines.set(taskId, line);
    const { promise, resolve } = Promise.withResolvers<void>();
    const place: LocalPlace = {
      position,
      first: promise,
      isFirst: () => line[0] === place,
      becomeFirst: resolve,
      leave: () => {
        line.splice(line.indexOf(place), 1);
        line[0]?.becomeFirst();
        if (line.length === 0 && this.#lines.get(taskId) === line) this.#lines.delete(taskId);
      },
    };
    line.push(place);
    line.sort((left, right) => left.position - right.position);
    line[0]?.becomeFirst();
    return place;
  }
}

interface LocalPlace {
  readonly position: number;
  /** Resolves when it has become first. */
  readonly first: Promise<void>;
  isFirst(): boolean;
  becomeFirst(): void;
  leave(): void;
}

/**
 * Stands in line for a lease. Looking is a read; only who is first and sees room begins a transaction.
 *
 * @param acquire tries the grant without waiting, and says why not
 */
export async function waitForLease(
  ctx: StoreContext,
  lines: LocalLines,
  request: AcquireLease,
  wait: LeaseWait,
  acquire: () => Promise<AcquiredLease>,
): Promise<AcquiredLease> {
  wait.signal?.throwIfAborted();
  const { id, taskId } = request.session;
  const from = performance.now();
  // Whoever makes room names the first in line, so that one process wakes and not all.
  const watch = ctx.engine.watch(id);
  let acquired: AcquiredLease | null = null;
  try {
    acquired = await standInLine(ctx, lines, request, { ...wait, until: from + wait.waitMs }, watch);
  } finally {
    watch.close();
    if (acquired === null) await leaveQuietly(ctx, request);
  }
  if (acquired !== null) return acquired;
  return acquire().catch((error: unknown) => {
    throw timedOut(error, { taskId, sessionId: id, waitedMs: Math.round(performance.now() - from) });
  });
}

interface LimitedWait {
  readonly until: number;
  readonly signal?: AbortSignal | undefined;
}

/** Takes a place at the end as often as it was passed over. Null when the time is over. */
async function standInLine(
  ctx: StoreContext,
  lines: LocalLines,
  request: AcquireLease,
  wait: LimitedWait,
  watch: Watch,
): Promise<AcquiredLease | null> {
  for (;;) {
    wait.signal?.throwIfAborted();
    const got = await acquireOrQueue(ctx, request);
    if (typeof got !== 'number') return got;
    const place = lines.enter(request.session.taskId, got);
    try {
      const ended = await keepStanding(ctx, request, wait, watch, place);
      if (ended === 'time is over') return null;
      if (ended !== 'passed over') return ended;
    } finally {
      place.leave();
    }
  }
}

async function keepStanding(
  ctx: StoreContext,
  request: AcquireLease,
  wait: LimitedWait,
  watch: Watch,
  place: LocalPlace,
): Promise<AcquiredLease | 'passed over' | 'time is over'> {
  let heartbeatAt = performance.now() + heartbeatMs;
  for (let called = false; ;) {
    wait.signal?.throwIfAborted();
    // Who was called need not look first: the transaction does.
    const { ahead, room, inLine } = called ? calledUp : await ctx.engine.read(() => readPlace(ctx, request));
    if (!inLine) return 'passed over';
    if (ahead === 0 && room) {
      const got = await acquireOrQueue(ctx, request);
      if (typeof got !== 'number') return got;
      if (got !== place.position) return 'passed over';
    }
    const nowMs = performance.now();
    if (nowMs >= wait.until) return 'time is over';
    if (nowMs >= heartbeatAt) {
      await ctx.engine.write(() => keepPlace(ctx, request.session.id), { reachesDisk: 'some time' });
      heartbeatAt = performance.now() + heartbeatMs;
    }
    const limitMs = Math.max(0, Math.min(wait.until, heartbeatAt) - performance.now());
    const paceMs = Math.min(longestPaceMs, (ahead + 1) * pacePerPlaceMs);
    if (place.isFirst()) called = await watch.changed({ limitMs, paceMs, signal: wait.signal });
    else {
      await sleepOrAborted(place.first, limitMs, wait.signal);
      called = false;
    }
  }
}

const calledUp: Place = { ahead: 0, room: true, inLine: true };

async function acquireOrQueue(ctx: StoreContext, request: AcquireLease): Promise<AcquiredLease | number> {
  const got = await ctx.engine.write(() => acquireOrQueuePlan(ctx, request));
  if ('position' in got) return got.position;
  tell(ctx, request.session.taskId, got.wake);
  return got.result;
}

/** After a commit of a lease verb: tells whoever follows the task, and calls those in line for whom there may be room. */
export function tell(ctx: StoreContext, taskId: TaskId, wake: readonly string[]): void {
  ctx.engine.publish([taskId], wake);
  ctx.onAppended([taskId]);
}

/** Leaves nothing behind on the signal: a long wait comes here hundreds of times. */
async function sleepOrAborted(woken: Promise<void>, limitMs: number, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return void (await sleepUntil(woken, limitMs));
  const { promise, resolve } = Promise.withResolvers<void>();
  const abort = () => resolve();
  signal.addEventListener('abort', abort, { once: true });
  await sleepUntil(Promise.race([woken, promise]), limitMs);
  signal.removeEventListener('abort', abort);
}

/** A place that cannot be given up is passed over soon. */
async function leaveQuietly(ctx: StoreContext, { session }: AcquireLease): Promise<void> {
  try {
    const wake = await ctx.engine.write(() => giveUpPlace(ctx, session.taskId, session.id), {
      reachesDisk: 'some time',
    });
    ctx.engine.publish([], wake);
  } catch (error) {
    if (!isOpencodeToolsError(error)) throw error;
  }
}

function timedOut(error: unknown, details: { readonly [key: string]: string | number }): unknown {
  if (!isOpencodeToolsError(error, 'OCT_LEASE_HELD')) return error;
  return new OpencodeToolsError('OCT_LEASE_HELD', `${error.message}; waited ${details['waitedMs']} ms in line`, {
    details: { ...error.details, ...details },
    cause: error,
  });
}
