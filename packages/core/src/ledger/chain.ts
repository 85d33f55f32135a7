import { hash } from 'node:crypto';
import type { JsonValue } from '../domain/json.ts';
import type { HomeId } from '../domain/ids.ts';
import type { Timestamp } from '../domain/task.ts';
import { canonicalJson } from './canonical-json.ts';
import { type LedgerRecord, type RecordDraft, type RecordPayload, recordVersion } from './ledger-record.ts';

export interface ChainHead {
  /** 0 for a chain without records. */
  readonly seq: number;
  readonly hash: string;
}

/** A draft whose payload is serialised and digested, ready for a transaction that must not wait. */
export interface PreparedDraft {
  readonly draft: RecordDraft;
  readonly payload: string;
  readonly payloadDigest: string;
}

/** Does the part of appending that needs no chain head, so that it happens before the transaction opens. */
export function prepareDraft(draft: RecordDraft): PreparedDraft {
  const content: RecordPayload = { puts: draft.puts, detail: draft.detail ?? {} };
  const payload = canonicalJson(content as unknown as JsonValue);
  return { draft, payload, payloadDigest: sha256(payload) };
}

/** Links a prepared draft to the chain's head. */
export function linkRecord(
  prepared: PreparedDraft,
  head: ChainHead,
  stamp: { readonly at: Timestamp; readonly homeId: HomeId },
): LedgerRecord {
  const { draft } = prepared;
  const unsigned = {
    v: recordVersion,
    stream: draft.stream,
    seq: head.seq + 1,
    type: draft.type,
    at: stamp.at,
    actor: draft.actor,
    homeId: stamp.homeId,
    token: draft.token ?? null,
    operationId: draft.operationId ?? null,
    correlationId: draft.correlationId ?? null,
    causationId: draft.causationId ?? null,
    payloadDigest: prepared.payloadDigest,
    prevHash: head.hash,
  } as const;
  return { ...unsigned, hash: hashRecord(unsigned) };
}

/** The members that the hash covers, in the order of canonical JSON, each with its key as canonical text. */
const coveredMembers = (
  [
    'actor',
    'at',
    'causationId',
    'correlationId',
    'homeId',
    'operationId',
    'payloadDigest',
    'prevHash',
    'seq',
    'stream',
    'token',
    'type',
    'v',
  ] as const
).map((name) => ({ name, key: `"${name}":` }));

/** SHA-256, in lower-case hexadecimal, over the canonical bytes of a record without its hash and payload. */
export function hashRecord(record: Omit<LedgerRecord, 'hash'>): string {
  let text = '';
  for (const { name, key } of coveredMembers) {
    const member = record[name] as unknown as JsonValue | undefined;
    if (member === undefined) continue;
    text += `${text === '' ? '{' : ','}${key}${name === 'actor' ? canonicalActor(member) : canonicalJson(member)}`;
  }
  return sha256(text === '' ? '{}' : `${text}}`);
}

const frozenActors = new WeakMap<object, string>();

/** The same few actors are in all records of a chain; the text of one that cannot change is kept. */
function canonicalActor(actor: JsonValue): string {
  if (typeof actor !== 'object' || actor === null || !Object.isFrozen(actor)) return canonicalJson(actor);
  const found = frozenActors.get(actor);
  if (found !== undefined) return found;
  const text = canonicalJson(actor);
  frozenActors.set(actor, text);
  return text;
}

export function sha256(text: string | Uint8Array): string {
  return hash('sha256', text);
}
