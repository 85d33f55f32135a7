import type { OperationKind } from '../domain/operation.ts';
import type { Collected } from '../ports/workspace-store.ts';
import type { Kernel } from './kernel.ts';
import { neededSnapshots } from './needed-snapshots.ts';

/** Operations that freeze a tree before they record it. */
const freezing: ReadonlySet<OperationKind> = new Set(['checkpoint', 'restore', 'sandbox', 'deletion']);
/** Half of the time for which a store keeps what was just frozen. */
const longMs = 30 * 60_000;
/** A registry that was made, restored or rebuilt more recently may not know yet what belongs to it. */
const youngMs = 60 * 60_000;

/**
 * Removes frozen trees that no checkpoint or task names. That a registry does not know a tree proves nothing when it may not be
 * whole: nothing is removed while it is young, or the home has files of a task or checkpoint that it does not know. Nothing is removed
 * either while an operation that freezes trees has been under way for long in a live process: what it froze first might count as
 * old before its record is written.
 */
export async function collectGarbage(kernel: Kernel): Promise<Collected> {
  // The files of a checkpoint that was just deleted are still there until then.
  await kernel.deps.memory.project();
  const unknown = await strangers(kernel);
  if (unknown.length > 0 || (await isYoung(kernel)) || (await isFreezing(kernel)))
    return { snapshots: 0, layers: 0, bytes: 0, unknown };
  return kernel.deps.workspaces.collect(() => neededSnapshots(kernel));
}

async function isYoung({ deps }: Kernel): Promise<boolean> {
  return deps.clock.nowMs() - Date.parse((await deps.admin.status()).createdAt) < youngMs;
}

async function isFreezing({ deps: { tasks, clock, processes } }: Kernel): Promise<boolean> {
  return (await tasks.listOpenOperations()).some(
    ({ kind, owner, startedAt }) =>
      freezing.has(kind) && clock.nowMs() - Date.parse(startedAt) > longMs && processes.isAlive(owner),
  );
}

/** Tasks and checkpoints that have files in the home and no row. What is made meanwhile has its row before its files. */
async function strangers({ deps: { memory, tasks, checkpoints } }: Kernel): Promise<readonly string[]> {
  const [directories, manifests] = [await memory.list(), await memory.listCheckpoints()];
  const known = new Set((await checkpoints.listAll()).map(({ id }) => id));
  const unknown: string[] = manifests.filter((id) => !known.has(id));
  for (const id of directories) {
    if ((await tasks.findTask(id)) === undefined && (await tasks.findReceipt(id)) === undefined) unknown.push(id);
  }
  return unknown;
}
