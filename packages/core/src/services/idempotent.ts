import type { JsonObject, JsonValue } from '../domain/json.ts';
import type { OperationId } from '../domain/ids.ts';
import type { Operation } from '../domain/operation.ts';
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
  /** Of a key that is kept from the start: the id that an operation has to have for its request to keep the key from then on. */
  readonly operationId?: OperationId;
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
const begunMs = 24 * 60 * 60_000;

/** What a call does whose first run died with its process. */
export interface AfterCrash<T> {
  /** Settles what the process left open, so that it is known how far it came. Absent: the work does so before it begins anew. */
  readonly settle?: () => Promise<unknown>;
  /** The result of an operation that had an effect, or may have had one. Absent: the call is refused. */
  readonly given?: (operation: Operation) => Promise<T>;
}

/**
 * Runs a verb at most once per key. The first call's result is given again; a call whose first run is still under way
 * is told so; one whose first run failed, or was undone after its process died, runs again. What a dead process has done, or may
 * have, is not done twice.
 *
 * @param args everything that makes two calls the same call
 * @param work gets the key to put into its changes, and returns the result as stored
 * @throws OpencodeToolsError `OCT_IDEMPOTENCY_MISMATCH` for another call, and where a dead process had an effect that is no result;
 *   `OCT_VERSION_CONFLICT` while the first call is under way
 */
export async function idempotent<T>(
  kernel: Kernel,
  call: Call,
  verb: string,
  args: JsonValue,
  work: (key: IdempotencyKey) => Promise<T>,
  afterCrash: AfterCrash<T> = {},
): Promise<T> {
  const { epoch } = kernel.deps.tasks;
  if (call.idempotencyKey === undefined) return work({ started: () => ({ epoch }), finished: () => ({ epoch }) });
  const key = oneLine('idempotencyKey', call.idempotencyKey, 200);
  const argumentsDigest = sha256(canonicalJson(args));
  const earlier = await findEarlier(kernel, key, verb, argumentsDigest, afterCrash.settle);
  if (earlier?.result != null) return earlier.result as unknown as T;
  if (earlier?.operation !== undefined && mayHaveHadEffect(earlier.operation)) {
    if (afterCrash.given === undefined) throw notTwice(key, earlier.operation);
    return afterCrash.given(earlier.operation);
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
 * later, unless the verb's operation had begun with the key: then what became of that counts.
 *
 * @throws OpencodeToolsError as `idempotent`
 */
export function idempotentFromStart<T>(
  kernel: Kernel,
  call: Call,
  verb: string,
  args: JsonValue,
  work: (key: IdempotencyKey) => Promise<T>,
  afterCrash: AfterCrash<T> = {},
): Promise<T> {
  const fromStart = async (key: IdempotencyKey): Promise<T> => {
    if (call.idempotencyKey === undefined) return work(key);
    const id = kernel.deps.ids.next('operation');
    const reserved = (reservedForMs: number): KeyedPart => {
      const { epoch, idempotency } = key.started(id);
      return { epoch, ...(idempotency && { idempotency: { ...idempotency, reservedForMs } }) };
    };
    const reserve = (ms: number) => kernel.commit({ records: [], ...reserved(ms) });
    await reserve(reservedMs);
    // Neither this nor giving back touches the key of an operation that has begun, and one that could not begin keeps none.
    const timer = setInterval(() => void reserve(reservedMs).catch(() => undefined), reservedMs / 3);
    const started = (): KeyedPart => reserved(begunMs);
    try {
      return await work({ operationId: id, started, finished: (result) => key.finished(result, id) });
    } catch (error) {
      // A key that cannot be given back now is free half a minute later.
      await reserve(0).catch(() => undefined);
      throw error;
    } finally {
      clearInterval(timer);
    }
  };
  return idempotent(kernel, call, verb, args, fromStart, afterCrash);
}

interface Earlier {
  readonly result: JsonValue;
  /** Ended, unless its process is gone and nothing has settled it. */
  readonly operation: Operation | undefined;
}

/** What there is of the call under this key, once it is no longer under way. */
async function findEarlier(
  kernel: Kernel,
  key: string,
  verb: string,
  argumentsDigest: string,
  settle: AfterCrash<unknown>['settle'],
): Promise<Earlier | undefined> {
  const entry = await kernel.deps.tasks.findIdempotency(key);
  if (entry === undefined) return undefined;
  assertSameCall(entry, verb, argumentsDigest);
  const { result, operationId } = entry;
  if (result !== null || operationId === null) return { result, operation: undefined };
  const operation = await kernel.deps.tasks.findOperation(operationId);
  if (operation !== undefined && operation.state !== 'open') return { result, operation };
  if (operation === undefined || !(await isAbandoned(kernel, operation)))
    throw underWay(key, { operationId, ...(operation === undefined ? {} : { taskId: operation.taskId }) });
  if (settle === undefined) return { result, operation };
  await settle();
  return findEarlier(kernel, key, verb, argumentsDigest, undefined);
}

/**
 * True for what recovery found done, or could not tell. An operation that ended without it and left no result failed, or did
 * nothing.
 */
function mayHaveHadEffect({ kind, state, outcome }: Operation): boolean {
  if (state === 'completed') return outcome?.['recovered'] === true;
  return state === 'interrupted' && (kind === 'execution' || outcome?.['effect'] === 'unknown');
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

function notTwice(key: string, { id, taskId, outcome }: Operation): OpencodeToolsError {
  const summary = outcome?.['summary'];
  const found = typeof summary === 'string' ? summary : 'it is not known how far it came';
  return new OpencodeToolsError(
    'OCT_IDEMPOTENCY_MISMATCH',
    `The process of the call with idempotency key ${key} died before it answered: ${found}`,
    {
      remedy: 'It is not done twice under this key. Look at what is there; to do it again, call with a new key.',
      details: { key, operationId: id, taskId },
    },
  );
}

function underWay(key: string, details: JsonObject): OpencodeToolsError {
  return new OpencodeToolsError('OCT_VERSION_CONFLICT', `The call with idempotency key ${key} is still under way`, {
    remedy: 'Call again in a few seconds to get its result.',
    details: { key, ...details },
  });
}
