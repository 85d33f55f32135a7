import {
  type AcquireLease,
  type AcquiredLease,
  type LeaseWait,
  OpencodeToolsError,
  isOpencodeToolsError,
} from '@opencode-tools/core';
import type { Watch } from '../query/hints.ts';
import type { StoreContext } from '../write/context.ts';
import { acquireOrQueuePlan } from './lease-plans.ts';
import { giveUpPlace, keepPlace, readPlace } from './lease-queue.ts';

/** Well within the time after which a waiter is passed over, whatever else the machine does. */
const heartbeatMs = 700;
const pacePerPlaceMs = 2;
const longestPaceMs = 40;

/**
 * Stands in line for a lease. Looking is a read; only who is first and sees room begins a transaction.
 *
 * @param acquire tries the grant without waiting, and says why not
 */
export async function waitForLease(
  ctx: StoreContext,
  request: AcquireLease,
  wait: LeaseWait,
  acquire: () => Promise<AcquiredLease>,
): Promise<AcquiredLease> {
  wait.signal?.throwIfAborted();
  const { id, taskId } = request.session;
  const from = performance.now();
  const watch = ctx.engine.watch(taskId);
  let acquired: AcquiredLease | null = null;
  try {
    acquired = await ctx.engine.write(() => acquireOrQueuePlan(ctx, request));
    acquired ??= await standInLine(ctx, request, { ...wait, until: from + wait.waitMs }, watch);
  } finally {
    watch.close();
    if (acquired === null) await leaveQuietly(ctx, request);
  }
  if (acquired !== null) return acquired;
  return acquire().catch((error: unknown) => {
    throw timedOut(error, { taskId, sessionId: id, waitedMs: Math.round(performance.now() - from) });
  });
}

/** Null when the time is over. */
async function standInLine(
  ctx: StoreContext,
  request: AcquireLease,
  wait: { readonly until: number; readonly signal?: AbortSignal | undefined },
  watch: Watch,
): Promise<AcquiredLease | null> {
  let heartbeatAt = performance.now() + heartbeatMs;
  for (;;) {
    wait.signal?.throwIfAborted();
    const { ahead, room, inLine } = await ctx.engine.read(() => readPlace(ctx, request));
    if (!inLine || (ahead === 0 && room)) {
      const acquired = await ctx.engine.write(() => acquireOrQueuePlan(ctx, request));
      if (acquired !== null) return acquired;
    }
    const nowMs = performance.now();
    if (nowMs >= wait.until) return null;
    if (nowMs >= heartbeatAt) {
      await ctx.engine.write(() => keepPlace(ctx, request.session.id), { durable: false });
      heartbeatAt = performance.now() + heartbeatMs;
    }
    await watch.changed({
      limitMs: Math.min(wait.until, heartbeatAt) - performance.now(),
      paceMs: Math.min(longestPaceMs, (ahead + 1) * pacePerPlaceMs),
      signal: wait.signal,
    });
  }
}

/** A place that cannot be given up is passed over soon. */
async function leaveQuietly(ctx: StoreContext, { session }: AcquireLease): Promise<void> {
  try {
    await ctx.engine.write(() => giveUpPlace(ctx, session.taskId, session.id), { durable: false });
    ctx.engine.publish([session.taskId]);
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
