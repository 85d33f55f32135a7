import type { OperationId } from '../domain/ids.ts';
import { type JsonObject, asJson } from '../domain/json.ts';
import type { OperationKind } from '../domain/operation.ts';
import type { Task } from '../domain/task.ts';
import { type IdempotencyKey, idempotent } from './idempotent.ts';
import type { Call } from './call.ts';
import type { Kernel } from './kernel.ts';
import { runOperation } from './run-operation.ts';
import { settleAbandonedWork, settleRecorded } from './settle-work.ts';
import type { LeasedWork } from './with-lease.ts';

/** So many paths of one kind are recorded. */
const mostRecorded = 100;

/** What came of one way to bring work to the files of the user. */
export interface Carried<T> {
  readonly result: T;
  /** Whether anything of the user was changed; else a repetition with the same key tries again. */
  readonly done: boolean;
  /** Verb of the record when nothing was changed. */
  readonly verb?: string;
  readonly outcome: JsonObject;
  readonly detail: JsonObject;
}

export interface Carrying {
  readonly task: Task;
  readonly intent: JsonObject;
  readonly excludes: readonly OperationKind[];
  readonly leased: LeasedWork;
  readonly key: IdempotencyKey;
}

/** Runs a verb of work at most once per key of its caller. A dry run changes nothing and takes none. */
export async function onceWhenDone<T>(
  kernel: Kernel,
  call: Call,
  verb: 'apply' | 'merge' | 'commit',
  args: object & { readonly dryRun: boolean },
  work: (key: IdempotencyKey, call: Call) => Promise<T>,
): Promise<T> {
  const { idempotencyKey: _key, ...inner } = call;
  const settle = () => settleAbandonedWork(kernel, inner);
  const outer = args.dryRun ? inner : call;
  return idempotent(kernel, outer, verb, asJson(args), async (key) => work(key, inner), { settle });
}

/** Brings work to the files of the user as an operation; what it leaves half way is settled by whoever opens the home next. */
export async function carryWork<T extends object>(
  kernel: Kernel,
  { task, intent, excludes, leased, key }: Carrying,
  call: Call,
  carry: (operationId: OperationId) => Promise<Carried<T>>,
): Promise<T> {
  const { work, logger } = kernel.deps;
  await settleRecorded(kernel, call);
  const operation = kernel.newOperation('work', task.id, leased.proof, intent);
  const { id } = operation;
  const forget = (): Promise<void> => work.forget(id);
  const result = await runOperation(
    kernel,
    { operation, excludes, detail: intent, key },
    leased,
    call,
    async () => {
      const { done, result: made, ...said } = await carry(id);
      return { ...said, result: made, puts: () => [], ...(done ? { stored: asJson(made) } : {}) };
    },
    { clear: async () => work.settle(id).then(forget) },
  );
  await forget().catch((error: unknown) =>
    logger.debug('Notes of work that was brought out were not removed', { operationId: id, error: String(error) }),
  );
  return result;
}

export function recordedPaths(list: readonly string[]): string[] {
  return list.slice(0, mostRecorded).map((each) => each.toWellFormed());
}

export function recordedRules(refused: readonly { readonly path: string; readonly rule: string }[]): JsonObject[] {
  return refused.slice(0, mostRecorded).map(({ path, rule }) => ({ path: path.toWellFormed(), rule }));
}
