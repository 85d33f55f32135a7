import { type LedgerRecord, type StoredRecord, canonicalJson, type JsonValue } from '@opencode-tools/core';
import type { Database } from '../query/database.ts';

export type RecordRow = Omit<Database['ledger'], 'position'>;

export const recordColumns = [
  'stream',
  'seq',
  'v',
  'type',
  'at',
  'actor',
  'home_id',
  'token',
  'operation_id',
  'correlation_id',
  'causation_id',
  'payload_digest',
  'prev_hash',
  'hash',
  'payload',
] as const satisfies readonly (keyof RecordRow)[];

export function toRecordRow(record: LedgerRecord, payload: string): RecordRow {
  return {
    stream: record.stream,
    seq: record.seq,
    v: record.v,
    type: record.type,
    at: record.at,
    actor: canonicalJson(record.actor as unknown as JsonValue),
    home_id: record.homeId,
    token: record.token,
    operation_id: record.operationId,
    correlation_id: record.correlationId,
    causation_id: record.causationId,
    payload_digest: record.payloadDigest,
    prev_hash: record.prevHash,
    hash: record.hash,
    payload,
  };
}

/** Reads a record as it is stored; what was tampered with is passed on as it is, for the chain's check to notice. */
export function fromRecordRow(row: RecordRow): StoredRecord {
  return {
    v: row.v as StoredRecord['v'],
    stream: row.stream as StoredRecord['stream'],
    seq: row.seq,
    type: row.type as StoredRecord['type'],
    at: row.at,
    actor: actorOf(row.actor),
    homeId: row.home_id as StoredRecord['homeId'],
    token: row.token,
    operationId: row.operation_id as StoredRecord['operationId'],
    correlationId: row.correlation_id,
    causationId: row.causation_id,
    payloadDigest: row.payload_digest,
    prevHash: row.prev_hash,
    hash: row.hash,
    payload: row.payload,
  };
}

/** The same from cells in the order of `recordColumns`, for whoever reads very many. */
export function fromRecordCells(cells: readonly unknown[]): StoredRecord {
  return {
    stream: cells[0] as StoredRecord['stream'],
    seq: cells[1] as number,
    v: cells[2] as StoredRecord['v'],
    type: cells[3] as StoredRecord['type'],
    at: cells[4] as string,
    actor: actorOf(cells[5] as string),
    homeId: cells[6] as StoredRecord['homeId'],
    token: cells[7] as number | null,
    operationId: cells[8] as StoredRecord['operationId'],
    correlationId: cells[9] as string | null,
    causationId: cells[10] as string | null,
    payloadDigest: cells[11] as string,
    prevHash: cells[12] as string,
    hash: cells[13] as string,
    payload: cells[14] as string | null,
  };
}

const mostActors = 200;
const actors = new Map<string, StoredRecord['actor']>();

/** The same few actors are in all records of a chain: each is parsed once, and nobody may change it. */
function actorOf(text: string): StoredRecord['actor'] {
  const found = actors.get(text);
  if (found !== undefined) return found;
  if (actors.size >= mostActors) actors.clear();
  const actor = parsedOrAsIs(text);
  actors.set(text, actor);
  return actor;
}

function parsedOrAsIs(text: string): StoredRecord['actor'] {
  try {
    const parsed = JSON.parse(text) as StoredRecord['actor'];
    return typeof parsed === 'object' ? Object.freeze(parsed) : parsed;
  } catch {
    return text as never;
  }
}
