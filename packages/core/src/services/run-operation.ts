import type { CheckpointId } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import type { Operation, OperationKind } from '../domain/operation.ts';
import type { PooledSandbox } from '../domain/pooled-sandbox.ts';
import type { ErrorCode } from '../errors/error-catalogue.ts';
import { asOpencodeToolsError, isOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { RecordDraft } from '../ledger/ledger-record.ts';
import type { Put } from '../ledger/put.ts';
import type { IdempotencyKey } from './idempotent.ts';
import { type Kernel, draft, finished, leaseGuard } from './kernel.ts';
import type { Call } from './services.ts';
import type { LeasedWork } from './with-lease.ts';

const maxAttempts = 3;
/** As what an effect fails when whoever took the lease has settled the operation, and taken away what it works on. */
const misled: ReadonlySet<ErrorCode> = new Set(['OCT_INTERNAL', 'OCT_INVALID_ARGUMENT']);

/** What the first transaction of an operation says. */
export interface OperationRequest {
  readonly operation: Operation;
  /** Kinds that must not be open on the task at the same time. */
  readonly excludes: readonly OperationKind[];
  readonly puts?: readonly Put[];
  readonly detail?: JsonObject;
  readonly key?: IdempotencyKey | undefined;
  /** A sandbox of the pool that the operation takes. */
  readonly takes?: PooledSandbox;
  /** Default `before`: of an effect that lasts, the disk has the request first. `meanwhile` for one that ends with this process. */
  readonly reachesDisk?: 'before' | 'meanwhile';
  /** What the operation begins from, if it is not deleted by then. */
  readonly checkpoint?: CheckpointId | undefined;
}

/** What the last transaction of an operation says. */
export interface OperationEnd<T> {
  readonly result: T;
  /** Verb of the record; the state by default. */
  readonly verb?: string;
  /** Default `completed`. */
  readonly state?: 'completed' | 'interrupted';
  readonly outcome: JsonObject;
  readonly detail?: JsonObject;
  /** Rows as they are afterwards; asked again when somebody changed the task meanwhile. */
  readonly puts: () => Promise<readonly Put[]> | readonly Put[];
  readonly records?: readonly RecordDraft[];
  /** What the idempotency key gives again. */
  readonly stored?: JsonObject;
}

/** How a failed operation is left. */
export interface OperationUndo {
  readonly puts?: () => Promise<readonly Put[]> | readonly Put[];
  /** Removes what the effect made; called when this process recorded the failure. */
  readonly clear?: () => Promise<void>;
  /** True where that touches nothing but what carries the operation's id: it is called as well when another process recorded the failure. */
  readonly clearsOwn?: boolean;
}

/**
 * Carries an operation out: requested in one transaction, the effect, ended in another, both under the same token. A failure
 * is recorded before anything is undone, so that two processes never undo what one of them finished; when the lease was lost
 * meanwhile, nothing more is written here and whoever took it settles the operation. What was made after it did that is removed here.
 */
export async function runOperation<T>(
  kernel: Kernel,
  request: OperationRequest,
  leased: LeasedWork,
  call: Call,
  effect: () => Promise<OperationEnd<T>>,
  undo: OperationUndo = {},
): Promise<T> {
  await begin(kernel, request, leased, call);
  try {
    const end = await effect();
    await conclude(kernel, request, end, leased, call);
    return end.result;
  } catch (error) {
    const left = await abandon(kernel, request.operation, undo, error, leased, call);
    throw isOpencodeToolsError(left, 'OCT_LEASE_LOST') && misled.has(asOpencodeToolsError(error).code) ? left : error;
  }
}

/** Appends the request of an operation that is ended apart from it. */
export async function begin(kernel: Kernel, request: OperationRequest, leased: LeasedWork, call: Call): Promise<void> {
  const { operation, excludes, checkpoint, reachesDisk = 'before' } = request;
  await kernel.commit({
    guard: {
      ...leaseGuard(leased.proof),
      noOpenOperation: { taskId: operation.taskId, kinds: excludes },
      ...(checkpoint === undefined ? {} : { checkpoint }),
    },
    records: [
      draft({
        stream: operation.taskId,
        type: `${operation.kind}.requested`,
        call,
        proof: leased.proof,
        operationId: operation.id,
        puts: [{ noun: 'operation', value: operation }, ...(request.puts ?? [])],
        ...(request.detail === undefined ? {} : { detail: request.detail }),
      }),
    ],
    reachesDisk,
    ...request.key?.started(operation.id),
    ...(request.takes === undefined ? {} : { takes: request.takes }),
  });
}

async function conclude<T>(
  kernel: Kernel,
  { operation, key }: OperationRequest,
  end: OperationEnd<T>,
  leased: LeasedWork,
  call: Call,
): Promise<void> {
  const state = end.state ?? 'completed';
  for (let attempt = 1; ; attempt += 1) {
    const puts = await end.puts();
    const record = draft({
      stream: operation.taskId,
      type: `${operation.kind}.${end.verb ?? state}`,
      call,
      proof: leased.proof,
      operationId: operation.id,
      puts: [{ noun: 'operation', value: finished(operation, state, end.outcome, kernel.now()) }, ...puts],
      ...(end.detail === undefined ? {} : { detail: end.detail }),
    });
    try {
      await kernel.commit({
        guard: { ...leaseGuard(leased.proof), openOperation: operation.id },
        records: [record, ...(end.records ?? [])],
        ...(end.stored === undefined ? {} : key?.finished(end.stored, operation.id)),
      });
      return;
    } catch (error) {
      if (attempt >= maxAttempts || !isOpencodeToolsError(error, 'OCT_VERSION_CONFLICT')) throw error;
    }
  }
}

/**
 * Records the failure, then undoes. What cannot be recorded now is left to recovery.
 *
 * @returns why it could not, if so
 */
export async function abandon(
  kernel: Kernel,
  operation: Operation,
  undo: OperationUndo,
  error: unknown,
  leased: LeasedWork,
  call: Call,
): Promise<unknown> {
  const { code, message } = asOpencodeToolsError(error);
  try {
    await kernel.commit({
      guard: { ...leaseGuard(leased.proof), openOperation: operation.id },
      records: [
        draft({
          stream: operation.taskId,
          type: `${operation.kind}.failed`,
          call,
          proof: leased.proof,
          operationId: operation.id,
          puts: [
            { noun: 'operation', value: finished(operation, 'failed', { code, message }, kernel.now()) },
            ...((await undo.puts?.()) ?? []),
          ],
          detail: { code, message },
        }),
      ],
    });
    await undo.clear?.();
    return undefined;
  } catch (second) {
    if (await isSettled(kernel, operation, undo)) return second;
    kernel.leftToRecovery.add(operation.id);
    kernel.deps.logger.warn('A failed operation was not tidied up and is left to recovery', {
      operationId: operation.id,
      error: String(second),
    });
    return second;
  }
}

/** Whoever took the lease may have settled the operation, and looked for what it made, before all of that was there. */
async function isSettled(kernel: Kernel, { id }: Operation, { clear, clearsOwn }: OperationUndo): Promise<boolean> {
  try {
    const state = (await kernel.deps.tasks.findOperation(id))?.state ?? 'open';
    if (clearsOwn === true && (state === 'failed' || state === 'interrupted')) await clear?.();
    return state !== 'open';
  } catch (error) {
    kernel.deps.logger.warn('What an operation made was not removed', { operationId: id, error: String(error) });
    return false;
  }
}
