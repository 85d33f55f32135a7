import { type StreamId, type TaskId, prepareDraft } from '@opencode-tools/core';
import { type Plan, allRows } from '../query/plan.ts';
import { appendRecords } from '../write/append.ts';
import type { StoreContext } from '../write/context.ts';
import { openTransaction } from '../write/open-transaction.ts';
import { withArguments } from './raw.ts';
import { registryActor } from './registry-actor.ts';
import { readShapes } from './table-shapes.ts';

/** Removes what is left of the tasks that were deleted before a time. */
export async function forgetTombstones(ctx: StoreContext, before: string, dryRun: boolean): Promise<readonly TaskId[]> {
  const { engine } = ctx.engine.traits;
  const due = await ctx.engine.read(() =>
    allRows(
      withArguments<{ task_id: string }>(
        engine,
        [
          `select r.task_id from receipts r join streams s on s.stream = r.task_id
           where s.home_id = `,
          ' and r.deleted_at < ',
          ' order by r.task_id',
        ],
        [ctx.homeId, before],
      ),
    ),
  );
  const forgotten: TaskId[] = [];
  for (const { task_id: id } of due) {
    const taskId = id as TaskId;
    if (!dryRun) await ctx.engine.write(() => forget(ctx, taskId));
    forgotten.push(taskId);
  }
  if (!dryRun && forgotten.length > 0) ctx.onAppended(['home']);
  return forgotten;
}

/** Removes every row of a deleted task; the home's ledger keeps the head that its chain had. */
function* forget(ctx: StoreContext, taskId: TaskId): Plan<void> {
  const opened = yield* openTransaction(
    ctx,
    new Map<StreamId, typeof ctx.homeId>([
      ['home', ctx.homeId],
      [taskId, ctx.homeId],
    ]),
  );
  const { engine } = ctx.engine.traits;
  const state = opened.streams.get(taskId);
  const detail = { taskId, head: { seq: state?.seq ?? 0, hash: state?.hash ?? '' } };
  yield* appendRecords(ctx, opened, [
    prepareDraft({ stream: 'home', type: 'ledger.forgotten', actor: registryActor, puts: [], detail }),
  ]);
  for (const { name, columns } of yield* readShapes()) {
    const column = name === 'ledger' || name === 'streams' ? 'stream' : columns.includes('task_id') ? 'task_id' : null;
    if (column !== null) yield withArguments(engine, [`delete from ${name} where ${column} = `, ''], [taskId]);
  }
}
