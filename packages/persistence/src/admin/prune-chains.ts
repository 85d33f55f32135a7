import {
  type ChainHead,
  type PruneReport,
  type Put,
  type RecordPayload,
  type StreamId,
  type TaskId,
  prepareDraft,
} from '@opencode-tools/core';
import { type Plan, allRows, firstRow } from '../query/plan.ts';
import type { EngineName } from '../query/traits.ts';
import { fromRow } from '../rows/entity-rows.ts';
import { fromLeaseRow, type LeaseRow } from '../rows/lease-row.ts';
import { appendRecords } from '../write/append.ts';
import type { StoreContext } from '../write/context.ts';
import { openTransaction } from '../write/open-transaction.ts';
import { baseSeqOf } from './base-seq.ts';
import { withArguments } from './raw.ts';
import { registryActor } from './registry-actor.ts';

/** Takes the records before a time out of every chain; one transaction for each. */
export async function pruneChains(ctx: StoreContext, before: string, dryRun: boolean): Promise<PruneReport['chains']> {
  const due = await ctx.engine.read(() => prunable(ctx, before));
  const pruned: PruneReport['chains'][number][] = [];
  for (const { stream, base, records } of due) {
    if (!dryRun) {
      if (!(await ctx.engine.write(() => pruneChain(ctx, stream, base, records)))) continue;
      ctx.onAppended([stream]);
    }
    pruned.push({ stream, records, base });
  }
  return pruned;
}

interface Prunable {
  readonly stream: StreamId;
  readonly base: ChainHead;
  readonly records: number;
}

/** The newest record of each chain that is too old, unless only what an earlier pruning left would go. */
function* prunable(ctx: StoreContext, before: string): Plan<readonly Prunable[]> {
  const rows = yield* allRows(
    withArguments<{ stream: string; seq: number; hash: string; base_seq: number }>(
      ctx.engine.traits.engine,
      [
        `select l.stream, l.seq, l.hash, s.base_seq from ledger l join streams s on s.stream = l.stream
         where s.home_id = `,
        ` and l.seq = (select max(o.seq) from ledger o where o.stream = l.stream and o.at < `,
        `) and l.type <> 'ledger.pruned' order by l.stream`,
      ],
      [ctx.homeId, before],
    ),
  );
  return rows.map((row) => ({
    stream: row.stream as StreamId,
    base: { seq: row.seq, hash: row.hash },
    records: row.seq - row.base_seq,
  }));
}

/**
 * The rows that the pruned records made are said again in the record that tells of it, so that the rest rebuilds them.
 *
 * @returns false when another pruning got as far meanwhile, or forgot the chain: a base never goes back
 */
function* pruneChain(ctx: StoreContext, stream: StreamId, base: ChainHead, records: number): Plan<boolean> {
  if ((yield* baseSeqOf(ctx, stream)) === undefined) return false;
  const opened = yield* openTransaction(ctx, new Map([[stream, ctx.homeId]]));
  if (((yield* baseSeqOf(ctx, stream)) ?? base.seq) >= base.seq) return false;
  const { engine } = ctx.engine.traits;
  const puts = stream === 'home' ? [] : [...(yield* lastTask(ctx, stream)), ...(yield* rowsOf(engine, stream))];
  const detail = { baseSeq: base.seq, baseHash: base.hash, records };
  yield* appendRecords(ctx, opened, [
    prepareDraft({ stream, type: 'ledger.pruned', actor: registryActor, puts, detail }),
  ]);
  yield withArguments(engine, ['delete from ledger where stream = ', ' and seq <= ', ''], [stream, base.seq]);
  yield withArguments(
    engine,
    ['update streams set base_seq = ', ', base_hash = ', ' where stream = ', ''],
    [base.seq, base.hash, stream],
  );
  return true;
}

/** A deleted task as it was, which no row says any more; what brings it back asks for it. The receipt comes after it. */
function* lastTask(ctx: StoreContext, stream: StreamId): Plan<readonly Put[]> {
  const { engine } = ctx.engine.traits;
  const living = withArguments(engine, ['select id from tasks where id = ', ''], [stream]);
  if ((yield* firstRow(living)) !== undefined) return [];
  let before = Number.MAX_SAFE_INTEGER;
  for (;;) {
    const rows = yield* allRows(
      withArguments<{ seq: number; payload: string | null }>(
        engine,
        ['select seq, payload from ledger where stream = ', ' and seq < ', ' order by seq desc limit 50'],
        [stream, before],
      ),
    );
    for (const { payload } of rows) {
      const put = payload === null ? undefined : taskIn(payload);
      if (put !== undefined) return [put];
    }
    const last = rows.at(-1);
    if (last === undefined) return [];
    before = last.seq;
  }
}

function taskIn(payload: string): Put | undefined {
  return (JSON.parse(payload) as RecordPayload).puts.findLast(({ noun }) => noun === 'task');
}

const entityTables = {
  task: ['tasks', 'id'],
  receipt: ['receipts', 'task_id'],
  session: ['sessions', 'task_id'],
  sandbox: ['sandboxes', 'task_id'],
  execution: ['executions', 'task_id'],
  decision: ['decisions', 'task_id'],
  todo: ['todos', 'task_id'],
  note: ['notes', 'task_id'],
  message: ['messages', 'task_id'],
  checkpoint: ['checkpoints', 'task_id'],
  operation: ['operations', 'task_id'],
  claim: ['claims', 'task_id'],
} as const satisfies Record<
  Exclude<Put['noun'], 'lease' | 'checkpointRemoval'>,
  readonly [table: string, column: string]
>;

function* rowsOf(engine: EngineName, taskId: TaskId): Plan<readonly Put[]> {
  const puts: Put[] = [];
  for (const [noun, [table, column]] of Object.entries(entityTables)) {
    const order = column === 'id' || table === 'receipts' || table === 'sandboxes' ? column : 'id';
    const found = yield* allRows(
      withArguments<{ entity: string }>(
        engine,
        [`select entity from ${table} where ${column} = `, ` order by ${order}`],
        [taskId],
      ),
    );
    for (const row of found) puts.push({ noun, value: fromRow(row) } as Put);
  }
  const leases = yield* allRows(
    withArguments<LeaseRow>(engine, ['select * from leases where task_id = ', ' order by token'], [taskId]),
  );
  for (const row of leases) puts.push({ noun: 'lease', value: fromLeaseRow(row) });
  return puts;
}
