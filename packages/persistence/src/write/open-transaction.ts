import { type HomeId, OpencodeToolsError, type StreamId, genesisHash } from '@opencode-tools/core';
import { latestSchemaVersion } from '../migrations/migrations.ts';
import { type Plan, changedRows, firstRow } from '../query/plan.ts';
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
}

/**
 * Begins every changing plan: locks the streams that it appends to, always in the same order, then checks that schema
 * and epoch are those this process knows and reads the store's clock.
 *
 * @param streams each with the home that a stream not seen before belongs to
 * @throws OpencodeToolsError `OCT_SCHEMA_TOO_NEW`
 */
export function* openTransaction(ctx: StoreContext, streams: ReadonlyMap<StreamId, HomeId>): Plan<Opened> {
  const states = new Map<StreamId, StreamState>();
  for (const stream of [...streams.keys()].sort()) {
    states.set(stream, yield* lockStream(stream, streams.get(stream) ?? ctx.homeId));
  }
  const meta = yield* firstRow(selectMeta({ nowMs: ctx.clock.nowMs() }));
  if (meta === undefined || meta.schema_version > latestSchemaVersion) throw schemaTooNew(meta?.schema_version ?? 0);
  return { nowMs: meta.now_ms, epoch: meta.epoch, streams: states };
}

export function schemaTooNew(found: number): OpencodeToolsError {
  return new OpencodeToolsError(
    'OCT_SCHEMA_TOO_NEW',
    `The registry has schema version ${found}; this version of opencode-tools knows ${latestSchemaVersion}`,
    { details: { found, known: latestSchemaVersion } },
  );
}

function* lockStream(stream: StreamId, homeId: HomeId): Plan<StreamState> {
  const row = (yield* firstRow(selectStream({ stream }))) ?? (yield* addStream(stream, homeId));
  return {
    stream,
    homeId: row.home_id as HomeId,
    seq: row.head_seq,
    hash: row.head_hash,
    lastToken: row.last_token,
  };
}

function* addStream(stream: StreamId, homeId: HomeId) {
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
  db.selectFrom('meta').select(['schema_version', 'epoch', nowMs(slot('nowMs')).as('now_ms')]),
);
