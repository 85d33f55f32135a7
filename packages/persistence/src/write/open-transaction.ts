import { type HomeId, OpencodeToolsError, type StreamId, genesisHash } from '@opencode-tools/core';
import { latestSchemaVersion } from '../migrations/migrations.ts';
import {
  type Outcome,
  type Plan,
  type Statement,
  changedRows,
  firstRow,
  outcomeRows,
  together,
} from '../query/plan.ts';
import { schemaChanged } from '../query/schema-changed.ts';
import { template } from '../query/template.ts';
import type { StoreContext } from './context.ts';

interface StreamState {
  readonly stream: StreamId;
  readonly homeId: HomeId;
  seq: number;
  hash: string;
  lastToken: number;
}

/** The store as seen from inside a transaction. */
export interface Opened {
  readonly nowMs: number;
  readonly epoch: number;
  readonly streams: ReadonlyMap<StreamId, StreamState>;
  /** What the statements gave that were sent along. */
  readonly also: readonly Outcome[];
}

/**
 * Begins every changing plan: locks the streams that it appends to, always in the same order, then checks that schema
 * and epoch are those this process knows and reads the store's clock.
 *
 * @param streams each with the home that a stream not seen before belongs to
 * @param also statements that run after the locks, in the same round trip
 * @throws OpencodeToolsError `OCT_SCHEMA_TOO_NEW`, `OCT_STORE_READ_ONLY`; `OCT_STORE_UNAVAILABLE` when the schema was taken back
 */
export function* openTransaction(
  ctx: StoreContext,
  streams: ReadonlyMap<StreamId, HomeId>,
  also: readonly Statement<unknown>[] = [],
): Plan<Opened> {
  const wanted = inLockOrder([...streams.keys()]);
  const locks = wanted.map((stream) => selectStream({ stream }));
  const readMeta = selectMeta({ nowMs: ctx.clock.nowMs() });
  const outcomes = yield* together([...locks, readMeta, ...also]);
  const [meta] = outcomeRows(readMeta, outcomes[locks.length]);
  if (meta === undefined || meta.schema_version > latestSchemaVersion) throw schemaTooNew(meta?.schema_version ?? 0);
  if (meta.schema_version < latestSchemaVersion) {
    throw schemaChanged(ctx.engine.location, `it has version ${meta.schema_version} instead of ${latestSchemaVersion}`);
  }
  if (meta.moved_to !== null) throw storeMoved(meta.moved_to);
  const states = new Map<StreamId, StreamState>();
  for (const [index, stream] of wanted.entries()) {
    const homeId = streams.get(stream) ?? ctx.homeId;
    const [row] = outcomeRows(selectStream({ stream }), outcomes[index]);
    states.set(stream, toState(stream, row ?? (yield* addStream(stream, homeId))));
  }
  return { nowMs: meta.now_ms, epoch: meta.epoch, streams: states, also: outcomes.slice(locks.length + 1) };
}

/** The home's own stream comes last: it is the one that unrelated changes have in common. */
function inLockOrder(streams: readonly StreamId[]): readonly StreamId[] {
  const tasks = streams.filter((stream) => stream !== 'home').sort();
  return tasks.length === streams.length ? tasks : [...tasks, 'home'];
}

export function schemaTooNew(found: number): OpencodeToolsError {
  return new OpencodeToolsError(
    'OCT_SCHEMA_TOO_NEW',
    `The registry has schema version ${found}; this version of opencode-tools knows ${latestSchemaVersion}`,
    { details: { found, known: latestSchemaVersion } },
  );
}

/** @param mark `moving <location>` or `moved <location>` */
function storeMoved(mark: string): OpencodeToolsError {
  const [state = '', location = ''] = mark.split(' ', 2);
  const remedy =
    state === 'moving'
      ? 'Run `opencode-tools db move` again to finish, or `opencode-tools db move --abandon`.'
      : 'Open the home again: it knows where its registry is.';
  return new OpencodeToolsError('OCT_STORE_READ_ONLY', `The registry is ${state} to ${location}`, {
    remedy,
    details: { state, location },
  });
}

interface StreamRow {
  readonly home_id: string;
  readonly head_seq: number;
  readonly head_hash: string;
  readonly last_token: number;
}

function toState(stream: StreamId, row: StreamRow): StreamState {
  return {
    stream,
    homeId: row.home_id as HomeId,
    seq: row.head_seq,
    hash: row.head_hash,
    lastToken: row.last_token,
  };
}

function* addStream(stream: StreamId, homeId: HomeId): Plan<StreamRow> {
  const fresh = { home_id: homeId as string, head_seq: 0, head_hash: genesisHash, last_token: 0 };
  if ((yield* changedRows(insertStream({ stream, homeId, hash: genesisHash }))) > 0) return fresh;
  const row = yield* firstRow(selectStream({ stream }));
  if (row === undefined) throw new OpencodeToolsError('OCT_INTERNAL', `Stream ${stream} vanished while it was added`);
  return row;
}

const selectStream = template<{ stream: string }>()(({ db, rowLocks }, slot) =>
  db
    .selectFrom('streams')
    .select(['home_id', 'head_seq', 'head_hash', 'last_token'])
    .where('stream', '=', slot('stream'))
    .$if(rowLocks, (query) => query.forUpdate()),
);

const insertStream = template<{ stream: string; homeId: string; hash: string }>()(({ db }, slot) =>
  db
    .insertInto('streams')
    .values({
      stream: slot('stream'),
      home_id: slot('homeId'),
      head_seq: 0,
      head_hash: slot('hash'),
      base_seq: 0,
      base_hash: slot('hash'),
      projected_seq: 0,
      last_token: 0,
    })
    .onConflict((conflict) => conflict.doNothing()),
);

const selectMeta = template<{ nowMs: number }>()(({ db, nowMs }, slot) =>
  db.selectFrom('meta').select(['schema_version', 'epoch', 'moved_to', nowMs(slot('nowMs')).as('now_ms')]),
);
