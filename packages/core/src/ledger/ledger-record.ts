import type { JsonObject } from '../domain/json.ts';
import type { HomeId, OperationId, SessionId, TaskId } from '../domain/ids.ts';
import type { Timestamp } from '../domain/task.ts';
import type { Put } from './put.ts';

/** Version of the record format. */
export const recordVersion = 1;

/** A chain of records: one per task, and one for the home itself. */
export type StreamId = 'home' | TaskId;

/** `prevHash` of a chain's first record. */
export const genesisHash = '0'.repeat(64);

export const recordNouns = [
  'home',
  'store',
  'ledger',
  'payload',
  'projection',
  'task',
  'session',
  'lease',
  'claim',
  'sandbox',
  'execution',
  'file',
  'decision',
  'todo',
  'note',
  'message',
  'checkpoint',
  'restore',
  'fork',
  'deletion',
  'image',
  'hook',
  'egress',
  'work',
  'object',
  'memory',
  'event',
] as const;
export type RecordNoun = (typeof recordNouns)[number];

/** `noun.verb` in the past tense; also the type of the event that is published. */
export type RecordType = `${RecordNoun}.${string}`;

export const actorKinds = ['agent', 'user', 'system'] as const;
export type ActorKind = (typeof actorKinds)[number];

/** Who did it. */
export interface Actor {
  readonly kind: ActorKind;
  /** Agent name, account name, or the component of ours. */
  readonly id: string;
  readonly agent: string | null;
  readonly model: string | null;
  readonly session: SessionId | null;
  readonly onBehalfOf: string | null;
}

/** A record without its payload: exactly the members that the hash covers, and the hash. */
export interface LedgerRecord {
  readonly v: typeof recordVersion;
  readonly stream: StreamId;
  /** 1 for the first record of a stream, then without gaps. */
  readonly seq: number;
  readonly type: RecordType;
  readonly at: Timestamp;
  readonly actor: Actor;
  readonly homeId: HomeId;
  /** Fencing token under which the change was made; null where no lease was needed. */
  readonly token: number | null;
  readonly operationId: OperationId | null;
  /** Ties together everything that one call by a user or agent caused. */
  readonly correlationId: string | null;
  /** The record that led to this one, as `<stream>/<seq>`. */
  readonly causationId: string | null;
  /** SHA-256 of the payload's exact text. */
  readonly payloadDigest: string;
  /** Hash of the record before it, `genesisHash` for the first, or the base hash after pruning. */
  readonly prevHash: string;
  /** SHA-256 over the RFC 8785 bytes of all members above. */
  readonly hash: string;
}

/** What a payload's text holds: the rows as they are afterwards, and facts that are in no row. */
export interface RecordPayload {
  readonly puts: readonly Put[];
  readonly detail: JsonObject;
}

/** A record with its payload text; null when the payload was erased. */
export interface StoredRecord extends LedgerRecord {
  readonly payload: string | null;
}

/** What a caller hands to the store: everything but what the store itself gives (seq, at, hashes). */
export interface RecordDraft {
  readonly stream: StreamId;
  readonly type: RecordType;
  readonly actor: Actor;
  readonly puts: readonly Put[];
  readonly detail?: JsonObject;
  readonly token?: number | null;
  readonly operationId?: OperationId | null;
  readonly correlationId?: string | null;
  readonly causationId?: string | null;
}
