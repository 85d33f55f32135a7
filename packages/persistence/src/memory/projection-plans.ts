import type {
  Checkpoint,
  Decision,
  Lease,
  Note,
  Receipt,
  Sandbox,
  Session,
  StoredRecord,
  StreamId,
  Task,
  TaskId,
  Todo,
} from '@opencode-tools/core';
import { sql } from 'kysely';
import { type Plan, allRows, changedRows, firstRow } from '../query/plan.ts';
import { template } from '../query/template.ts';
import { fromRow } from '../rows/entity-rows.ts';
import { fromLeaseRow } from '../rows/lease-row.ts';
import { fromRecordRow, recordColumns } from '../rows/record-row.ts';
import { selectActiveLeases } from '../stores/lease-rows.ts';
import * as rows from '../stores/task-rows.ts';
import type { StoreContext } from '../write/context.ts';

/** How far a stream and its files are. */
export interface Extent {
  readonly homeId: string;
  readonly headSeq: number;
  readonly headHash: string;
  readonly baseSeq: number;
  readonly projectedSeq: number;
  readonly lastToken: number;
}

/** Everything that the files of a task show beside its records, as of one moment. */
export interface TaskFacts {
  readonly extent: Extent;
  readonly task: Task | null;
  readonly receipt: Receipt | null;
  readonly sandbox: Sandbox | null;
  /** Those that are attached, after the newest of those that are not. */
  readonly sessions: readonly Session[];
  readonly sessionCount: number;
  readonly leases: readonly Lease[];
  readonly decisions: readonly Decision[];
  readonly todos: readonly Todo[];
  readonly notes: readonly Note[];
  readonly checkpoints: readonly Checkpoint[];
  readonly executions: number;
}

export function* readExtent(stream: StreamId): Plan<Extent | undefined> {
  const row = yield* firstRow(selectExtent({ stream }));
  if (row === undefined) return undefined;
  return {
    homeId: row.home_id,
    headSeq: row.head_seq,
    headHash: row.head_hash,
    baseSeq: row.base_seq,
    projectedSeq: row.projected_seq,
    lastToken: row.last_token,
  };
}

export function* readFacts(taskId: TaskId): Plan<TaskFacts | undefined> {
  const extent = yield* readExtent(taskId);
  if (extent === undefined) return undefined;
  const id = { taskId };
  const task = yield* firstRow(rows.selectTask({ id: taskId }));
  const receipt = yield* firstRow(rows.selectReceipt({ id: taskId }));
  const sandbox = yield* firstRow(rows.selectSandbox(id));
  const executions = yield* firstRow(rows.countTaskExecutions(id));
  return {
    extent,
    task: task === undefined ? null : fromRow<Task>(task),
    receipt: receipt === undefined ? null : fromRow<Receipt>(receipt),
    sandbox: sandbox === undefined ? null : fromRow<Sandbox>(sandbox),
    sessions: yield* readSessions(taskId),
    sessionCount: (yield* firstRow(countSessions(id)))?.total ?? 0,
    leases: (yield* allRows(selectActiveLeases(id))).map(fromLeaseRow),
    decisions: (yield* allRows(rows.selectDecisions(id))).map((row) => fromRow<Decision>(row)),
    todos: (yield* allRows(rows.selectTodos(id))).map((row) => fromRow<Todo>(row)),
    notes: (yield* allRows(rows.selectNotes(id))).map((row) => fromRow<Note>(row)),
    checkpoints: (yield* allRows(rows.selectCheckpoints(id))).map((row) => fromRow<Checkpoint>(row)),
    executions: executions?.total ?? 0,
  };
}

function* readSessions(taskId: TaskId): Plan<readonly Session[]> {
  const ended = yield* allRows(selectEndedSessions({ taskId, limit: endedSessionsKept }));
  const attached = yield* allRows(selectAttachedSessions({ taskId }));
  return [...ended.toReversed(), ...attached].map((row) => fromRow<Session>(row));
}

/** Records of a stream in order, from after one number to another. */
export function* readRange(
  stream: string,
  afterSeq: number,
  lastSeq: number,
  limit: number,
): Plan<readonly StoredRecord[]> {
  const found = yield* allRows(selectRange({ stream, afterSeq, lastSeq, limit }));
  return found.map((row) => fromRecordRow(row));
}

/** Tasks of this home whose files are behind, at most `limit`. */
export function* listLagging(ctx: StoreContext, limit: number): Plan<readonly TaskId[]> {
  const found = yield* allRows(selectLagging({ homeId: ctx.homeId, limit }));
  return found.map((row) => row.stream as TaskId);
}

/** Takes the right to write a task's files, unless another process has it. */
export function* lockProjection(ctx: StoreContext, stream: StreamId, holder: string, forMs: number): Plan<boolean> {
  const nowMs = yield* readNow(ctx);
  return (yield* changedRows(takeLock({ stream, holder, nowMs, expiresAtMs: nowMs + forMs }))) > 0;
}

export function* holderOf(stream: StreamId): Plan<string | undefined> {
  return (yield* firstRow(selectHolder({ stream })))?.holder;
}

/** Gives the right back, and moves the mark when the files got further. @returns false when another process had the right meanwhile */
export function* unlockProjection(
  stream: StreamId,
  holder: string,
  moved: { readonly from: number; readonly to: number } | null,
): Plan<boolean> {
  const kept = (yield* changedRows(dropLock({ stream, holder }))) > 0;
  if (kept && moved !== null) yield moveProjected({ stream, from: moved.from, to: moved.to });
  return kept;
}

function* readNow(ctx: StoreContext): Plan<number> {
  const row = yield* firstRow(selectNow({ nowMs: ctx.clock.nowMs() }));
  return row?.now_ms ?? ctx.clock.nowMs();
}

const selectNow = template<{ nowMs: number }>()(({ db, nowMs }, slot) =>
  db.selectNoFrom(nowMs(slot('nowMs')).as('now_ms')),
);

const endedSessionsKept = 20;

const selectEndedSessions = template<{ taskId: string; limit: number }>()(({ db }, slot) =>
  db
    .selectFrom('sessions')
    .select('entity')
    .where('task_id', '=', slot('taskId'))
    .where('state', '<>', sql.lit('attached'))
    .orderBy('attached_at', 'desc')
    .orderBy('id', 'desc')
    .limit(slot('limit')),
);

const selectAttachedSessions = template<{ taskId: string }>()(({ db }, slot) =>
  db
    .selectFrom('sessions')
    .select('entity')
    .where('task_id', '=', slot('taskId'))
    .where('state', '=', sql.lit('attached'))
    .orderBy('attached_at')
    .orderBy('id'),
);

const countSessions = template<{ taskId: string }>()(({ db }, slot) =>
  db
    .selectFrom('sessions')
    .select(({ fn }) => fn.countAll<number>().as('total'))
    .where('task_id', '=', slot('taskId')),
);

const selectExtent = template<{ stream: string }>()(({ db }, slot) =>
  db
    .selectFrom('streams')
    .select(['home_id', 'head_seq', 'head_hash', 'base_seq', 'projected_seq', 'last_token'])
    .where('stream', '=', slot('stream')),
);

const selectRange = template<{ stream: string; afterSeq: number; lastSeq: number; limit: number }>()(({ db }, slot) =>
  db
    .selectFrom('ledger')
    .select(recordColumns)
    .where('stream', '=', slot('stream'))
    .where('seq', '>', slot('afterSeq'))
    .where('seq', '<=', slot('lastSeq'))
    .orderBy('seq')
    .limit(slot('limit')),
);

const selectLagging = template<{ homeId: string; limit: number }>()(({ db }, slot) =>
  db
    .selectFrom('streams')
    .select('stream')
    .where('home_id', '=', slot('homeId'))
    .whereRef('head_seq', '>', 'projected_seq')
    .where(sql<boolean>`stream <> 'home'`)
    .limit(slot('limit')),
);

const takeLock = template<{ stream: string; holder: string; nowMs: number; expiresAtMs: number }>()(({ db }, slot) =>
  db
    .insertInto('projection_locks')
    .values({ stream: slot('stream'), holder: slot('holder'), expires_at_ms: slot('expiresAtMs') })
    .onConflict((conflict) =>
      conflict
        .column('stream')
        .doUpdateSet((row) => ({
          holder: row.ref('excluded.holder'),
          expires_at_ms: row.ref('excluded.expires_at_ms'),
        }))
        .where((row) =>
          row.or([
            row('projection_locks.expires_at_ms', '<=', slot('nowMs')),
            row('projection_locks.holder', '=', slot('holder')),
          ]),
        ),
    ),
);

const selectHolder = template<{ stream: string }>()(({ db }, slot) =>
  db.selectFrom('projection_locks').select('holder').where('stream', '=', slot('stream')),
);

const dropLock = template<{ stream: string; holder: string }>()(({ db }, slot) =>
  db.deleteFrom('projection_locks').where('stream', '=', slot('stream')).where('holder', '=', slot('holder')),
);

const moveProjected = template<{ stream: string; from: number; to: number }>()(({ db }, slot) =>
  db
    .updateTable('streams')
    .set({ projected_seq: slot('to') })
    .where('stream', '=', slot('stream'))
    .where('projected_seq', '=', slot('from')),
);
