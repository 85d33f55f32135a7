import type { ClaimId, LeaseId, SessionId, TaskId } from '../domain/ids.ts';
import type { Timestamp } from '../domain/task.ts';

export const claimStates = ['active', 'ended'] as const;
export type ClaimState = (typeof claimStates)[number];

/** What a session says it will read and write, as globs relative to the workspace. Ends with the session's lease. */
export interface Claim {
  readonly id: ClaimId;
  readonly taskId: TaskId;
  readonly sessionId: SessionId;
  readonly leaseId: LeaseId;
  readonly agent: string;
  /** In normal form. */
  readonly read: readonly string[];
  readonly write: readonly string[];
  readonly state: ClaimState;
  /** 1 when granted, 2 when ended. */
  readonly version: number;
  readonly claimedAt: Timestamp;
  readonly endedAt: Timestamp | null;
  readonly endReason: string | null;
}

/** The active claims of one task as of one moment. */
export interface TaskClaims {
  /**
   * Raised by every grant and every end of a claim on the task; a change that was decided on these claims is guarded by it.
   */
  readonly revision: number;
  readonly active: readonly ActiveClaim[];
}

export interface ActiveClaim {
  readonly claim: Claim;
  /** True when its lease has expired by the store's clock: whoever is in the way may end it. */
  readonly expired: boolean;
}

/** Two claims of different sessions that cover a path in common, at least one of them to write it. */
export interface ClaimOverlap {
  readonly kind: 'write-write' | 'write-read' | 'read-write';
  /** The glob asked for. */
  readonly glob: string;
  /** The glob that is in its way. */
  readonly otherGlob: string;
  /** One path that both cover. */
  readonly path: string;
  readonly claimId: ClaimId;
  readonly sessionId: SessionId;
  readonly agent: string;
}

/** What a session asks for. */
export interface ClaimRequest {
  readonly read?: readonly string[];
  readonly write?: readonly string[];
}

export interface ClaimGrant {
  readonly claim: Claim;
  /** What it overlaps with, granted all the same by the task's conflict strategy. */
  readonly overlaps: readonly ClaimOverlap[];
}

/** What an execution changed that its session had not claimed. */
export interface OutsideClaims {
  /** False when the workspace could not be compared; `reason` says why. */
  readonly checked: boolean;
  readonly reason: string | null;
  /** The first of them, relative to the workspace, sorted. */
  readonly paths: readonly string[];
  readonly total: number;
  /** True when other agents ran commands at the same time, so that the change may be one of theirs. */
  readonly uncertain: boolean;
}
