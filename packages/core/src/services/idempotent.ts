import type { JsonObject, JsonValue } from '../domain/json.ts';
import type { OperationId } from '../domain/ids.ts';
import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';
import { canonicalJson } from '../ledger/canonical-json.ts';
import { sha256 } from '../ledger/chain.ts';
import type { Change, IdempotencyEntry } from '../ports/task-store.ts';
import type { Kernel } from './kernel.ts';
import { isAbandoned } from './quiet.ts';
import type { Call } from './services.ts';
import { oneLine } from './validate.ts';

/** Adds a verb's idempotency row to the changes that begin and end it. */
export interface IdempotencyKey {
  /** For the transaction that starts an operation. */
  started(operationId: OperationId): KeyedPart;
  /** For the transaction that finishes the verb. */
  finished(result: JsonObject, operationId?: OperationId): KeyedPart;
}

/** With or without a key, a verb's changes belong to the epoch in which the verb began. */
type KeyedPart = Required<Pick<Change, 'epoch'>> & Pick<Change, 'idempotency'>;

/** For a change that a verb makes on the way: of the same epoch, but not what its key gives again. */
export function onTheWay(key: IdempotencyKey): IdempotencyKey {
  return {
    started: (operationId) => ({ epoch: key.started(operationId).epoch }),
    finished: (result, operationId) => ({ epoch: key.finished(result, operationId).epoch }),
  };
}

const reservedMs = 30_000;

/**
 * Runs a verb at most once per key. The first call's result is given again; a call whose first run is still under way
 * is told so; one whose first run failed runs again.
 *
 * @param args everything that makes two calls the same call
 * @param work gets the key to put into its changes, and returns the result as stored
 * @throws OpencodeToolsError `OCT_IDEMPOTENCY_MISMATCH`, `OCT_VERSION_CONFLICT` while the first call is under way
 */
export async function idempotent<T>(
  kernel: Kernel,
  call: Call,
  verb: string,
  args: JsonValue,
  work: (key: IdempotencyKey) => Promise<T>,
): Promise<T> {
  const { epoch } = kernel.deps.tasks;
  if (call.idempotencyKey === undefined) return work({ started: () => ({ epoch }), finished: () => ({ epoch }) });
  const key = oneLine('idempotencyKey', call.idempotencyKey, 200);
  const argumentsDigest = sha256(canonicalJson(args));
  const existing = await kernel.deps.tasks.findIdempotency(key);
  if (existing !== undefined) {
    assertSameCall(existing, verb, argumentsDigest);
    if (existing.result !== null) return existing.result as unknown as T;
    await assertNotUnderWay(kernel, existing);
  }
  const entry = { key, verb, argumentsDigest };
  return work({
    started: (operationId) => ({ epoch, idempotency: { ...entry, operationId, result: null } }),
    finished: (result, operationId) => ({ epoch, idempotency: { ...entry, operationId: operationId ?? null, result } }),
  });
}

/**
 * Runs a verb like `idempotent`, for verbs that do something before their first record, such as running hooks: the key is kept
 * from the start, so that the same call made twice at once does it once. A process that dies lets go of the key half a minute
 * later.
 *
 * @throws OpencodeToolsError as `idempotent`
 */
export function idempotentFromStart<T>(
  kernel: Kernel,
  call: Call,
  verb: string,
  args: JsonValue,
  work: (key: IdempotencyKey) => Promise<T>,
): Promise<T> {
  return idempotent(kernel, call, verb, args, async (key) => {
    if (call.idempotencyKey === undefined) return work(key);
    const id = kernel.deps.ids.next('operation');
    const reserve = (reservedForMs: number) => {
      const { epoch, idempotency } = key.started(id);
      const reserved = idempotency && { idempotency: { ...idempotency, reservedForMs } };
      return kernel.commit({ records: [], epoch, ...reserved });
    };
    await reserve(reservedMs);
    const timer = setInterval(() => void reserve(reservedMs).catch(() => undefined), reservedMs / 3);
    try {
      return await work({ ...key, finished: (result) => key.finished(result, id) });
    } catch (error) {
      // A key that cannot be given back now is free half a minute later.
      await reserve(0).catch(() => undefined);
      throw error;
    } finally {
      clearInterval(timer);
    }
  });
}

function assertSameCall(entry: IdempotencyEntry, verb: string, argumentsDigest: string): void {
  if (entry.verb === verb && entry.argumentsDigest === argumentsDigest) return;
  throw new OpencodeToolsError(
    'OCT_IDEMPOTENCY_MISMATCH',
    `Idempotency key ${entry.key} was used for another call of ${entry.verb}`,
    {
      details: { key: entry.key, verb: entry.verb },
    },
  );
}

async function assertNotUnderWay(kernel: Kernel, entry: IdempotencyEntry): Promise<void> {
  const operation = entry.operationId === null ? undefined : await kernel.deps.tasks.findOperation(entry.operationId);
  const { operationId } = entry;
  if (operationId === null || (operation !== undefined && operation.state !== 'open')) return;
  // The work settles what its process left open before it begins anew; until that is settled the store refuses the key.
  if (operation !== undefined && (await isAbandoned(kernel, operation))) return;
  throw new OpencodeToolsError(
    'OCT_VERSION_CONFLICT',
    `The call with idempotency key ${entry.key} is still under way`,
    {
      remedy: 'Call again in a few seconds to get its result.',
      details: { key: entry.key, operationId, ...(operation === undefined ? {} : { taskId: operation.taskId }) },
    },
  );
}
