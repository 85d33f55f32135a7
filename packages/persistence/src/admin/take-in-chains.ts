import type { ChainHead, RecordPayload } from '@opencode-tools/core';
import { type Plan, allRows, loadRows } from '../query/plan.ts';
import type { Row } from '../query/rows.ts';
import type { Traits } from '../query/traits.ts';
import { recordColumns, toRecordRow } from '../rows/record-row.ts';
import { CountChanges } from '../write/task-counts.ts';
import { ChainRows, RowsByTable } from './chain-rows.ts';
import { placeholders, raw } from './raw.ts';
import { type TakeIn, type TakenIn, checkNext, goOnWith } from './go-on-with.ts';

/**
 * Part of a transaction: goes on with chains, or begins them, from records that were made elsewhere or earlier, and writes
 * the rows that they left behind. Records that are here already are compared; a chain that is new is put in as the fastest
 * way to load rows goes.
 *
 * @param chains each of another stream
 * @throws OpencodeToolsError `OCT_LEDGER_BROKEN` at the first record that does not fit, for the whole transaction to be undone
 */
export function* takeInChains(traits: Traits, chains: readonly TakeIn[]): Plan<readonly TakenIn[]> {
  const known = yield* knownStreams(traits, chains);
  const taken = new Map<TakeIn, TakenIn>();
  for (const chain of chains) if (known.has(chain.stream)) taken.set(chain, yield* goOnWith(traits, chain));
  const added = chains.filter(({ stream }) => !known.has(stream));
  if (added.length > 0) yield* beginChains(traits, added, taken);
  return chains.flatMap((chain) => taken.get(chain) ?? []);
}

/** Part of a transaction: the same for one chain. */
export function* takeInRecords(traits: Traits, given: TakeIn): Plan<TakenIn> {
  const [taken] = yield* takeInChains(traits, [given]);
  return taken ?? { added: 0, head: given.base };
}

function* knownStreams({ engine }: Traits, chains: readonly TakeIn[]): Plan<ReadonlySet<string>> {
  const places = placeholders(engine, chains.length);
  const streams = chains.map(({ stream }) => stream);
  const found = yield* allRows(
    raw<{ stream: string }>(`select stream from streams where stream in (${places})`, streams),
  );
  return new Set(found.map(({ stream }) => stream));
}

/** Records are read, checked and loaded one after the other; what they leave behind is kept until all are in. */
function* beginChains(traits: Traits, chains: readonly TakeIn[], taken: Map<TakeIn, TakenIn>): Plan<void> {
  const rows = new RowsByTable();
  const counts = new CountChanges(traits);
  yield* loadRows({ table: 'ledger', columns: recordColumns, rows: recordsOf(chains, { rows, counts, taken }) });
  for (const table of rows.tables()) yield* loadRows(table);
  yield* counts.write();
}

interface Gathered {
  readonly rows: RowsByTable;
  readonly counts: CountChanges;
  readonly taken: Map<TakeIn, TakenIn>;
}

function* recordsOf(chains: readonly TakeIn[], { rows, counts, taken }: Gathered): Generator<Row> {
  for (const chain of chains) {
    const left = new ChainRows();
    let head: ChainHead = chain.base;
    let lastToken = 0;
    let added = 0;
    for (const record of chain.records) {
      checkNext(chain, record, head);
      head = { seq: record.seq, hash: record.hash };
      lastToken = Math.max(lastToken, record.token ?? 0);
      const puts = record.payload === null ? [] : (JSON.parse(record.payload) as RecordPayload).puts;
      for (const put of puts) {
        left.add(put);
        if (put.noun === 'lease') lastToken = Math.max(lastToken, put.value.token);
      }
      added += 1;
      const row = { ...toRecordRow(record, ''), payload: record.payload };
      yield recordColumns.map((column) => row[column]);
    }
    left.moveTo(rows, counts);
    rows.add('streams', streamRow(chain, head, lastToken));
    taken.set(chain, { added, head });
  }
}

function streamRow({ stream, homeId, base }: TakeIn, head: ChainHead, lastToken: number) {
  return {
    stream,
    home_id: homeId,
    head_seq: head.seq,
    head_hash: head.hash,
    base_seq: base.seq,
    base_hash: base.hash,
    projected_seq: base.seq,
    last_token: lastToken,
  };
}
