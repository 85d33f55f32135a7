import {
  type ChainHead,
  type HomeId,
  type ImportedLedger,
  type ImportedLedgers,
  OpencodeToolsError,
  type StoredRecord,
  type StreamId,
  genesisHash,
  isId,
} from '@opencode-tools/core';
import type { Engine } from '../query/engine.ts';
import { firstRow } from '../query/plan.ts';
import { readRange } from '../memory/projection-plans.ts';
import { erasedBy } from './log-records.ts';
import { rawPer } from './raw.ts';
import { settleRows } from './load-rows.ts';
import { assertOwnRows, rowsOfChains } from './own-rows.ts';
import { takeInChains } from './take-in-chains.ts';
import { type TakeIn, type TakenIn, brokenChain } from './go-on-with.ts';

const format = 'opencode-tools-ledger';
const headerStart = `{"format":${JSON.stringify(format)}`;
const version = 1;
const batchRecords = 1_000;
/** Larger ones write each page of an index less often, and keep others waiting longer. */
const mostPerTransaction = 5_000;

interface Header {
  readonly format: string;
  readonly v: number;
  readonly stream: StreamId;
  readonly homeId: HomeId;
  readonly base: ChainHead;
  readonly head: ChainHead;
}

/**
 * Writes a chain out as lines: a header that says where it starts and ends, so that a cut is noticed, then its records.
 *
 * @param upTo a record of the chain; its last one by default
 */
export async function* exportChain(engine: Engine, stream: StreamId, upTo?: ChainHead): AsyncGenerator<string> {
  const anchor = await engine.read(() => anchorOf(stream));
  if (anchor === undefined) {
    throw new OpencodeToolsError('OCT_TASK_NOT_FOUND', `There is no ledger of ${stream}`, { details: { stream } });
  }
  const base = { seq: anchor.base_seq, hash: anchor.base_hash };
  const head = upTo ?? { seq: anchor.head_seq, hash: anchor.head_hash };
  const header = { format, v: version, stream, homeId: anchor.home_id as HomeId, base, head } satisfies Header;
  yield JSON.stringify(header);
  for (let after: ChainHead = base; after.seq < head.seq;) {
    const from = after.seq;
    const records = await engine.read(() => readRange(stream, from, head.seq, batchRecords));
    if (records[0]?.prevHash !== after.hash) throw prunedMeanwhile(stream);
    for (const record of records) yield JSON.stringify(record);
    after = records.at(-1) ?? after;
  }
}

/** Takes one chain in, whole or not at all. */
export async function importChain(engine: Engine, lines: Lines): Promise<ImportedLedger> {
  const first = await readOneChain(lines);
  const [taken = { added: 0, head: first.base }] = await takeInOwnRows(engine, [first]);
  return { stream: first.stream, ...taken };
}

/** Reads the export of one task. @throws OpencodeToolsError `OCT_INVALID_ARGUMENT`, `OCT_LEDGER_BROKEN`, `OCT_SCHEMA_TOO_NEW` */
export async function readOneChain(lines: Lines): Promise<ReadChain> {
  const [first, second] = await arrayOf(readChains(lines), 2);
  if (first === undefined) throw noExport('it is empty');
  if (second !== undefined) throw noExport('it is of several tasks');
  return first;
}

/**
 * Takes many chains in, some at a time: each whole or not at all.
 *
 * @param onTaken told the streams of each transaction that had something new
 */
export async function importChains(
  engine: Engine,
  lines: Lines,
  onTaken: (streams: readonly StreamId[]) => void,
): Promise<ImportedLedgers> {
  let [chains, records] = [0, 0];
  for await (const batch of batchesOf(readChains(lines))) {
    const taken = await takeInOwnRows(engine, batch);
    chains += batch.length;
    records += taken.reduce((sum, { added }) => sum + added, 0);
    onTaken(batch.filter((_, index) => (taken[index]?.added ?? 0) > 0).map(({ stream }) => stream));
  }
  if (chains === 0) throw noExport('it is empty');
  await engine.write(() => settleRows(engine.traits.engine, chains));
  return { chains, added: records };
}

function takeInOwnRows(engine: Engine, chains: readonly ReadChain[]): Promise<readonly TakenIn[]> {
  const rows = rowsOfChains(chains);
  return engine.write(function* () {
    yield* assertOwnRows(engine.traits, rows);
    return yield* takeInChains(engine.traits, chains);
  });
}

type Lines = AsyncIterable<string> | Iterable<string>;
export type ReadChain = TakeIn & { readonly records: readonly StoredRecord[] };

/** Reads exports that follow each other, one at a time. */
async function* readChains(lines: Lines): AsyncGenerator<ReadChain> {
  let header: Header | undefined;
  let records: StoredRecord[] = [];
  let erased = new Set<number>();
  for await (const line of lines) {
    if (line.trim() === '') continue;
    if (header === undefined || line.startsWith(headerStart)) {
      if (header !== undefined) yield whole(header, records, erased);
      [header, records, erased] = [parseHeader(line), [], new Set()];
    } else {
      records.push(parseRecord(line, header.stream, header.base.seq + records.length + 1));
      if (line.includes('"payload.erased"')) erasedBy(line).forEach((seq) => erased.add(seq));
    }
  }
  if (header !== undefined) yield whole(header, records, erased);
}

function whole(header: Header, records: readonly StoredRecord[], erased: ReadonlySet<number>): ReadChain {
  const { stream, homeId, base, head } = header;
  const last = records.at(-1) ?? base;
  if (last.seq === head.seq && last.hash === head.hash) return { stream, homeId, base, records, erased };
  const [expected, found] = [`${head.seq}:${head.hash}`, `${last.seq}:${last.hash}`];
  throw brokenChain({ stream, seq: last.seq + 1, fault: 'head-mismatch', expected, found });
}

/** So many chains as one transaction takes in, never one stream twice. */
async function* batchesOf(chains: AsyncIterable<ReadChain>): AsyncGenerator<readonly ReadChain[]> {
  let batch: ReadChain[] = [];
  let streams = new Set<StreamId>();
  let records = 0;
  for await (const chain of chains) {
    if (streams.has(chain.stream) || records + chain.records.length > mostPerTransaction) {
      if (batch.length > 0) yield batch;
      [batch, streams, records] = [[], new Set(), 0];
    }
    batch.push(chain);
    streams.add(chain.stream);
    records += chain.records.length;
  }
  if (batch.length > 0) yield batch;
}

async function arrayOf<T>(source: AsyncIterable<T>, most: number): Promise<readonly T[]> {
  const found: T[] = [];
  for await (const each of source) if (found.push(each) === most) break;
  return found;
}

function* anchorOf(stream: StreamId) {
  const columns = 'home_id, base_seq, base_hash, head_seq, head_hash';
  return yield* firstRow(
    rawPer<{ home_id: string; base_seq: number; base_hash: string; head_seq: number; head_hash: string }>(
      {
        sqlite: `select ${columns} from streams where stream = ?`,
        postgres: `select ${columns} from streams where stream = $1`,
      },
      [stream],
    ),
  );
}

function parseHeader(line: string): Header {
  const header = parsed(line) as Partial<Header> | null;
  if (header?.format !== format) throw noExport('its first line is no header');
  if (header.v !== version) throw new OpencodeToolsError('OCT_SCHEMA_TOO_NEW', `The export has version ${header.v}`);
  const { stream, homeId, base, head } = header;
  const sound = (at: ChainHead | undefined) =>
    Number.isSafeInteger(at?.seq) && (at?.seq ?? -1) >= 0 && /^[0-9a-f]{64}$/.test(at?.hash ?? '');
  if (typeof stream !== 'string' || stream === 'home' || !isId('task', stream)) throw noExport('it is of no task');
  if (typeof homeId !== 'string' || !isId('home', homeId)) throw noExport('it is of no home');
  if (!sound(base) || !sound(head)) throw noExport('its header lacks base or head');
  if (base?.seq === 0 && base.hash !== genesisHash) throw noExport('its base is none');
  return header as Header;
}

function parseRecord(line: string, stream: StreamId, seq: number): StoredRecord {
  const record = parsed(line) as StoredRecord | null;
  if (typeof record === 'object' && record !== null && isFlat(record)) return record;
  throw brokenChain({ stream, seq, fault: 'unparsable', expected: 'a record', found: line.slice(0, 80) });
}

/** A record holds texts and numbers, and an actor of the same. */
function isFlat(record: StoredRecord): boolean {
  const isPlain = (value: unknown): boolean => typeof value !== 'object' || value === null;
  const { actor, ...others } = record as Partial<StoredRecord>;
  const { seq, payload, payloadDigest, prevHash, hash } = others;
  const texts = [payload ?? '', payloadDigest, prevHash, hash].every((value) => typeof value === 'string');
  return (
    typeof seq === 'number' &&
    texts &&
    !isPlain(actor) &&
    [actor ?? {}, others].every((each) => Object.values(each).every(isPlain))
  );
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line) as unknown;
  } catch {
    return null;
  }
}

function prunedMeanwhile(stream: StreamId): OpencodeToolsError {
  return new OpencodeToolsError('OCT_VERSION_CONFLICT', `The ledger of ${stream} was pruned while it was written out`, {
    remedy: 'Write it out again: it starts later now.',
    details: { stream },
  });
}

function noExport(why: string): OpencodeToolsError {
  return new OpencodeToolsError('OCT_INVALID_ARGUMENT', `This is no export of a ledger: ${why}`, {
    remedy: 'Give what `opencode-tools ledger export` wrote.',
  });
}
