import type { PooledSandbox } from '../../domain/pooled-sandbox.ts';
import type { SandboxHandle } from '../../ports/sandbox-runtime.ts';
import type { Kernel } from '../kernel.ts';
import { withRecipes } from '../volume-keeping.ts';
import { type PoolSpec, pooledLabels, pooledPlan } from './pool-spec.ts';

/** Makes the volumes and the container of an entry. Idempotent by its id. */
export async function makeParts(kernel: Kernel, spec: PoolSpec, entry: PooledSandbox): Promise<SandboxHandle> {
  const { workspaces, runtime, homeId } = kernel.deps;
  const provision = async (volume: string, kind: string, snapshotId: string): Promise<void> =>
    workspaces.provision({ volume, labels: pooledLabels(homeId, entry, kind), owner: spec.plan.user, snapshotId });
  const { workspace, home } = spec.start;
  await Promise.all([
    workspace === null ? null : provision(entry.workspaceVolume, 'workspace', workspace.id),
    home === null ? null : provision(entry.homeVolume, 'home', home.id),
  ]);
  const volumes = [entry.workspaceVolume, entry.homeVolume];
  return runtime.create(await withRecipes(kernel, pooledPlan(spec, entry), volumes));
}

/** Removes what carries an entry's id and what it names. Absent is fine. */
async function removeParts(kernel: Kernel, entry: PooledSandbox): Promise<void> {
  const { runtime, homeId } = kernel.deps;
  for (const { ref } of await runtime.list({ homeId, operationId: entry.id })) {
    await (await runtime.find(ref))?.destroy();
  }
  for (const volume of [entry.workspaceVolume, entry.homeVolume]) await runtime.volumes.remove(volume);
}

/**
 * Takes an entry that no task has claimed out of the pool and removes it: nobody can claim it from the first step on.
 *
 * @returns false when somebody else claimed, changed or removed it first
 */
export async function discard(kernel: Kernel, entry: PooledSandbox): Promise<boolean> {
  const { housekeeping, processes } = kernel.deps;
  const leaving: PooledSandbox = {
    ...entry,
    state: 'leaving',
    owner: processes.self(),
    version: entry.version + 1,
  };
  if (!(await housekeeping.replacePooled(leaving))) return false;
  await removeParts(kernel, leaving);
  await housekeeping.removePooled(leaving);
  return true;
}
