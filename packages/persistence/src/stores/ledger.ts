import {
  ChainCheck,
  type ChainHead,
  type ChainReport,
  type ChainsReport,
  type FollowRecords,
  type FollowedRecords,
  type Ledger,
  OpencodeToolsError,
  type ReadRecords,
  type StoredRecord,
  type StreamId,
  type WaitForRecords,
  genesisHash,
} from '@opencode-tools/core';
import { sql } from 'kysely';
import { type Plan, type Statement, adHoc, allRows, collectRows, firstRow } from '../query/plan.ts';
import { template } from '../query/template.ts';
import { type RecordRow, fromRecordCells, fromRecordRow, recordColumns } from '../rows/record-row.ts';
import type { StoreContext } from '../write/context.ts';
import { erasedSeqs } from './erased-seqs.ts';
import { decodeFollow, encodeFollow, endPosition, hasMore, readOn } from './follow-ledger.ts';
import { verifyChains } from './verify-chains.ts';

const defaultLimit = 100;
const largestLimit = 10_000;
const verifyBatch = 1_000;
/** How long a follower trusts hints: what ended in another database of the server gives none. */
const lookAnywayMs = 1_000;
const followPaceMs = 10;

/** The chains as rows. */
export class StoredLedger implements Ledger {
  readonly #ctx: StoreContext;

  constructor(ctx: StoreContext) {
    this.#ctx = ctx;
  }

  async head(stream: StreamId): Promise<ChainHead> {
    const row = await this.#ctx.engine.read(() => firstRow(selectAnchor({ stream })));
    return { seq: row?.head_seq ?? 0, hash: row?.head_hash ?? genesisHash };
  }

  async read(stream: StreamId, options: ReadRecords = {}): Promise<readonly StoredRecord[]> {
    const rows = await this.#ctx.engine.read(() => allRows(recordsStatement(stream, options)));
    return rows.map(fromRecordRow);
  }

  async follow({ after, limit, streams }: FollowRecords): Promise<FollowedRecords> {
    const most = recordLimit(limit);
    const { engine } = this.#ctx;
    const { rows, at } = await engine.read(function* () {
      return yield* readOn(engine.traits, decodeFollow(after, yield* readEpoch()), most, streams);
    });
    return { records: rows.map(fromRecordRow), cursor: encodeFollow(at) };
  }

  async endCursor(): Promise<string> {
    const { engine } = this.#ctx;
    const at = await engine.read(function* () {
      return yield* endPosition(engine.traits, yield* readEpoch());
    });
    return encodeFollow(at);
  }

  async waitForMore(cursor: string | null, { timeoutMs, signal }: WaitForRecords): Promise<boolean> {
    const { engine } = this.#ctx;
    const until = performance.now() + timeoutMs;
    const watch = engine.watch(null);
    try {
      for (;;) {
        const found = await engine.read(function* () {
          return yield* hasMore(engine.traits, decodeFollow(cursor, yield* readEpoch()));
        });
        const leftMs = until - performance.now();
        if (found || leftMs <= 0 || signal?.aborted === true) return found;
        await watch.changed({ limitMs: Math.min(leftMs, lookAnywayMs), paceMs: followPaceMs, signal });
      }
    } finally {
      watch.close();
    }
  }

  async listStreams(): Promise<readonly StreamId[]> {
    const rows = await this.#ctx.engine.read(() => allRows(selectStreams));
    return rows.map((row) => row.stream as StreamId);
  }

  async withoutChain(streams: readonly StreamId[]): Promise<readonly StreamId[]> {
    if (streams.length === 0) return [];
    const rows = await this.#ctx.engine.read(() => allRows(streamsAmong(streams)));
    const found = new Set(rows.map(({ stream }) => stream));
    return streams.filter((stream) => !found.has(stream));
  }

  async verifyAll(): Promise<ChainsReport> {
    return verifyChains(this.#ctx.engine);
  }

  async verify(stream: StreamId): Promise<ChainReport> {
    const { anchor, lastSeq } = await this.#ctx.engine.snapshot(() => extentOf(stream));
    const base = { seq: anchor?.base_seq ?? 0, hash: anchor?.base_hash ?? genesisHash };
    const anchoredHead = { seq: anchor?.head_seq ?? 0, hash: anchor?.head_hash ?? genesisHash };
    const erased = await this.#erased(stream);
    const check = new ChainCheck(stream, base);
    await this.#check(check, base.seq, lastSeq, erased);
    return check.end(anchoredHead);
  }

  async #check(check: ChainCheck, baseSeq: number, lastSeq: number, erased: ReadonlySet<number>): Promise<void> {
    // From below 1 when nothing was pruned: a record put before the first is a fault too.
    let afterSeq = baseSeq === 0 ? Number.MIN_SAFE_INTEGER : baseSeq;
    for (let found = verifyBatch, sound = true; found === verifyBatch && sound;) {
      const batch = { stream: check.stream, afterSeq, lastSeq, limit: verifyBatch };
      const rows = await this.#ctx.engine.read(() => collectRows(selectBatch(batch)));
      found = rows.length;
      for (const cells of rows) {
        const record = fromRecordCells(cells);
        sound = check.add(record, erased);
        afterSeq = record.seq;
        if (!sound) break;
      }
    }
  }

  async #erased(stream: StreamId): Promise<ReadonlySet<number>> {
    const rows = await this.#ctx.engine.read(() => allRows(selectErasures({ stream })));
    return new Set(rows.flatMap((row) => erasedSeqs(row.payload)));
  }
}

/** Anchor and last record of one moment: what grows meanwhile is left out, what was never anchored is not. */
function* extentOf(stream: StreamId) {
  const anchor = yield* firstRow(selectAnchor({ stream }));
  const end = yield* firstRow(selectEnd({ stream }));
  return { anchor, lastSeq: end?.last_seq ?? 0 };
}

function recordLimit(limit: number = defaultLimit): number {
  if (Number.isInteger(limit) && limit >= 1 && limit <= largestLimit) return limit;
  throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', `Not a number of records: ${limit}`, {
    remedy: `Give a whole number from 1 to ${largestLimit}.`,
    details: { argument: 'limit' },
  });
}

function* readEpoch(): Plan<number> {
  return (yield* firstRow(selectEpoch(null)))?.epoch ?? 0;
}

function recordsStatement(stream: StreamId, options: ReadRecords): Statement<RecordRow> {
  const limit = recordLimit(options.limit);
  const { afterSeq, beforeSeq, types } = options;
  const direction = options.newestFirst === true ? 'desc' : 'asc';
  return adHoc(({ db }) =>
    db
      .selectFrom('ledger')
      .select(recordColumns)
      .where('stream', '=', stream)
      .$if(afterSeq !== undefined, (query) => query.where('seq', '>', afterSeq ?? 0))
      .$if(beforeSeq !== undefined, (query) => query.where('seq', '<', beforeSeq ?? 0))
      .$if(types !== undefined, (query) =>
        query.where((expression) =>
          expression.or(
            (types ?? []).map((type) =>
              type.endsWith('.')
                ? expression(sql<string>`substr(type, 1, ${sql.lit(type.length)})`, '=', type)
                : expression('type', '=', type),
            ),
          ),
        ),
      )
      .orderBy('seq', direction)
      .limit(limit),
  ) as Statement<RecordRow>;
}

const selectEpoch = template<null>()(({ db }) => db.selectFrom('meta').select('epoch'));

const selectAnchor = template<{ stream: string }>()(({ db }, slot) =>
  db
    .selectFrom('streams')
    .select(['head_seq', 'head_hash', 'base_seq', 'base_hash'])
    .where('stream', '=', slot('stream')),
);

const selectEnd = template<{ stream: string }>()(({ db }, slot) =>
  db
    .selectFrom('ledger')
    .select(({ fn }) => fn.max<number | null>('seq').as('last_seq'))
    .where('stream', '=', slot('stream')),
);

const selectBatch = template<{ stream: string; afterSeq: number; lastSeq: number; limit: number }>()(({ db }, slot) =>
  db
    .selectFrom('ledger')
    .select(recordColumns)
    .where('stream', '=', slot('stream'))
    .where('seq', '>', slot('afterSeq'))
    .where('seq', '<=', slot('lastSeq'))
    .orderBy('seq')
    .limit(slot('limit')),
);

const selectErasures = template<{ stream: string }>()(({ db }, slot) =>
  db
    .selectFrom('ledger')
    .select('payload')
    .where('stream', '=', slot('stream'))
    .where(sql<boolean>`type = 'payload.erased'`),
);

function streamsAmong(streams: readonly StreamId[]): Statement<{ stream: string }> {
  return adHoc(({ db }) => db.selectFrom('streams').select('stream').where('stream', 'in', streams));
}

const selectStreams = adHoc(({ db }) =>
  db.selectFrom('streams').select('stream').union(db.selectFrom('ledger').select('stream').distinct()),
);
