import {
  type BrokenRecord,
  ChainCheck,
  type ChainHead,
  type ChainsReport,
  type StoredRecord,
  type StreamId,
  genesisHash,
} from '@opencode-tools/core';
import { placeholders, raw } from '../admin/raw.ts';
import type { Engine } from '../query/engine.ts';
import { type Plan, collectRows, scanRows } from '../query/plan.ts';
import { fromRecordCells, recordColumns } from '../rows/record-row.ts';
import { erasedSeqs } from './erased-seqs.ts';

const pageRecords = 2_000;

/**
 * Checks every chain of a registry in one walk over the ledger, a page at a time and in constant memory. It may be used
 * meanwhile: a chain's records and its head are compared as of one moment.
 */
export async function verifyChains(engine: Engine): Promise<ChainsReport> {
  const walk = new Walk();
  while (!walk.ended) {
    const page = await engine.snapshot(() => readPage(engine, walk));
    walk.take(page);
  }
  return walk.report();
}

interface Anchor {
  readonly base: ChainHead;
  readonly head: ChainHead;
}

interface Page {
  readonly records: readonly StoredRecord[];
  /** Anchors of all streams up to the last one of the page, or of all that are left when it is the last page. */
  readonly anchors: ReadonlyMap<StreamId, Anchor>;
  /** Erased numbers of the streams that lack a payload on this page. */
  readonly erased: ReadonlyMap<StreamId, ReadonlySet<number>>;
}

/** Where the walk is: between two pages a chain may be half done. */
class Walk {
  ended = false;
  /** The last record seen; null before the first page. */
  last: { readonly stream: StreamId; readonly seq: number } | null = null;
  #open: { readonly check: ChainCheck; readonly base: ChainHead } | null = null;
  #chains = 0;
  #records = 0;
  readonly #broken: BrokenRecord[] = [];

  take({ records, anchors, erased }: Page): void {
    const waiting = new Map(anchors);
    const close = () => {
      if (this.#open === null) return;
      const { stream } = this.#open.check;
      this.#end(this.#open.check, anchors.get(stream));
      this.#open = null;
    };
    if (this.#open !== null) waiting.delete(this.#open.check.stream);
    for (const record of records) {
      if (this.#open?.check.stream !== record.stream) {
        close();
        const base = anchors.get(record.stream)?.base ?? genesis;
        this.#open = { check: new ChainCheck(record.stream, base), base };
        waiting.delete(record.stream);
      }
      const { check, base } = this.#open;
      // What retention is about to take out is no part of the chain any more.
      if (base.seq === 0 || record.seq > base.seq) check.add(record, erased.get(record.stream));
    }
    this.ended = records.length < pageRecords;
    const last = records.at(-1);
    if (last !== undefined) this.last = { stream: last.stream, seq: last.seq };
    if (this.ended) close();
    for (const [stream, anchor] of waiting) this.#end(new ChainCheck(stream, anchor.base), anchor);
  }

  report(): ChainsReport {
    return { chains: this.#chains, records: this.#records, broken: this.#broken };
  }

  #end(check: ChainCheck, anchor: Anchor | undefined): void {
    const { records, broken } = check.end(anchor?.head ?? genesis);
    this.#chains += 1;
    this.#records += records;
    if (broken !== null) this.#broken.push(broken);
  }
}

const genesis: ChainHead = { seq: 0, hash: genesisHash };

function* readPage({ traits }: Engine, { last }: Walk): Plan<Page> {
  const from = last === null ? '' : `where (stream, seq) > (${placeholders(traits.engine, 2)})`;
  const text = `select ${recordColumns.join(', ')} from ledger ${from} order by stream, seq limit ${pageRecords}`;
  const rows = yield* collectRows(raw(text, last === null ? [] : [last.stream, last.seq]));
  const records = rows.map(fromRecordCells);
  const until = records.length < pageRecords ? undefined : records.at(-1)?.stream;
  const anchors = yield* readAnchors(traits.engine, last?.stream, until);
  const erased = new Map<StreamId, ReadonlySet<number>>();
  for (const { stream, payload } of records) {
    if (payload === null && !erased.has(stream)) erased.set(stream, yield* readErased(traits.engine, stream));
  }
  return { records, anchors, erased };
}

/** Anchors from one stream on, up to another, both with it. */
function* readAnchors(
  engine: Engine['traits']['engine'],
  from: StreamId | undefined,
  until: StreamId | undefined,
): Plan<ReadonlyMap<StreamId, Anchor>> {
  const [first = '', second = ''] = placeholders(engine, 2).split(', ');
  const bounds = [
    ...(from === undefined ? [] : [{ test: 'stream >= ', value: from }]),
    ...(until === undefined ? [] : [{ test: 'stream <= ', value: until }]),
  ];
  const where = bounds.map(({ test }, index) => `${test}${index === 0 ? first : second}`).join(' and ');
  const text = `select stream, base_seq, base_hash, head_seq, head_hash from streams ${where === '' ? '' : `where ${where}`}`;
  const anchors = new Map<StreamId, Anchor>();
  yield* scanRows(
    raw(
      text,
      bounds.map(({ value }) => value),
    ),
    ([stream, baseSeq, baseHash, headSeq, headHash]) => {
      const base = { seq: Number(baseSeq), hash: String(baseHash) };
      anchors.set(stream as StreamId, { base, head: { seq: Number(headSeq), hash: String(headHash) } });
    },
  );
  return anchors;
}

function* readErased(engine: Engine['traits']['engine'], stream: StreamId): Plan<ReadonlySet<number>> {
  const seqs = new Set<number>();
  const text = `select payload from ledger where stream = ${placeholders(engine, 1)} and type = 'payload.erased'`;
  yield* scanRows(raw(text, [stream]), ([payload]) => {
    for (const seq of erasedSeqs(payload as string | null)) seqs.add(seq);
  });
  return seqs;
}
