import { type JsonObject, type RecordType, type TaskId, prepareDraft } from '@opencode-tools/core';
import { type Plan, adHoc, allRows, firstRow, later, scanRows } from '../query/plan.ts';
import { template } from '../query/template.ts';
import { revokeOn } from '../stores/lease-plans.ts';
import { activeLease, endOfEpoch } from '../stores/lease-rows.ts';
import { appendRecords } from '../write/append.ts';
import type { StoreContext } from '../write/context.ts';
import { openTransaction } from '../write/open-transaction.ts';
import { tokenLeap } from '../write/token-leap.ts';
import { raw } from './raw.ts';
import { registryActor } from './registry-actor.ts';

export interface StartEpoch {
  readonly reason: string;
  /** The largest epoch seen anywhere; the new one comes after it. */
  readonly after?: number;
  /** Token counters seen elsewhere, such as in the registry that is being replaced. */
  readonly seenTokens?: ReadonlyMap<string, number>;
  /** What led to it, recorded before it. */
  readonly because?: { readonly type: RecordType; readonly detail: JsonObject };
}

interface StartedEpoch {
  readonly epoch: number;
  readonly tasks: readonly TaskId[];
}

/** Part of a transaction: everything that an earlier epoch handed out stops being valid. */
export function* startEpochPlan(ctx: StoreContext, start: StartEpoch): Plan<StartedEpoch> {
  // No change of any stream is under way then, and none begins.
  if (ctx.engine.traits.rowLocks) yield raw('lock table streams in exclusive mode');
  yield* raiseSeen(start.seenTokens);
  yield raiseTokens({ by: tokenLeap });
  const tasks = yield* tasksWithLeases();
  const opened = yield* openTransaction(ctx, new Map([...tasks, 'home' as const].map((id) => [id, ctx.homeId])));
  for (const taskId of tasks) {
    const reason = `${endOfEpoch}${start.reason}`;
    yield* revokeOn(ctx, opened, taskId, { reason, actor: registryActor, correlationId: null });
  }
  yield adHoc(({ db }) => db.deleteFrom('idempotency'));
  const epoch = Math.max(opened.epoch, start.after ?? 0) + 1;
  yield adHoc(({ db }) => db.updateTable('meta').set({ epoch }));
  const { because } = start;
  // For a rebuild that finds no other trace of what this epoch gives out.
  const tokenFloor = (yield* firstRow(largestToken))?.token ?? 0;
  const common = { stream: 'home', actor: registryActor, puts: [] } as const;
  yield* appendRecords(ctx, opened, [
    ...(because === undefined ? [] : [prepareDraft({ ...common, ...because })]),
    prepareDraft({
      ...common,
      type: 'store.epoch_started',
      detail: { epoch, reason: start.reason, revokedTasks: tasks.length, tokenFloor },
    }),
  ]);
  return { epoch, tasks };
}

/** Raises the counters that are behind what was seen elsewhere. */
function* raiseSeen(seen: StartEpoch['seenTokens']): Plan<void> {
  if (seen === undefined) return;
  const behind: { readonly stream: string; readonly token: number }[] = [];
  yield* scanRows(
    adHoc(({ db }) => db.selectFrom('streams').select(['stream', 'last_token'])),
    ([stream, token]) => {
      const other = seen.get(String(stream)) ?? 0;
      if (other > Number(token)) behind.push({ stream: String(stream), token: other });
    },
  );
  for (const each of behind) yield* later(setToken(each));
}

function* tasksWithLeases(): Plan<readonly TaskId[]> {
  const rows = yield* allRows(
    adHoc(({ db }) => db.selectFrom('leases').select('task_id').distinct().where(activeLease).orderBy('task_id')),
  );
  return rows.map((row) => row.task_id as TaskId);
}

const largestToken = adHoc(({ db }) =>
  db.selectFrom('streams').select(({ fn }) => fn.max<number | null>('last_token').as('token')),
);

const raiseTokens = template<{ by: number }>()(({ db }, slot) =>
  db.updateTable('streams').set((row) => ({ last_token: row('last_token', '+', slot('by')) })),
);

const setToken = template<{ stream: string; token: number }>()(({ db }, slot) =>
  db
    .updateTable('streams')
    .set({ last_token: slot('token') })
    .where('stream', '=', slot('stream')),
);
