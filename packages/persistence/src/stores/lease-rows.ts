import { type Lease, OpencodeToolsError, type Session } from '@opencode-tools/core';
import { sql } from 'kysely';
import { template } from '../query/template.ts';

const leaseColumns = [
  'id',
  'task_id',
  'session_id',
  'mode',
  'token',
  'state',
  'ttl_ms',
  'acquired_at_ms',
  'renewed_at_ms',
  'expires_at_ms',
  'ended_at_ms',
] as const;

// Written as literals, so that the planner sees that the partial index applies.
export const activeLease = sql<boolean>`state in ('pending', 'held')`;

export const selectLeaseById = template<{ id: string }>()(({ db }, slot) =>
  db.selectFrom('leases').select(leaseColumns).where('id', '=', slot('id')),
);

export const selectActiveLeases = template<{ taskId: string }>()(({ db }, slot) =>
  db
    .selectFrom('leases')
    .select(leaseColumns)
    .where('task_id', '=', slot('taskId'))
    .where(activeLease)
    .orderBy('token'),
);

/** For whoever may end them: a renewal under way is waited for, so that a lease that was just renewed is not found expired. */
export const lockActiveLeases = template<{ taskId: string }>()(({ db, rowLocks }, slot) =>
  db
    .selectFrom('leases')
    .select(leaseColumns)
    .where('task_id', '=', slot('taskId'))
    .where(activeLease)
    .orderBy('token')
    .$if(rowLocks, (query) => query.forUpdate()),
);

export const selectSessionById = template<{ id: string }>()(({ db }, slot) =>
  db.selectFrom('sessions').select('entity').where('id', '=', slot('id')),
);

interface Renewal {
  readonly id: string;
  readonly sessionId: string;
  readonly token: number;
  readonly nowMs: number;
}

export const renewLease = template<Renewal>()(({ db }, slot) =>
  db
    .updateTable('leases')
    .set((row) => ({ renewed_at_ms: slot('nowMs'), expires_at_ms: row('ttl_ms', '+', slot('nowMs')) }))
    .where('id', '=', slot('id'))
    .where('session_id', '=', slot('sessionId'))
    .where('token', '=', slot('token'))
    .where(activeLease)
    .returning(leaseColumns),
);

export const renewLeaseUntil = template<Renewal & { readonly expiresAtMs: number }>()(({ db }, slot) =>
  db
    .updateTable('leases')
    .set({ renewed_at_ms: slot('nowMs'), expires_at_ms: slot('expiresAtMs') })
    .where('id', '=', slot('id'))
    .where('session_id', '=', slot('sessionId'))
    .where('token', '=', slot('token'))
    .where(activeLease)
    .returning(leaseColumns),
);

/** How the reason begins of all leases that end with an epoch. */
export const endOfEpoch = 'Epoch ended: ';
const openAnew =
  'Nobody has taken the task over: the registry was moved or put back. Open the home again, where its registry is now, and attach to the task.';

/** What a caller is told whose lease has ended, with who has the task when that is known. */
export function leaseLost(leaseId: string, session: Session | undefined, lease: Lease | undefined): OpencodeToolsError {
  const how = lease === undefined ? 'is unknown' : `is ${lease.state}`;
  const why = session?.endReason === null || session === undefined ? '' : `: ${session.endReason}`;
  return new OpencodeToolsError('OCT_LEASE_LOST', `Lease ${leaseId} ${how}${why}`, {
    ...(session?.endReason?.startsWith(endOfEpoch) === true ? { remedy: openAnew } : {}),
    details: { leaseId, state: lease?.state ?? null, taskId: lease?.taskId ?? null },
  });
}
