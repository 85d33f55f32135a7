import {
  type LedgerRecord,
  OpencodeToolsError,
  type PreparedDraft,
  type StreamId,
  linkRecord,
  toTimestamp,
} from '@opencode-tools/core';
import { type Plan, later } from '../query/plan.ts';
import { template } from '../query/template.ts';
import { type RecordRow, recordColumns, toRecordRow } from '../rows/record-row.ts';
import type { StoreContext } from './context.ts';
import type { Opened } from './open-transaction.ts';

/** Appends prepared drafts to their chains, which the transaction has locked, and moves the anchored heads. */
export function* appendRecords(
  ctx: StoreContext,
  opened: Opened,
  prepared: readonly PreparedDraft[],
): Plan<readonly LedgerRecord[]> {
  const stamp = { at: toTimestamp(opened.nowMs), homeId: ctx.homeId };
  const records: LedgerRecord[] = [];
  for (const draft of prepared) {
    const state = opened.streams.get(draft.draft.stream);
    if (state === undefined) {
      throw new OpencodeToolsError('OCT_INTERNAL', `Stream ${draft.draft.stream} was not locked before appending`);
    }
    const record = linkRecord(draft, { seq: state.seq, hash: state.hash }, stamp);
    yield* later(insertRecord(toRecordRow(record, draft.payload)));
    state.seq = record.seq;
    state.hash = record.hash;
    records.push(record);
  }
  for (const stream of new Set(records.map((record) => record.stream))) yield* moveHead(opened, stream);
  return records;
}

function* moveHead(opened: Opened, stream: StreamId): Plan<void> {
  const state = opened.streams.get(stream);
  if (state === undefined) return;
  yield* later(updateHead({ stream, seq: state.seq, hash: state.hash, lastToken: state.lastToken }));
}

const insertRecord = template<RecordRow>()(({ db }, slot) =>
  db.insertInto('ledger').values(
    Object.fromEntries(recordColumns.map((column) => [column, slot(column)])) as unknown as RecordRow & {
      position: number;
    },
  ),
);

const updateHead = template<{ stream: string; seq: number; hash: string; lastToken: number }>()(({ db }, slot) =>
  db
    .updateTable('streams')
    .set({ head_seq: slot('seq'), head_hash: slot('hash'), last_token: slot('lastToken') })
    .where('stream', '=', slot('stream')),
);
