import { type IdempotencyEntry, OpencodeToolsError } from '@opencode-tools/core';
import { type Plan, changedRows, firstRow, later } from '../query/plan.ts';
import { template } from '../query/template.ts';

const keptForMs = 24 * 60 * 60 * 1000;

/**
 * Stores the row that makes a repeated call find the first one. A key in use is replaced only by the call that owns it:
 * the same operation, or a new one when the first ended without a result and without an effect.
 *
 * @throws OpencodeToolsError `OCT_IDEMPOTENCY_MISMATCH` for another verb or other arguments, `OCT_VERSION_CONFLICT` when
 *   the first call is under way or has answered already.
 */
export function* storeIdempotency(entry: IdempotencyEntry, nowMs: number): Plan<void> {
  yield* later(purgeExpired({ nowMs }));
  const row = {
    key: entry.key,
    verb: entry.verb,
    digest: entry.argumentsDigest,
    operationId: entry.operationId,
    result: entry.result === null ? null : JSON.stringify(entry.result),
    expiresAtMs: nowMs + (entry.reservedForMs ?? keptForMs),
  };
  // Inserting comes first: it waits for a transaction that is storing the same key, and reading does not.
  if ((yield* changedRows(insertEntry(row))) > 0) return;
  const hasBegun = yield* checkOwned(entry, yield* firstRow(lockEntry({ key: entry.key })));
  yield* later(updateEntry(hasBegun ? { ...row, expiresAtMs: nowMs + keptForMs } : row));
}

/** @returns whether the entry's own operation is recorded already: from then on no reservation ends the key */
function* checkOwned(entry: IdempotencyEntry, found: StoredEntry | undefined): Plan<boolean> {
  if (found === undefined) throw inUse(entry, null);
  if (found.verb !== entry.verb || found.arguments_digest !== entry.argumentsDigest) throw mismatch(entry);
  const { operation_id: id } = found;
  const operation = id === null ? undefined : yield* firstRow(selectOperation({ id }));
  const owned =
    (entry.result !== null || entry.reservedForMs !== undefined) &&
    found.operation_id === entry.operationId &&
    (found.result === null || (entry.result !== null && operation !== undefined));
  const abandoned = found.result === null && operation !== undefined && isWithoutEffect(operation);
  if (!owned && !abandoned) throw inUse(entry, found.operation_id);
  return operation !== undefined && id === entry.operationId;
}

interface StoredEntry {
  readonly verb: string;
  readonly arguments_digest: string;
  readonly operation_id: string | null;
  readonly result: string | null;
}

export const selectEntry = template<{ key: string; nowMs: number }>()(({ db, nowMs }, slot) =>
  db
    .selectFrom('idempotency')
    .select(['key', 'verb', 'arguments_digest', 'operation_id', 'result'])
    .where('key', '=', slot('key'))
    .where('expires_at_ms', '>', nowMs(slot('nowMs'))),
);

/** A command that broke off has begun, as far as anybody knows; whoever asks again gets that command. */
function isWithoutEffect({ kind, state }: { readonly kind: string; readonly state: string }): boolean {
  return state !== 'open' && !(state === 'interrupted' && kind === 'execution');
}

function mismatch(entry: IdempotencyEntry): OpencodeToolsError {
  return new OpencodeToolsError(
    'OCT_IDEMPOTENCY_MISMATCH',
    `Idempotency key ${JSON.stringify(entry.key)} was used for another call`,
    { details: { key: entry.key, verb: entry.verb } },
  );
}

function inUse(entry: IdempotencyEntry, operationId: string | null): OpencodeToolsError {
  return new OpencodeToolsError(
    'OCT_VERSION_CONFLICT',
    `The call with idempotency key ${entry.key} is still under way`,
    {
      remedy: 'Call again in a few seconds to get its result.',
      details: { key: entry.key, operationId },
    },
  );
}

const purgeExpired = template<{ nowMs: number }>()(({ db }, slot) =>
  db.deleteFrom('idempotency').where('expires_at_ms', '<=', slot('nowMs')),
);

const selectOperation = template<{ id: string }>()(({ db }, slot) =>
  db.selectFrom('operations').select(['kind', 'state']).where('id', '=', slot('id')),
);

const lockEntry = template<{ key: string }>()(({ db, rowLocks }, slot) =>
  db
    .selectFrom('idempotency')
    .select(['verb', 'arguments_digest', 'operation_id', 'result'])
    .where('key', '=', slot('key'))
    .$if(rowLocks, (query) => query.forUpdate()),
);

interface EntryRow {
  readonly key: string;
  readonly verb: string;
  readonly digest: string;
  readonly operationId: string | null;
  readonly result: string | null;
  readonly expiresAtMs: number;
}

const insertEntry = template<EntryRow>()(({ db }, slot) =>
  db
    .insertInto('idempotency')
    .values({
      key: slot('key'),
      verb: slot('verb'),
      arguments_digest: slot('digest'),
      operation_id: slot('operationId'),
      result: slot('result'),
      expires_at_ms: slot('expiresAtMs'),
    })
    .onConflict((conflict) => conflict.doNothing()),
);

const updateEntry = template<EntryRow>()(({ db }, slot) =>
  db
    .updateTable('idempotency')
    .set({ operation_id: slot('operationId'), result: slot('result'), expires_at_ms: slot('expiresAtMs') })
    .where('key', '=', slot('key')),
);
