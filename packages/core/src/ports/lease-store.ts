import type { SessionId, TaskId } from '../domain/ids.ts';
import type { Lease, LeaseProof, Session } from '../domain/session.ts';
import type { LeaseMode } from '../domain/task.ts';
import type { Actor } from '../ledger/ledger-record.ts';

export interface AcquireLease {
  /** The session to attach; its `leaseId` names the lease to create. */
  readonly session: Session;
  readonly mode: LeaseMode;
  /** Most leases held at once in collaborative mode. */
  readonly maxAgents: number;
  /** 1,000 to 86,400,000. */
  readonly ttlMs: number;
  /** How long the lease lasts until it is renewed without saying for how long, in milliseconds; the ttl by default. */
  readonly forMs?: number;
  /** True revokes leases that are still held. */
  readonly takeover: boolean;
  readonly actor: Actor;
  readonly correlationId: string | null;
}

/** How long to stand in line for a task. */
export interface LeaseWait {
  /** 0 to 86,400,000 milliseconds. */
  readonly waitMs: number;
  /** Leaves the line. */
  readonly signal?: AbortSignal | undefined;
}

export interface AcquiredLease {
  readonly lease: Lease;
  /** Sessions that ended by this: their leases had expired or were taken over. */
  readonly displaced: readonly Session[];
}

/**
 * Leases of one home. Every method is one transaction that also appends its records (`lease.acquired`, `lease.expired`,
 * `lease.revoked`, `lease.released`, `session.attached`, `session.detached`, `session.lost`). The store's clock decides
 * expiry. Renewals write no record.
 */
export interface LeaseStore {
  /**
   * Grants a lease with a token larger than any granted on the task before. It starts `pending` when the task has a
   * sandbox that must be fenced first, else `held`.
   *
   * Never overtakes those who wait in line, unless `takeover` is set.
   *
   * @throws OpencodeToolsError `OCT_LEASE_HELD` naming holder and expiry when nothing may be displaced, and in `waiting`
   *   how many stand in line.
   */
  acquire(request: AcquireLease): Promise<AcquiredLease>;
  /**
   * Grants a lease as `acquire` does, or stands in line for it: in the order of arrival, over all processes. Waiting is no
   * record and does not survive its process: one that died or was stopped is passed over about three seconds later, and
   * stands at the end of the line when it comes back.
   *
   * @throws OpencodeToolsError `OCT_LEASE_HELD` when the time is over, with `waitedMs` in `details`. An aborted `signal`
   *   throws its reason.
   */
  acquireInTurn(request: AcquireLease, wait: LeaseWait): Promise<AcquiredLease>;
  /**
   * Makes a pending lease usable, after the barrier, and extends it as `renew` does. Idempotent.
   *
   * @throws OpencodeToolsError `OCT_LEASE_LOST`
   */
  confirm(proof: LeaseProof, actor: Actor, forMs?: number): Promise<Lease>;
  /**
   * Lets the next lease of the task have a token far above all that were seen, because another copy of the registry gave tokens
   * out as well. The lease stays as it is.
   *
   * @param seen the highest token that the copy is known to have given out; 0 when none is known
   * @throws OpencodeToolsError `OCT_LEASE_LOST`
   */
  raiseTokens(proof: LeaseProof, seen: number, actor: Actor): Promise<void>;
  /**
   * Extends a held lease from now by its ttl, also past its expiry as long as nobody has taken it.
   *
   * @param forMs lets it end that many milliseconds from now instead
   * @throws OpencodeToolsError `OCT_LEASE_LOST`
   */
  renew(proof: LeaseProof, forMs?: number): Promise<Lease>;
  /** Ends a session and its lease; `lost` sessions and released leases stay as they are. Idempotent. */
  release(
    proof: LeaseProof,
    end: { readonly reason: string; readonly actor: Actor; readonly correlationId: string | null },
  ): Promise<void>;
  /**
   * Ends the leases of a task, or only those of the named sessions (operator's verb). Idempotent.
   *
   * @returns the sessions that ended now
   */
  revoke(
    taskId: TaskId,
    end: { readonly reason: string; readonly actor: Actor; readonly correlationId: string | null },
    only?: readonly SessionId[],
  ): Promise<readonly Session[]>;
  /**
   * The lease of a session, for the proof that its own calls show.
   *
   * @throws OpencodeToolsError `OCT_SESSION_NOT_FOUND`; `OCT_LEASE_LOST` when the lease has ended.
   */
  proofOf(
    sessionId: SessionId,
  ): Promise<{ readonly proof: LeaseProof; readonly lease: Lease; readonly session: Session }>;
  /** Leases that are pending or held, whatever their expiry. */
  listActive(taskId: TaskId): Promise<readonly Lease[]>;
}
