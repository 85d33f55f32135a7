import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';

/** A prefix per kind of thing; an id says what it names. */
export const idPrefixes = {
  home: 'hom',
  task: 'tsk',
  session: 'ses',
  lease: 'lse',
  execution: 'exe',
  checkpoint: 'chk',
  decision: 'dec',
  todo: 'tdo',
  note: 'nte',
  message: 'msg',
  operation: 'opn',
  claim: 'clm',
} as const;

export type IdKind = keyof typeof idPrefixes;
export type Id<K extends IdKind> = `${(typeof idPrefixes)[K]}_${string}`;
export type HomeId = Id<'home'>;
export type TaskId = Id<'task'>;
export type SessionId = Id<'session'>;
export type LeaseId = Id<'lease'>;
export type ExecutionId = Id<'execution'>;
export type CheckpointId = Id<'checkpoint'>;
export type DecisionId = Id<'decision'>;
export type TodoId = Id<'todo'>;
export type NoteId = Id<'note'>;
export type MessageId = Id<'message'>;
export type OperationId = Id<'operation'>;
export type ClaimId = Id<'claim'>;

/** Crockford's base32 in lower case: sorts as the bytes do, and has no letters that read as digits. */
const alphabet = '0123456789abcdefghjkmnpqrstvwxyz';
const encodedLength = 26;
const shortLength = 8;
const body = new RegExp(`^[${alphabet}]{${encodedLength}}$`);
const shortBody = new RegExp(`^[${alphabet}]{${shortLength}}$`);

/**
 * Makes an id from the 16 bytes of a UUID (version 7, so that ids sort by time of creation).
 *
 * @param bytes exactly 16 bytes
 */
export function formatId<K extends IdKind>(kind: K, bytes: Uint8Array): Id<K> {
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  let text = '';
  for (let index = 0; index < encodedLength; index += 1) {
    text = alphabet[Number(value & 31n)] + text;
    value >>= 5n;
  }
  return `${idPrefixes[kind]}_${text}`;
}

/** Tells whether text is a well-formed id of the kind. */
export function isId<K extends IdKind>(kind: K, text: string): text is Id<K> {
  const prefix = `${idPrefixes[kind]}_`;
  return text.startsWith(prefix) && body.test(text.slice(prefix.length));
}

/**
 * Checks text from outside and returns it as an id.
 *
 * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` when it is not one; nothing that fails here reaches a path or query.
 */
export function parseId<K extends IdKind>(kind: K, text: string): Id<K> {
  if (isId(kind, text)) return text;
  throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', `Not a ${kind} id: ${JSON.stringify(text.slice(0, 80))}`, {
    remedy: `A ${kind} id is ${idPrefixes[kind]}_ followed by ${encodedLength} characters of 0-9 and a-z.`,
    details: { argument: `${kind}Id` },
  });
}

/** The last eight characters: what a person types. */
export function shortId(id: string): string {
  return id.slice(-shortLength);
}

/** Tells whether text has the form of a short id. */
export function isShortId(text: string): boolean {
  return shortBody.test(text);
}
