import type { OperationId } from '../domain/ids.ts';
import type { Operation } from '../domain/operation.ts';
import { printable } from '../errors/printable.ts';
import type { SettledWork } from '../ports/work-port.ts';
import { adoptWork, awaitSettled } from './adopt-work.ts';
import { clip } from './clip.ts';
import { type Kernel, draft, finished } from './kernel.ts';
import type { Call, RecoveredOperation } from './services.ts';
import { assertNobodyRunsIn, writtenDirectory } from './shared-directory.ts';
import { isHere } from './with-lease.ts';

/** How a change of a user's directory that broke off is recorded. */
interface WorkEnd {
  readonly state: 'completed' | 'interrupted';
  readonly summary: string;
  /** False while the directory cannot be written: what is to be undone there stays noted. */
  readonly settled: boolean;
}

/**
 * Settles what dead processes left half way in directories of the user, whoever holds the tasks: no lease fences such a directory,
 * so none is needed to put it right. Needs no engine. A change that cannot be settled keeps no other from it.
 */
export async function settleAbandonedWork(kernel: Kernel, call: Call): Promise<readonly RecoveredOperation[]> {
  const { tasks, processes, logger } = kernel.deps;
  const settled: RecoveredOperation[] = [];
  for (const operation of await tasks.listOpenOperations()) {
    if (operation.kind !== 'work') continue;
    if (processes.isAlive(operation.owner) && !kernel.leftToRecovery.has(operation.id)) continue;
    try {
      const task = await tasks.findTask(operation.taskId);
      const done = task !== undefined && isHere(kernel, task) ? await settleWork(kernel, operation, call) : null;
      if (done !== null) settled.push(done);
    } catch (error) {
      logger.warn('A change that broke off was not settled', { operationId: operation.id, error: String(error) });
    }
  }
  return settled;
}

/**
 * Undoes an abandoned change of a user's directory, or records it when all of it was done. Of several processes that find it, the one
 * that adopts it settles it and the others wait; a process that dies while it settles is followed by the next.
 *
 * @returns null when another process settles it
 */
export async function settleWork(kernel: Kernel, found: Operation, call: Call): Promise<RecoveredOperation | null> {
  const { settling } = kernel;
  const underWay = settling.get(found.id);
  if (underWay !== undefined) {
    await underWay.catch(() => undefined);
    return null;
  }
  const own = settleAlone(kernel, found, call);
  settling.set(found.id, own);
  try {
    return await own;
  } finally {
    settling.delete(found.id);
  }
}

async function settleAlone(kernel: Kernel, found: Operation, call: Call): Promise<RecoveredOperation | null> {
  const operation = await adoptWork(kernel, found, call);
  if (operation === null) {
    await awaitSettled(kernel, found.id);
    return null;
  }
  const { id, kind, taskId: stream, owner } = operation;
  try {
    const { state, summary, settled } = await endOf(kernel, operation);
    const outcome = { recovered: true, summary, settled };
    const puts = [{ noun: 'operation', value: finished(operation, state, outcome, kernel.now()) }] as const;
    await kernel.commit({
      guard: { openOperation: id, ownedOperation: { id, owner } },
      records: [draft({ stream, type: `work.${state}`, call, operationId: id, puts, detail: outcome })],
    });
    if (settled) await forgetQuietly(kernel, id);
    kernel.leftToRecovery[settled ? 'delete' : 'add'](id);
    return { operationId: id, kind, resolution: state, summary };
  } catch (error) {
    kernel.leftToRecovery.add(id);
    throw error;
  }
}

/**
 * Settles changes whose operation has ended although they could not be settled then, as in a directory that nobody could write, and
 * records what became of them. One that a living process is at is left to it.
 */
export async function settleRecorded(kernel: Kernel, call: Call): Promise<void> {
  const { tasks, work, processes, logger } = kernel.deps;
  for (const id of await work.known()) {
    const operation = await tasks.findOperation(id);
    const isAtIt = operation !== undefined && processes.isAlive(operation.owner) && !kernel.leftToRecovery.has(id);
    if (operation?.state === 'open' || isAtIt) continue;
    try {
      await settleEnded(kernel, id, operation, call);
    } catch (error) {
      logger.warn('A change that broke off was not settled', { operationId: id, error: String(error) });
    }
  }
}

/** @param operation undefined where the registry does not know it any more */
async function settleEnded(
  kernel: Kernel,
  id: OperationId,
  operation: Operation | undefined,
  call: Call,
): Promise<void> {
  const { deps, leftToRecovery } = kernel;
  if (operation?.outcome?.['settled'] === true) return deps.work.forget(id);
  const unsure = operation !== undefined && operation.state !== 'completed';
  const adopted =
    unsure && (await deps.tasks.findTask(operation.taskId)) !== undefined
      ? await adoptWork(kernel, operation, call)
      : undefined;
  if (adopted === null) return;
  if (adopted !== undefined) leftToRecovery.add(id);
  const found = await trySettle(kernel, id, operation);
  if (typeof found === 'string') return;
  if (found.left.length > 0) deps.logger.warn('A change was undone', { operationId: id, except: exceptFor(found) });
  if (found.outcome === 'undone' && adopted !== undefined) await recordUndone(kernel, adopted, found, call);
  leftToRecovery.delete(id);
  await deps.work.forget(id);
}

async function recordUndone(kernel: Kernel, operation: Operation, found: SettledWork, call: Call): Promise<void> {
  const { id, taskId: stream, owner } = operation;
  const detail = {
    recovered: true,
    settled: true,
    summary: `${directoryOf(operation)} is as it was before${exceptFor(found)}`,
  };
  const value = { ...operation, outcome: { ...operation.outcome, ...detail } };
  await kernel.commit({
    guard: { ownedOperation: { id, owner } },
    records: [
      draft({ stream, type: 'work.undone', call, operationId: id, puts: [{ noun: 'operation', value }], detail }),
    ],
  });
}

async function endOf(kernel: Kernel, operation: Operation): Promise<WorkEnd> {
  const directory = directoryOf(operation);
  const found = await trySettle(kernel, operation.id, operation);
  if (typeof found === 'string') {
    const summary = `the work broke off half way into ${directory}, and is not taken back yet: ${clip(found, 200)}`;
    return { state: 'interrupted', summary, settled: false };
  }
  if (found.outcome === 'finished')
    return { state: 'completed', summary: `the work had come into ${directory} whole${behind(found)}`, settled: true };
  const summary = `the work did not come into ${directory}, which is as it was before${exceptFor(found)}`;
  return { state: 'interrupted', summary, settled: true };
}

function directoryOf({ intent }: Operation): string {
  return typeof intent['directory'] === 'string' ? intent['directory'] : 'its directory';
}

async function forgetQuietly({ deps }: Kernel, id: OperationId): Promise<void> {
  await deps.work
    .forget(id)
    .catch((error: unknown) =>
      deps.logger.debug('Notes of a change were not removed', { operationId: id, error: String(error) }),
    );
}

/** @returns why it cannot be settled now, as text */
async function trySettle(
  kernel: Kernel,
  id: OperationId,
  operation: Operation | undefined,
): Promise<SettledWork | string> {
  const { deps } = kernel;
  try {
    const directory = operation === undefined ? undefined : writtenDirectory(operation);
    if (operation !== undefined && directory !== undefined)
      await assertNobodyRunsIn(kernel, directory, operation.taskId);
    return await deps.work.settle(id);
  } catch (error) {
    deps.logger.warn('A change that broke off cannot be settled now', { operationId: id, error: String(error) });
    return printable(String(error));
  }
}

/** Of a work tree whose branch has moved, which git could not bring along. */
function behind({ left }: SettledWork): string {
  const [workTree] = left;
  if (workTree === undefined) return '';
  return `, but the files at ${JSON.stringify(workTree)} are still as before: \`git status\` there, or what was committed since, shows the work as undone`;
}

function exceptFor({ left, saved }: SettledWork): string {
  if (left.length === 0) return '';
  const shown = left.slice(0, 5).map((path) => JSON.stringify(path));
  const kept = saved === null ? '' : `; what was there before is in ${saved}`;
  return `, but for what was changed since: ${shown.join(', ')}${left.length > 5 ? ` and ${left.length - 5} more` : ''}${kept}`;
}
