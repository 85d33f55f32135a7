import {
  type ChainHead,
  type HomeId,
  type ImportedLedger,
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
import { brokenChain, takeInRecords } from './take-in-records.ts';

const format = 'opencode-tools-ledger';
const version = 1;
const batchRecords = 1_000;

interface Header {
  readonly format: string;
  readonly v: number;
  readonly stream: StreamId;
  readonly homeId: HomeId;
  readonly base: ChainHead;
  readonly head: ChainHead;
}

/** Writes a chain out as lines: a header that says where it starts and ends, so that a cut is noticed, then its records. */
export async function* exportChain(engine: Engine, stream: StreamId): AsyncGenerator<string> {
  const anchor = await engine.read(() => anchorOf(stream));
  if (anchor === undefined) {
    throw new OpencodeToolsError('OCT_TASK_NOT_FOUND', `There is no ledger of ${stream}`, { details: { stream } });
  }
  const base = { seq: anchor.base_seq, hash: anchor.base_hash };
  const head = { seq: anchor.head_seq, hash: anchor.head_hash };
  const header = { format, v: version, stream, homeId: anchor.home_id as HomeId, base, head } satisfies Header;
  yield JSON.stringify(header);
  for (let after = base.seq; after < head.seq;) {
    const from = after;
    const records = await engine.read(() => readRange(stream, from, head.seq, batchRecords));
    for (const record of records) yield JSON.stringify(record);
    const last = records.at(-1);
    if (last === undefined) return;
    after = last.seq;
  }
}

/** Takes a chain in whole or not at all. */
export async function importChain(
  engine: Engine,
  lines: AsyncIterable<string> | Iterable<string>,
): Promise<ImportedLedger> {
  let header: Header | undefined;
  const records: StoredRecord[] = [];
  const erased = new Set<number>();
  for await (const line of lines) {
    if (line.trim() === '') continue;
    if (header === undefined) {
      header = parseHeader(line);
      continue;
    }
    records.push(parseRecord(line, header.stream, header.base.seq + records.length + 1));
    if (line.includes('"payload.erased"')) erasedBy(line).forEach((seq) => erased.add(seq));
  }
  if (header === undefined) throw noExport('it is empty');
  const { stream, homeId, base, head } = header;
  const last = records.at(-1) ?? base;
  if (last.seq !== head.seq || last.hash !== head.hash) {
    const [expected, found] = [`${head.seq}:${head.hash}`, `${last.seq}:${last.hash}`];
    throw brokenChain({ stream, seq: last.seq + 1, fault: 'head-mismatch', expected, found });
  }
  const taken = await engine.write(() => takeInRecords(engine.traits, { stream, homeId, base, records, erased }));
  return { stream, ...taken };
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
  const { stream, base, head } = header;
  const sound = (at: ChainHead | undefined) => typeof at?.seq === 'number' && /^[0-9a-f]{64}$/.test(at.hash);
  if (typeof stream !== 'string' || stream === 'home' || !isId('task', stream)) throw noExport('it is of no task');
  if (!sound(base) || !sound(head)) throw noExport('its header lacks base or head');
  if (base?.seq === 0 && base.hash !== genesisHash) throw noExport('its base is none');
  return header as Header;
}

function parseRecord(line: string, stream: StreamId, seq: number): StoredRecord {
  const record = parsed(line) as StoredRecord | null;
  if (typeof record === 'object' && record !== null && typeof record.seq === 'number') return record;
  throw brokenChain({ stream, seq, fault: 'unparsable', expected: 'a record', found: line.slice(0, 80) });
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line) as unknown;
  } catch {
    return null;
  }
}

function noExport(why: string): OpencodeToolsError {
  return new OpencodeToolsError('OCT_INVALID_ARGUMENT', `This is no export of a ledger: ${why}`, {
    remedy: 'Give what `opencode-tools ledger export` wrote.',
  });
}
