import { type Checkpoint, type Guard, OpencodeToolsError, type Operation, isSameProcess } from '@opencode-tools/core';
import { sql } from 'kysely';
import { type Outcome, type Plan, type Statement, firstRow, outcomeRows } from '../query/plan.ts';
import { shapedTemplate, template } from '../query/template.ts';
import { fromRow } from '../rows/entity-rows.ts';
import { selectClaimsRevision } from '../stores/claim-rows.ts';
import { selectCheckpoint, selectOperation } from '../stores/task-rows.ts';

/** What a guard needs to read whatever comes out; `checkGuard` takes the outcomes. */
export function guardStatements(guard: Guard | undefined): readonly Statement<unknown>[] {
  const { lease, openOperation } = guard ?? {};
  return [
    ...(lease === undefined ? [] : [selectLease({ id: lease.leaseId })]),
    ...(openOperation === undefined ? [] : [selectOperationState({ id: openOperation })]),
  ];
}

/** Checks what must hold in the transaction that writes. */
export function* checkGuard(guard: Guard, outcomes: readonly Outcome[]): Plan<void> {
  const [first, second] = outcomes;
  if (guard.lease !== undefined) checkLease(guard.lease, first);
  if (guard.openOperation !== undefined) checkOpen(guard.openOperation, guard.lease === undefined ? first : second);
  if (guard.ownedOperation !== undefined) yield* checkOwned(guard.ownedOperation);
  if (guard.claims !== undefined) yield* checkClaims(guard.claims);
  if (guard.checkpoint !== undefined) yield* checkCheckpoint(guard.checkpoint);
  if (guard.marks !== undefined) yield* checkMarks(guard.marks);
  if (guard.noOpenOperation !== undefined) yield* checkNoneOpen(guard.noOpenOperation, guard.openOperation);
}

function checkLease(lease: NonNullable<Guard['lease']>, outcome: Outcome | undefined): void {
  const [row] = outcomeRows(selectLease({ id: lease.leaseId }), outcome);
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

function checkOpen(id: string, outcome: Outcome | undefined): void {
  const [row] = outcomeRows(selectOperationState({ id }), outcome);
  if (row?.state === 'open') return;
  throw new OpencodeToolsError('OCT_VERSION_CONFLICT', `Operation ${id} is no longer open`, {
    remedy: 'Read the operation: another process has finished it.',
    details: { operationId: id, state: row?.state ?? null },
  });
}

/** The stream's lock, which every change of a task takes first, keeps the owner until this one is written. */
function* checkOwned({ id, owner }: NonNullable<Guard['ownedOperation']>): Plan<void> {
  const row = yield* firstRow(selectOperation({ id }));
  const found = row && fromRow<Operation>(row).owner;
  if (found !== undefined && isSameProcess(found, owner)) return;
  throw new OpencodeToolsError('OCT_VERSION_CONFLICT', `Operation ${id} is in the hands of another process`, {
    remedy: 'Read the operation: another process settles it.',
    details: { operationId: id, pid: found?.pid ?? null },
  });
}

function* checkNoneOpen(scope: NonNullable<Guard['noOpenOperation']>, except: string | undefined): Plan<void> {
  const { taskId, kinds } = scope;
  if (kinds.length === 0) return;
  const asked = { taskId, except: except ?? '', ...Object.fromEntries(kinds.entries()) };
  const open = yield* firstRow(selectOpenOperation({ kinds: kinds.length }, asked));
  if (open === undefined) return;
  throw operationOpen(taskId, open);
}

/** The stream's lock, which every change of a task takes first, keeps the revision until this one is written. */
function* checkClaims({ taskId, revision }: NonNullable<Guard['claims']>): Plan<void> {
  const found = (yield* firstRow(selectClaimsRevision({ taskId })))?.revision ?? 0;
  if (found === revision) return;
  throw new OpencodeToolsError('OCT_VERSION_CONFLICT', `The claims on ${taskId} are at ${found}, not ${revision}`, {
    remedy: 'Read the claims again, then decide again.',
    details: { taskId, revision: found, expectedRevision: revision },
  });
}

function* checkCheckpoint(id: string): Plan<void> {
  if ((yield* firstRow(selectCheckpointId({ id }))) !== undefined) return;
  throw new OpencodeToolsError('OCT_VERSION_CONFLICT', `Checkpoint ${id} was deleted meanwhile`, {
    remedy: 'List the checkpoints again, and use another one.',
    details: { checkpointId: id },
  });
}

function* checkMarks({ id, pinned, tags }: NonNullable<Guard['marks']>): Plan<void> {
  const row = yield* firstRow(selectCheckpoint({ id }));
  const found = row && fromRow<Partial<Checkpoint>>(row);
  if (found !== undefined && found.pinned === pinned && (found.tags ?? []).join() === tags.join()) return;
  throw new OpencodeToolsError('OCT_VERSION_CONFLICT', `Checkpoint ${id} was changed meanwhile`, {
    remedy: 'Look at it again, then decide again.',
    details: { checkpointId: id },
  });
}

function operationOpen(taskId: string, open: { readonly id: string; readonly kind: string }): OpencodeToolsError {
  const kind = open.kind as Operation['kind'];
  return new OpencodeToolsError('OCT_VERSION_CONFLICT', `Task ${taskId} has an open ${kind} operation: ${open.id}`, {
    remedy: 'Wait until that operation has ended, then try again.',
    details: { taskId, operationId: open.id, kind },
  });
}

/** One of some kinds, which are the arguments 0, 1 and so on. */
const selectOpenOperation = shapedTemplate(({ db }, { kinds }: { readonly kinds: number }, slot) =>
  db
    .selectFrom('operations')
    .select(['id', 'kind'])
    .where('task_id', '=', slot('taskId'))
    .where(sql<boolean>`state = 'open'`)
    .where(
      'kind',
      'in',
      Array.from({ length: kinds }, (_, index) => slot(String(index))),
    )
    .where('id', '<>', slot('except'))
    .limit(1),
);

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

const selectCheckpointId = template<{ id: string }>()(({ db, rowLocks }, slot) =>
  db
    .selectFrom('checkpoints')
    .select('id')
    .where('id', '=', slot('id'))
    .$if(rowLocks, (query) => query.forShare()),
);
