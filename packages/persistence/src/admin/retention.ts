import {
  type Actor,
  type ChainHead,
  OpencodeToolsError,
  type PruneOptions,
  type PruneReport,
  type Put,
  type RecordPayload,
  type StreamId,
  type TaskId,
  prepareDraft,
  toTimestamp,
} from '@opencode-tools/core';
import { type Plan, allRows, firstRow } from '../query/plan.ts';
import type { EngineName } from '../query/traits.ts';
import { fromRow } from '../rows/entity-rows.ts';
import { fromLeaseRow, type LeaseRow } from '../rows/lease-row.ts';
import { appendRecords } from '../write/append.ts';
import type { StoreContext } from '../write/context.ts';
import { openTransaction } from '../write/open-transaction.ts';
import { placeholders, raw } from './raw.ts';
import { registryActor } from './registry-actor.ts';
import { type PrunedOutputs, pruneOutputs } from './prune-outputs.ts';
import { readShapes } from './table-shapes.ts';

const dayMs = 24 * 60 * 60 * 1000;

/** Takes out of every chain, of the tombstones and of the outputs what is past its time; one transaction per chain. */
export async function prune(ctx: StoreContext, homeDirectory: string, options: PruneOptions): Promise<PruneReport> {
  const dryRun = options.dryRun === true;
  const outputs = await removeOutputs(ctx, homeDirectory, options);
  const chains = await pruneChains(ctx, options.keepLedgerDays, dryRun);
  const tombstones = await forgetTombstones(ctx, options.keepTombstoneDays, dryRun);
  return { dryRun, chains, tombstones, outputs };
}

async function removeOutputs(
  ctx: StoreContext,
  homeDirectory: string,
  { keepOutputDays = null, dryRun = false }: PruneOptions,
): Promise<readonly PrunedOutputs[]> {
  if (keepOutputDays === null) return [];
  const beforeMs = ctx.clock.nowMs() - keepOutputDays * dayMs;
  const { engine } = ctx.engine.traits;
  const rows = await ctx.engine.read(() =>
    allRows(withArguments<{ id: string }>(engine, ['select id from executions where state = ', ''], ['running'])),
  );
  const running = new Set(rows.map(({ id }) => id));
  const outputs = await pruneOutputs(homeDirectory, { beforeMs, running, dryRun });
  if (!dryRun) for (const each of outputs) await recordOutputs(ctx, each);
  return outputs;
}

async function recordOutputs(ctx: StoreContext, { taskId, ...detail }: PrunedOutputs): Promise<void> {
  const recorded = await ctx.engine.write(function* () {
    if ((yield* baseSeqOf(ctx, taskId)) === undefined) return false;
    const opened = yield* openTransaction(ctx, new Map([[taskId, ctx.homeId]]));
    yield* appendRecords(ctx, opened, [
      prepareDraft({ stream: taskId, type: 'execution.pruned', actor: registryActor, puts: [], detail }),
    ]);
    return true;
  });
  if (recorded) ctx.onAppended([taskId]);
}

async function pruneChains(
  ctx: StoreContext,
  keepDays: number | null,
  dryRun: boolean,
): Promise<PruneReport['chains']> {
  if (keepDays === null) return [];
  const before = toTimestamp(ctx.clock.nowMs() - keepDays * dayMs);
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

function* baseSeqOf(ctx: StoreContext, stream: StreamId): Plan<number | undefined> {
  const pieces = ['select base_seq from streams where stream = ', ''];
  return (yield* firstRow(withArguments<{ base_seq: number }>(ctx.engine.traits.engine, pieces, [stream])))?.base_seq;
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

async function forgetTombstones(
  ctx: StoreContext,
  keepDays: number | null,
  dryRun: boolean,
): Promise<readonly TaskId[]> {
  if (keepDays === null) return [];
  const before = toTimestamp(ctx.clock.nowMs() - keepDays * dayMs);
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

/** Takes the payloads of records out of the rows; the chain, which covers only their digests, stays whole. */
export async function erasePayloads(
  ctx: StoreContext,
  stream: StreamId,
  seqs: readonly number[],
  why: { readonly reason: string; readonly actor: Actor },
): Promise<void> {
  const wanted = [...new Set(seqs)].toSorted((left, right) => left - right);
  await ctx.engine.write(function* () {
    const opened = yield* openTransaction(ctx, new Map([[stream, ctx.homeId]]));
    const { engine } = ctx.engine.traits;
    for (const seq of wanted) {
      const row = yield* firstRow(
        withArguments<{ type: string }>(
          engine,
          ['select type from ledger where stream = ', ' and seq = ', ''],
          [stream, seq],
        ),
      );
      if (row === undefined || row.type === 'payload.erased') throw notErasable(stream, seq, row?.type);
      yield withArguments(
        engine,
        ['update ledger set payload = null where stream = ', ' and seq = ', ''],
        [stream, seq],
      );
    }
    const detail = { seqs: wanted, reason: why.reason };
    yield* appendRecords(ctx, opened, [
      prepareDraft({ stream, type: 'payload.erased', actor: why.actor, puts: [], detail }),
    ]);
  });
  ctx.onAppended([stream]);
}

function notErasable(stream: StreamId, seq: number, type: string | undefined): OpencodeToolsError {
  const why = type === undefined ? 'does not exist' : `is ${type}, which says what was erased`;
  return new OpencodeToolsError('OCT_INVALID_ARGUMENT', `Record ${seq} of ${stream} ${why}`, {
    remedy: 'Name records that `opencode-tools task-history` shows.',
    details: { argument: 'seqs', stream, seq },
  });
}

/** A statement made of pieces of text with an argument between each two. */
function withArguments<R = unknown>(engine: EngineName, pieces: readonly string[], values: readonly unknown[]) {
  const marks = placeholders(engine, values.length).split(', ');
  const text = pieces.map((piece, index) => (index < values.length ? piece + (marks[index] ?? '') : piece)).join('');
  return raw<R>(text, values);
}
