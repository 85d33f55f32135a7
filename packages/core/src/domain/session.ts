import type { LeaseId, SessionId, TaskId } from './ids.ts';
import type { ProcessRef } from './operation.ts';
import type { LeaseMode, Timestamp } from './task.ts';

export const sessionStates = ['attached', 'detached', 'lost'] as const;
export type SessionState = (typeof sessionStates)[number];

/** One agent's attachment to a task: the handle that every surface passes. */
export interface Session {
  readonly id: SessionId;
  readonly taskId: TaskId;
  readonly leaseId: LeaseId;
  /** Name of the agent, such as `build` or `claude`. */
  readonly agent: string;
  readonly model: string | null;
  readonly state: SessionState;
  /** True for a session that lives only as long as one command of ours. */
  readonly ephemeral: boolean;
  /** Whose command that is; absent for the others, and where an earlier version attached. */
  readonly process?: ProcessRef;
  readonly attachedAt: Timestamp;
  readonly endedAt: Timestamp | null;
  readonly endReason: string | null;
}

/**
 * `pending`: granted, but the takeover barrier has not passed; nothing may be done under it. `held`: usable. The others
 * are final.
 */
export const leaseStates = ['pending', 'held', 'released', 'expired', 'revoked'] as const;
export type LeaseState = (typeof leaseStates)[number];

/** A session's right to change a task. */
export interface Lease {
  readonly id: LeaseId;
  readonly taskId: TaskId;
  readonly sessionId: SessionId;
  readonly mode: LeaseMode;
  /** Strictly larger than that of every lease granted earlier on the task. */
  readonly token: number;
  readonly state: LeaseState;
  readonly ttlMs: number;
  readonly acquiredAt: Timestamp;
  readonly renewedAt: Timestamp;
  /** By the store's clock. Past it the lease is takeable, not lost. */
  readonly expiresAt: Timestamp;
  readonly endedAt: Timestamp | null;
}

/** What a caller shows to change a task; the store compares it in the statement that writes. */
export interface LeaseProof {
  readonly taskId: TaskId;
  readonly sessionId: SessionId;
  readonly leaseId: LeaseId;
  readonly token: number;
}
