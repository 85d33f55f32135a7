import { type Guard, OpencodeToolsError, type Operation } from '@opencode-tools/core';
import { type Plan, adHoc, firstRow } from '../query/plan.ts';
import { template } from '../query/template.ts';

/** Checks what must hold in the transaction that writes. */
export function* checkGuard(guard: Guard): Plan<void> {
  if (guard.lease !== undefined) yield* checkLease(guard.lease);
  if (guard.openOperation !== undefined) yield* checkOpen(guard.openOperation);
  if (guard.noOpenOperation !== undefined) yield* checkNoneOpen(guard.noOpenOperation, guard.openOperation);
}

function* checkLease(lease: NonNullable<Guard['lease']>): Plan<void> {
  const row = yield* firstRow(selectLease({ id: lease.leaseId }));
  const usable = row?.state === 'held' || (row?.state === 'pending' && lease.allowPending === true);
  if (usable && row.token === lease.token) return;
  const found = row === undefined ? 'unknown' : row.state;
  throw new OpencodeToolsError(
    'OCT_LEASE_LOST',
    `Lease ${lease.leaseId} with token ${lease.token} is not held (${found})`,
    {
      details: { leaseId: lease.leaseId, token: lease.token, state: found },
    },
  );
}

function* checkOpen(id: string): Plan<void> {
  const row = yield* firstRow(selectOperationState({ id }));
  if (row?.state === 'open') return;
  throw new OpencodeToolsError('OCT_VERSION_CONFLICT', `Operation ${id} is no longer open`, {
    remedy: 'Read the operation: another process has finished it.',
    details: { operationId: id, state: row?.state ?? null },
  });
}

function* checkNoneOpen(scope: NonNullable<Guard['noOpenOperation']>, except: string | undefined): Plan<void> {
  const { taskId, kinds } = scope;
  if (kinds.length === 0) return;
  const open = yield* firstRow(
    adHoc(({ db }) =>
      db
        .selectFrom('operations')
        .select(['id', 'kind'])
        .where('task_id', '=', taskId)
        .where('state', '=', 'open')
        .where('kind', 'in', kinds as readonly string[])
        .$if(except !== undefined, (query) => query.where('id', '<>', except ?? ''))
        .limit(1),
    ),
  );
  if (open === undefined) return;
  throw operationOpen(taskId, open);
}

function operationOpen(taskId: string, open: { readonly id: string; readonly kind: string }): OpencodeToolsError {
  const kind = open.kind as Operation['kind'];
  return new OpencodeToolsError('OCT_VERSION_CONFLICT', `Task ${taskId} has an open ${kind} operation: ${open.id}`, {
    remedy: 'Wait until that operation has ended, then try again.',
    details: { taskId, operationId: open.id, kind },
  });
}

const selectLease = template<{ id: string }>()(({ db, rowLocks }, slot) =>
  db
    .selectFrom('leases')
    .select(['token', 'state'])
    .where('id', '=', slot('id'))
    .$if(rowLocks, (query) => query.forShare()),
);

const selectOperationState = template<{ id: string }>()(({ db, rowLocks }, slot) =>
  db
    .selectFrom('operations')
    .select('state')
    .where('id', '=', slot('id'))
    .$if(rowLocks, (query) => query.forUpdate()),
);
