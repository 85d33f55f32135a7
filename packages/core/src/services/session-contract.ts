import type { Claim, ClaimGrant, ClaimRequest } from '../claims/claim.ts';
import type { ClaimId, OperationId, SessionId, TaskId } from '../domain/ids.ts';
import type { Lease, Session } from '../domain/session.ts';
import type { Task } from '../domain/task.ts';
import type { Call } from './call.ts';

export interface AttachOptions {
  /** 1 to 100 characters. */
  readonly agent: string;
  readonly model?: string;
  /** True ends the sessions that hold the task now, and whatever runs under them. */
  readonly takeover?: boolean;
  /** 1,000 to 86,400,000; default 900,000. */
  readonly ttlMs?: number;
  /** How long to wait for the holder to leave; default 0. */
  readonly waitMs?: number;
  /** What the agent is going to read and write; refused or granted before anything else is done. */
  readonly claims?: ClaimRequest;
}

/** What an operation that its process did not finish turned out to be. */
export interface RecoveredOperation {
  readonly operationId: OperationId;
  readonly kind: string;
  readonly resolution: 'completed' | 'failed' | 'interrupted';
  /** What was found and done, in one line. */
  readonly summary: string;
}

/** A session, and what its agent should know first. */
export interface Attachment {
  readonly session: Session;
  readonly lease: Lease;
  readonly task: Task;
  /** Sessions ended by this one. */
  readonly displaced: readonly Session[];
  /** Operations that earlier processes left open, as resolved now. */
  readonly recovered: readonly RecoveredOperation[];
  /** Processes that ran under older tokens and were ended by the takeover barrier. */
  readonly endedProcesses: number;
  /** What was claimed on attaching, with what it overlaps. */
  readonly claim?: ClaimGrant;
}

export interface SessionService {
  /**
   * Attaches an agent to a task and makes it `running`. When this returns, nothing runs any more under an older token.
   *
   * @throws OpencodeToolsError `OCT_LEASE_HELD`, `OCT_TASK_NOT_FOUND`
   */
  attach(taskId: TaskId, options: AttachOptions, call: Call): Promise<Attachment>;
  /** Ends a session. The last one to go suspends the task. Idempotent. */
  detach(sessionId: SessionId, options: { readonly reason?: string }, call: Call): Promise<Task>;
  /** @throws OpencodeToolsError `OCT_LEASE_LOST` */
  renew(sessionId: SessionId): Promise<Lease>;
  /**
   * Ends the leases of a task, or those of one agent, whether or not their holders answer: an operator's verb. The task stays as it
   * is; what runs under an ended lease can change no row any more, and is ended before the next lease is usable. Idempotent.
   *
   * @returns the sessions that ended now
   */
  revoke(
    taskId: TaskId,
    options: { readonly agent?: string; readonly reason?: string },
    call: Call,
  ): Promise<readonly Session[]>;
  get(sessionId: SessionId): Promise<Session>;
  list(taskId: TaskId): Promise<readonly Session[]>;
  /**
   * Says what a session is going to read and write, beside what it claimed before. An overlap with what other sessions claim is
   * answered by the task's conflict strategy, and recorded either way.
   *
   * @throws OpencodeToolsError `OCT_CLAIM_OVERLAP` under the strategy `reject`; `OCT_LEASE_LOST`; `OCT_INVALID_ARGUMENT`,
   *   `OCT_PATH_OUTSIDE_WORKSPACE` for a glob that is none of the claim language
   */
  claim(sessionId: SessionId, request: ClaimRequest, call: Call): Promise<ClaimGrant>;
  /** Gives up one claim of a session, or all. Idempotent. @returns those that ended now */
  releaseClaims(sessionId: SessionId, options: { readonly claimId?: ClaimId }, call: Call): Promise<readonly Claim[]>;
  /** Claims on a task that have not ended; one whose lease has expired makes way for whoever needs its place. */
  claims(taskId: TaskId): Promise<readonly Claim[]>;
}
