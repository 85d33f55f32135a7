import type { SessionId } from '../domain/ids.ts';
import type { Actor } from '../ledger/ledger-record.ts';

/** Who calls, and how the call is tied to others. The last parameter of every mutating verb. */
export interface Call {
  readonly actor: Actor;
  /** Same key, verb and arguments: the first call's result again. Kept 24 h. 1 to 200 characters. */
  readonly idempotencyKey?: string;
  readonly correlationId?: string;
  readonly signal?: AbortSignal;
  /** Told in a few words what long work is doing. */
  readonly onProgress?: (message: string) => void;
}

/**
 * A verb that changes a task is made under a lease: the caller's session, or without one a session of the verb's own that
 * ends with it.
 */
export interface UnderSession {
  readonly sessionId?: SessionId;
}
