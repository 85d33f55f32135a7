import {
  type Actor,
  type StoreAdmin,
  type StoreStatus,
  type StreamId,
  type TaskId,
  prepareDraft,
} from '@opencode-tools/core';
import { latestSchemaVersion } from '../migrations/migrations.ts';
import { type Plan, adHoc, allRows, firstRow } from '../query/plan.ts';
import { template } from '../query/template.ts';
import { appendRecords } from '../write/append.ts';
import type { StoreContext } from '../write/context.ts';
import { openTransaction } from '../write/open-transaction.ts';
import { revokeOn } from './lease-plans.ts';
import { activeLease } from './lease-rows.ts';

/** How far an epoch raises every token counter past what was seen (ARCHITECTURE.md, epochs). */
const tokenLeap = 2 ** 20;

const registryActor: Actor = {
  kind: 'system',
  id: 'registry',
  agent: null,
  model: null,
  session: null,
  onBehalfOf: null,
};

/** Administration of one opened registry. */
export class StoreAdministration implements StoreAdmin {
  readonly #ctx: StoreContext;

  constructor(ctx: StoreContext) {
    this.#ctx = ctx;
  }

  async status(): Promise<StoreStatus> {
    const { engine, homeId } = this.#ctx;
    const facts = await engine.snapshot(() => countRows());
    return {
      homeId,
      engine: engine.traits.engine,
      location: engine.location,
      latestSchemaVersion,
      ...facts,
      sizeBytes: await engine.sizeBytes(),
    };
  }

  async startEpoch(reason: string): Promise<number> {
    const ctx = this.#ctx;
    if (ctx.writeRefusal !== null) throw ctx.writeRefusal;
    const { epoch, tasks } = await ctx.engine.write(() => startEpochPlan(ctx, reason));
    ctx.epoch = epoch;
    ctx.onAppended(tasks);
    return epoch;
  }
}

function* countRows(): Plan<Pick<StoreStatus, 'schemaVersion' | 'epoch' | 'tasks' | 'records'>> {
  const meta = yield* firstRow(adHoc(({ db }) => db.selectFrom('meta').select(['schema_version', 'epoch'])));
  const tasks = yield* firstRow(
    adHoc(({ db }) => db.selectFrom('task_counts').select(({ fn }) => fn.sum<number>('tasks').as('total'))),
  );
  const records = yield* firstRow(
    adHoc(({ db }) =>
      db
        .selectFrom('streams')
        .select(({ fn }) => [fn.sum<number>('head_seq').as('heads'), fn.sum<number>('base_seq').as('bases')]),
    ),
  );
  return {
    schemaVersion: meta?.schema_version ?? 0,
    epoch: meta?.epoch ?? 0,
    tasks: tasks?.total ?? 0,
    records: (records?.heads ?? 0) - (records?.bases ?? 0),
  };
}

function* startEpochPlan(
  ctx: StoreContext,
  reason: string,
): Plan<{ readonly epoch: number; readonly tasks: readonly TaskId[] }> {
  const rows = yield* allRows(adHoc(({ db }) => db.selectFrom('streams').select('stream').orderBy('stream')));
  const streams = new Map(
    [...rows.map(({ stream }) => stream as StreamId), 'home' as const].map((id) => [id, ctx.homeId]),
  );
  const opened = yield* openTransaction(ctx, streams);
  for (const state of opened.streams.values()) state.lastToken += tokenLeap;
  yield raiseTokens({ by: tokenLeap });
  const tasks = yield* tasksWithLeases();
  for (const taskId of tasks) {
    yield* revokeOn(ctx, opened, taskId, {
      reason: `Epoch ended: ${reason}`,
      actor: registryActor,
      correlationId: null,
    });
  }
  yield adHoc(({ db }) => db.deleteFrom('idempotency'));
  const epoch = opened.epoch + 1;
  yield adHoc(({ db }) => db.updateTable('meta').set({ epoch }));
  const detail = { epoch, reason, revokedTasks: tasks.length };
  yield* appendRecords(ctx, opened, [
    prepareDraft({ stream: 'home', type: 'store.epoch_started', actor: registryActor, puts: [], detail }),
  ]);
  return { epoch, tasks };
}

function* tasksWithLeases(): Plan<readonly TaskId[]> {
  const rows = yield* allRows(
    adHoc(({ db }) => db.selectFrom('leases').select('task_id').distinct().where(activeLease).orderBy('task_id')),
  );
  return rows.map((row) => row.task_id as TaskId);
}

const raiseTokens = template<{ by: number }>()(({ db }, slot) =>
  db.updateTable('streams').set((row) => ({ last_token: row('last_token', '+', slot('by')) })),
);
