import {
  type Change,
  type HomeId,
  type Lease,
  type LedgerRecord,
  OpencodeToolsError,
  type StreamId,
  prepareDraft,
  type PreparedDraft,
} from '@opencode-tools/core';
import type { Plan } from '../query/plan.ts';
import { appendRecords } from './append.ts';
import { applyPut } from './apply-put.ts';
import type { StoreContext } from './context.ts';
import { checkGuard, guardStatements } from './guard.ts';
import { storeIdempotency } from './idempotency.ts';
import { type Opened, openTransaction } from './open-transaction.ts';
import { takePooled } from './put-pooled.ts';
import { CountChanges } from './task-counts.ts';

/** Carries a change out in one transaction. Serialising and digesting are done before it opens. */
export async function commitChange(ctx: StoreContext, change: Change): Promise<readonly LedgerRecord[]> {
  if (ctx.writeRefusal !== null) throw ctx.writeRefusal;
  const prepared = change.records.map(prepareDraft);
  const streams = streamsOf(ctx, change);
  // Read before the wait for a turn: another change may learn of a new epoch meanwhile.
  const planned = { ...change, epoch: change.epoch ?? ctx.epoch };
  const { reachesDisk = 'before' } = change;
  const records = await ctx.engine.write(() => commitPlan(ctx, planned, prepared, streams), { reachesDisk });
  ctx.engine.publish([...streams.keys()]);
  ctx.onAppended([...streams.keys()]);
  return records;
}

function* commitPlan(
  ctx: StoreContext,
  change: Change & { readonly epoch: number },
  prepared: readonly PreparedDraft[],
  streams: ReadonlyMap<StreamId, HomeId>,
): Plan<readonly LedgerRecord[]> {
  const opened = yield* openTransaction(ctx, streams, guardStatements(change.guard));
  if (opened.epoch !== change.epoch) throw epochChanged(ctx, change.epoch, opened.epoch);
  if (change.guard !== undefined) yield* checkGuard(change.guard, opened.also);
  if (change.idempotency !== undefined) yield* storeIdempotency(change.idempotency, opened.nowMs);
  if (change.takes !== undefined) yield* takePooled(ctx.homeId, change.takes);
  const counts = new CountChanges(ctx.engine.traits);
  for (const { draft } of prepared) {
    for (const put of draft.puts) {
      yield* applyPut(put, counts);
      if (put.noun === 'lease') raiseToken(opened, put.value);
    }
  }
  yield* counts.write();
  return yield* appendRecords(ctx, opened, prepared);
}

/** Keeps the counter above every token that is written, whoever chose it. */
function raiseToken(opened: Opened, lease: Lease): void {
  const state = opened.streams.get(lease.taskId);
  if (state !== undefined && lease.token > state.lastToken) state.lastToken = lease.token;
}

/** The streams that a change appends to, each with the home of the task that it is about. */
function streamsOf(ctx: StoreContext, change: Change): ReadonlyMap<StreamId, HomeId> {
  const streams = new Map<StreamId, HomeId>();
  for (const record of change.records) {
    const task = record.puts.find((put) => put.noun === 'task' && put.value.id === record.stream);
    if (task?.noun === 'task') streams.set(record.stream, task.value.homeId);
    else if (!streams.has(record.stream)) streams.set(record.stream, ctx.homeId);
  }
  return streams;
}

/** What the change depends on was read in another epoch; what is read from now on belongs to the new one. */
function epochChanged(ctx: StoreContext, before: number, epoch: number): OpencodeToolsError {
  ctx.epoch = epoch;
  return new OpencodeToolsError('OCT_VERSION_CONFLICT', `The registry went from epoch ${before} to ${epoch}`, {
    remedy: 'Read what you are changing again, attach again, then try again.',
    details: { epochBefore: before, epoch },
  });
}
