import {
  type BrokenRecord,
  type ChainFault,
  type ChainHead,
  type HomeId,
  OpencodeToolsError,
  type RecordPayload,
  type StoredRecord,
  type StreamId,
  hashRecord,
  sha256,
} from '@opencode-tools/core';
import { type Plan, firstRow } from '../query/plan.ts';
import type { Traits } from '../query/traits.ts';
import { template } from '../query/template.ts';
import { type RecordRow, recordColumns, toRecordRow } from '../rows/record-row.ts';
import { CountChanges } from '../write/task-counts.ts';
import { replayPut } from './replay-put.ts';

export interface TakeIn {
  readonly stream: StreamId;
  readonly homeId: HomeId;
  /** Where the records start from; the genesis when nothing was pruned. */
  readonly base: ChainHead;
  readonly records: Iterable<StoredRecord>;
  /** Sequence numbers whose payload may be missing. */
  readonly erased: ReadonlySet<number>;
}

export interface TakenIn {
  readonly added: number;
  readonly head: ChainHead;
}

/** Part of a transaction: goes on with a chain that is here; records that it has already are compared. */
export function* goOnWith(traits: Traits, given: TakeIn): Plan<TakenIn> {
  const { stream, base } = given;
  const found = yield* firstRow(selectChain({ stream }));
  if (found === undefined) throw new OpencodeToolsError('OCT_INTERNAL', `Stream ${stream} vanished while it was read`);
  const start = { seq: found.head_seq, hash: found.head_hash };
  yield* meet(given, found, start);
  const counts = new CountChanges(traits);
  let head = start;
  let cursor: ChainHead = base;
  let added = 0;
  let lastToken = found.last_token;
  for (const record of given.records) {
    checkNext(given, record, cursor);
    cursor = { seq: record.seq, hash: record.hash };
    if (record.seq <= start.seq) {
      if (record.seq > found.base_seq) yield* compare(stream, record.seq, record.hash);
      continue;
    }
    if (record.seq === start.seq + 1 && record.prevHash !== start.hash) {
      throw fork(stream, record.seq, start.hash, record.prevHash);
    }
    yield insertRecord({ ...toRecordRow(record, ''), payload: record.payload });
    if (record.payload !== null) {
      for (const put of (JSON.parse(record.payload) as RecordPayload).puts) {
        yield* replayPut(traits, put, counts);
        if (put.noun === 'lease') lastToken = Math.max(lastToken, put.value.token);
      }
    }
    lastToken = Math.max(lastToken, record.token ?? 0);
    head = cursor;
    added += 1;
  }
  yield* counts.write();
  yield updateChain({ stream, seq: head.seq, hash: head.hash, lastToken });
  return { added, head };
}

/** The first thing about a record that does not fit the one before. @throws OpencodeToolsError `OCT_LEDGER_BROKEN` */
export function checkNext(given: Pick<TakeIn, 'stream' | 'erased'>, record: StoredRecord, before: ChainHead): void {
  const seq = before.seq + 1;
  const fail = (fault: ChainFault, expected: string, found: string) =>
    brokenChain({ stream: given.stream, seq, fault, expected, found });
  if (record.stream !== given.stream) throw fail('foreign-stream', given.stream, record.stream);
  if (record.seq !== seq) throw fail('sequence-gap', String(seq), String(record.seq));
  if (record.prevHash !== before.hash) throw fail('broken-link', before.hash, record.prevHash);
  const hash = hashRecord(record);
  if (hash !== record.hash) throw fail('hash-mismatch', hash, record.hash);
  if (record.payload === null) {
    if (!given.erased.has(seq)) throw fail('payload-missing', record.payloadDigest, 'nothing');
  } else if (sha256(record.payload) !== record.payloadDigest) {
    throw fail('payload-mismatch', record.payloadDigest, sha256(record.payload));
  }
}

/** What is given may start later than what is here, as long as it starts from a record of it. */
function* meet({ stream, base }: TakeIn, found: { readonly base_seq: number }, head: ChainHead): Plan<void> {
  if (base.seq > head.seq) {
    throw brokenChain({
      stream,
      seq: head.seq + 1,
      fault: 'sequence-gap',
      expected: String(head.seq + 1),
      found: String(base.seq + 1),
    });
  }
  if (base.seq > found.base_seq) yield* compare(stream, base.seq, base.hash);
}

function* compare(stream: StreamId, seq: number, hash: string): Plan<void> {
  const row = yield* firstRow(selectHash({ stream, seq }));
  if (row?.hash !== hash) throw fork(stream, seq, row?.hash ?? 'nothing', hash);
}

function fork(stream: StreamId, seq: number, expected: string, found: string): OpencodeToolsError {
  return brokenChain({ stream, seq, fault: 'broken-link', expected, found });
}

export function brokenChain(broken: BrokenRecord): OpencodeToolsError {
  const { stream, seq, fault, expected, found } = broken;
  return new OpencodeToolsError(
    'OCT_LEDGER_BROKEN',
    `Record ${seq} of ${stream} does not fit: ${fault} (expected ${expected}, found ${found})`,
    { details: { ...broken } },
  );
}

const selectChain = template<{ stream: string }>()(({ db, rowLocks }, slot) =>
  db
    .selectFrom('streams')
    .select(['head_seq', 'head_hash', 'base_seq', 'last_token'])
    .where('stream', '=', slot('stream'))
    .$if(rowLocks, (query) => query.forUpdate()),
);

const selectHash = template<{ stream: string; seq: number }>()(({ db }, slot) =>
  db.selectFrom('ledger').select('hash').where('stream', '=', slot('stream')).where('seq', '=', slot('seq')),
);

const updateChain = template<{ stream: string; seq: number; hash: string; lastToken: number }>()(({ db }, slot) =>
  db
    .updateTable('streams')
    .set({ head_seq: slot('seq'), head_hash: slot('hash'), last_token: slot('lastToken') })
    .where('stream', '=', slot('stream')),
);

const insertRecord = template<RecordRow>()(({ db }, slot) =>
  db.insertInto('ledger').values(
    Object.fromEntries(recordColumns.map((column) => [column, slot(column)])) as unknown as RecordRow & {
      position: number;
    },
  ),
);
