import {
  type AcquireLease,
  type AcquiredLease,
  type Actor,
  type Lease,
  type LeaseProof,
  type LeaseStore,
  type LeaseWait,
  OpencodeToolsError,
  type Session,
  type SessionId,
  type TaskId,
} from '@opencode-tools/core';
import { type Plan, allRows, firstRow } from '../query/plan.ts';
import { fromRow } from '../rows/entity-rows.ts';
import { fromLeaseRow } from '../rows/lease-row.ts';
import type { StoreContext } from '../write/context.ts';
import type { EndOfLease } from './lease-ending.ts';
import { type Waking, acquirePlan, confirmPlan, releasePlan, renewPlan, revokePlan } from './lease-plans.ts';
import { leaseLost, selectActiveLeases, selectLeaseById, selectSessionById } from './lease-rows.ts';
import { raiseTokensPlan } from './raise-tokens-plan.ts';
import { LocalLines, tell, waitForLease } from './wait-for-lease.ts';

const shortestTtlMs = 1_000;
const longestTtlMs = 86_400_000;

/** Leases as rows; each verb is one transaction on the task's stream. */
export class StoredLeases implements LeaseStore {
  readonly #ctx: StoreContext;
  readonly #lines = new LocalLines();

  constructor(ctx: StoreContext) {
    this.#ctx = ctx;
  }

  async acquire(request: AcquireLease): Promise<AcquiredLease> {
    checkRequest(request);
    return this.#change(request.session.taskId, () => acquirePlan(this.#ctx, request));
  }

  async acquireInTurn(request: AcquireLease, wait: LeaseWait): Promise<AcquiredLease> {
    checkRequest(request);
    checkWait(wait);
    this.#checkWritable();
    const acquire = () => this.acquire(request);
    if (wait.waitMs === 0) return acquire();
    return waitForLease(this.#ctx, this.#lines, request, wait, acquire);
  }

  async confirm(proof: LeaseProof, actor: Actor, forMs?: number): Promise<Lease> {
    return this.#change(proof.taskId, function* (ctx) {
      return { result: yield* confirmPlan(ctx, proof, actor, forMs), wake: [] };
    });
  }

  async raiseTokens(proof: LeaseProof, seen: number, actor: Actor): Promise<void> {
    return this.#change(proof.taskId, function* (ctx) {
      return { result: yield* raiseTokensPlan(ctx, proof, seen, actor), wake: [] };
    });
  }

  async renew(proof: LeaseProof, forMs?: number): Promise<Lease> {
    this.#checkWritable();
    return this.#ctx.engine.write(() => renewPlan(this.#ctx, proof, forMs), { reachesDisk: 'some time' });
  }

  async release(proof: LeaseProof, end: EndOfLease): Promise<void> {
    return this.#change(proof.taskId, () => releasePlan(this.#ctx, proof, end));
  }

  async revoke(taskId: TaskId, end: EndOfLease, only?: readonly SessionId[]): Promise<readonly Session[]> {
    return this.#change(taskId, () => revokePlan(this.#ctx, taskId, end, only));
  }

  async proofOf(
    sessionId: SessionId,
  ): Promise<{ readonly proof: LeaseProof; readonly lease: Lease; readonly session: Session }> {
    const found = await this.#ctx.engine.snapshot(function* () {
      const sessionRow = yield* firstRow(selectSessionById({ id: sessionId }));
      if (sessionRow === undefined) return undefined;
      const session = fromRow<Session>(sessionRow);
      const leaseRow = yield* firstRow(selectLeaseById({ id: session.leaseId }));
      return { session, lease: leaseRow === undefined ? undefined : fromLeaseRow(leaseRow) };
    });
    if (found === undefined) {
      throw new OpencodeToolsError('OCT_SESSION_NOT_FOUND', `There is no session ${sessionId}`, {
        details: { sessionId },
      });
    }
    const { session, lease } = found;
    if (lease === undefined || (lease.state !== 'held' && lease.state !== 'pending')) {
      throw leaseLost(session.leaseId, session, lease);
    }
    const { id: leaseId, taskId, token } = lease;
    return { proof: { taskId, sessionId: session.id, leaseId, token }, lease, session };
  }

  async listActive(taskId: TaskId): Promise<readonly Lease[]> {
    const rows = await this.#ctx.engine.read(() => allRows(selectActiveLeases({ taskId })));
    return rows.map(fromLeaseRow);
  }

  async #change<T>(taskId: TaskId, plan: (ctx: StoreContext) => Plan<Waking<T>>): Promise<T> {
    this.#checkWritable();
    const { result, wake } = await this.#ctx.engine.write(() => plan(this.#ctx));
    tell(this.#ctx, taskId, wake);
    return result;
  }

  #checkWritable(): void {
    if (this.#ctx.writeRefusal !== null) throw this.#ctx.writeRefusal;
  }
}

function checkRequest({ ttlMs, maxAgents }: AcquireLease): void {
  if (!Number.isInteger(ttlMs) || ttlMs < shortestTtlMs || ttlMs > longestTtlMs) {
    throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', `Not a time to live in milliseconds: ${ttlMs}`, {
      remedy: `Give a whole number from ${shortestTtlMs} to ${longestTtlMs}.`,
      details: { argument: 'ttlMs' },
    });
  }
  if (!Number.isInteger(maxAgents) || maxAgents < 1) {
    throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', `Not a number of agents: ${maxAgents}`, {
      remedy: 'Give a whole number of 1 or more.',
      details: { argument: 'maxAgents' },
    });
  }
}

function checkWait({ waitMs }: LeaseWait): void {
  if (Number.isInteger(waitMs) && waitMs >= 0 && waitMs <= longestTtlMs) return;
  throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', `Not a time to wait in milliseconds: ${waitMs}`, {
    remedy: `Give a whole number from 0 to ${longestTtlMs}.`,
    details: { argument: 'waitMs' },
  });
}
