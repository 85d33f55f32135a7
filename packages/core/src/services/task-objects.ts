import type { TaskId } from '../domain/ids.ts';
import type { PooledSandbox } from '../domain/pooled-sandbox.ts';
import type { Kernel } from './kernel.ts';

/** What the engine has of a task. */
export interface TaskObjects {
  /** Ids of containers. */
  readonly containers: readonly string[];
  /** Names of volumes. */
  readonly volumes: readonly string[];
  /** What it took from the pool, whose labels name no task. */
  readonly claimed: readonly PooledSandbox[];
}

/** Finds every container and volume of a task, whatever operation made it: by label, by its row, and by what it claimed. */
export async function findTaskObjects(kernel: Kernel, taskId: TaskId): Promise<TaskObjects> {
  const { runtime, homeId, tasks, housekeeping } = kernel.deps;
  const row = await tasks.findSandbox(taskId);
  const claimed = (await housekeeping.listPooled()).filter(({ claim }) => claim?.taskId === taskId);
  const containers = new Set((await runtime.list({ homeId, taskId })).map(({ ref }) => ref));
  const labels = { 'io.opencode-tools.home': homeId, 'io.opencode-tools.task': taskId };
  const volumes = new Set((await runtime.volumes.list(labels)).map(({ name }) => name));
  for (const ref of [row?.ref, ...claimed.map((entry) => entry.ref)]) {
    if (ref != null && !containers.has(ref) && (await runtime.find(ref)) !== undefined) containers.add(ref);
  }
  const named = [
    row?.workspaceVolume,
    row?.homeVolume,
    ...claimed.flatMap((one) => [one.workspaceVolume, one.homeVolume]),
  ];
  for (const name of named) {
    if (name != null && !volumes.has(name) && (await runtime.volumes.find(name)) !== undefined) volumes.add(name);
  }
  return { containers: [...containers], volumes: [...volumes], claimed };
}

/** Removes them, the entries of the pool last: as long as something is there, something says whose it is. Idempotent. */
export async function removeTaskObjects(kernel: Kernel, taskId: TaskId): Promise<TaskObjects> {
  const { runtime, housekeeping } = kernel.deps;
  const found = await findTaskObjects(kernel, taskId);
  for (const ref of found.containers) await (await runtime.find(ref))?.destroy();
  for (const name of found.volumes) await runtime.volumes.remove(name);
  for (const entry of found.claimed) await housekeeping.removePooled(entry);
  return found;
}
