import type { TaskId } from '../domain/ids.ts';
import type { StoredRecord } from '../ledger/ledger-record.ts';
import type { AcquiredLease, LeaseStore } from '../ports/lease-store.ts';
import type { Ledger } from '../ports/ledger.ts';
import type { EventBus } from './event-bus.ts';

const pageSize = 500;

/**
 * Lets the bus tell what the lease store records: `lease.*`, `session.*` and the ends of claims. Lease verbs return leases, not
 * records, so what a verb appended is read back from the ledger. Costs nothing while nobody listens.
 */
export function announceLeases(leases: LeaseStore, ledger: Pick<Ledger, 'head' | 'read'>, bus: EventBus): LeaseStore {
  const told = async <T>(taskId: TaskId, verb: () => Promise<T>): Promise<T> => {
    if (!bus.listening) return verb();
    const before = await ledger.head(taskId);
    const result = await verb();
    bus.publish(await ledger.read(taskId, { afterSeq: before.seq, limit: pageSize }));
    return result;
  };
  return {
    acquireInTurn: async (request, wait) => {
      const acquired = await leases.acquireInTurn(request, wait);
      // Others came and went during the wait: only what the grant itself appended is told here.
      if (bus.listening) bus.publish(await recordsOfGrant(ledger, request.session.taskId, acquired));
      return acquired;
    },
    acquire: (request) => told(request.session.taskId, () => leases.acquire(request)),
    confirm: (proof, actor, forMs) => told(proof.taskId, () => leases.confirm(proof, actor, forMs)),
    raiseTokens: (proof, seen, actor) => told(proof.taskId, () => leases.raiseTokens(proof, seen, actor)),
    release: (proof, end) => told(proof.taskId, () => leases.release(proof, end)),
    revoke: (taskId, end, only) => told(taskId, () => leases.revoke(taskId, end, only)),
    renew: (proof, forMs) => leases.renew(proof, forMs),
    proofOf: (sessionId) => leases.proofOf(sessionId),
    listActive: (taskId) => leases.listActive(taskId),
  };
}

async function recordsOfGrant(
  ledger: Pick<Ledger, 'read'>,
  taskId: TaskId,
  { lease, displaced }: AcquiredLease,
): Promise<readonly StoredRecord[]> {
  const newest = await ledger.read(taskId, { newestFirst: true, limit: pageSize });
  const last = newest.findIndex(({ type, token }) => type === 'session.attached' && token === lease.token);
  const own = newest.slice(Math.max(0, last)).filter(({ at }) => at === lease.acquiredAt);
  return (displaced.length === 0 ? own.filter(({ token }) => token === lease.token) : own).toReversed();
}
