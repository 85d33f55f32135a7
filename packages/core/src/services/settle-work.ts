import type { OperationId } from '../domain/ids.ts';
import type { Operation } from '../domain/operation.ts';
import { printable } from '../errors/printable.ts';
import type { SettledWork } from '../ports/work-port.ts';
import { clip } from './clip.ts';
import type { Kernel } from './kernel.ts';
import type { Resolution } from './recovery.ts';

/**
 * A change of a user's directory that broke off is undone; one of which all was done but the record is recorded. A directory that
 * cannot be written holds up nobody else: what is to be undone there stays noted, see `settleRecorded`.
 */
export async function resolveWork(kernel: Kernel, { id, intent }: Operation): Promise<Resolution> {
  const directory = typeof intent['directory'] === 'string' ? intent['directory'] : 'its directory';
  const settled = await trySettle(kernel, id);
  if (typeof settled === 'string') {
    const summary = `the work broke off half way into ${directory}, and is not taken back yet: ${clip(settled, 200)}`;
    return { state: 'interrupted', summary, puts: [] };
  }
  const clear = (): Promise<void> => kernel.deps.work.forget(id);
  if (settled.outcome === 'finished')
    return {
      state: 'completed',
      summary: `the work had come into ${directory} whole${behind(settled)}`,
      puts: [],
      clear,
    };
  const summary = `the work did not come into ${directory}, which is as it was before${exceptFor(settled)}`;
  return { state: 'interrupted', summary, puts: [], clear };
}

/** Tidies up after operations whose end is recorded although it was not known then how they would be settled. */
export async function settleRecorded(kernel: Kernel): Promise<void> {
  const { tasks, work, logger, processes } = kernel.deps;
  for (const id of await work.known()) {
    const operation = await tasks.findOperation(id);
    const isAtIt = operation !== undefined && processes.isAlive(operation.owner) && !kernel.leftToRecovery.has(id);
    if (operation?.state === 'open' || isAtIt) continue;
    const settled = await trySettle(kernel, id);
    if (typeof settled === 'string') continue;
    if (settled.left.length > 0) logger.warn('A change was undone', { operationId: id, except: exceptFor(settled) });
    await work.forget(id);
  }
}

/** @returns why it cannot be settled now, as text */
async function trySettle({ deps }: Kernel, id: OperationId): Promise<SettledWork | string> {
  try {
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
  return `, but the files at ${JSON.stringify(workTree)} are still as before: \`git status\` there shows the work as undone`;
}

function exceptFor({ left, saved }: SettledWork): string {
  if (left.length === 0) return '';
  const shown = left.slice(0, 5).map((path) => JSON.stringify(path));
  const kept = saved === null ? '' : `; what was there before is in ${saved}`;
  return `, but for what was changed since: ${shown.join(', ')}${left.length > 5 ? ` and ${left.length - 5} more` : ''}${kept}`;
}
