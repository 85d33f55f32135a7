import type { Sandbox } from '../domain/sandbox.ts';
import { stackLabel } from '../ports/layer-port.ts';
import type { SandboxMount, SandboxPlan } from '../ports/sandbox-runtime.ts';
import type { Kernel } from './kernel.ts';
import type { WorkspaceKeeping } from './task-contract.ts';

/** Says of these volumes of a plan, where it makes them, how the engine is asked for them: as stacks of layers, where that is possible. */
export async function withRecipes(
  { deps }: Kernel,
  plan: SandboxPlan,
  volumes: readonly string[],
): Promise<SandboxPlan> {
  const mounts = plan.mounts.map(async (mount): Promise<SandboxMount> => {
    if (mount.kind !== 'volume' || mount.create === undefined || !volumes.includes(mount.volume)) return mount;
    const recipe = await deps.workspaces.reserve(plan.user);
    if (recipe === null) return mount;
    return { ...mount, create: { ...mount.create, ...recipe.labels }, options: recipe.options };
  });
  return { ...plan, mounts: await Promise.all(mounts) };
}

/**
 * Says where checkpoints of a workspace go, and why.
 *
 * @param volume null for a directory of the host
 * @param isKept true for a volume that was there before
 */
export async function storeOf({ deps }: Kernel, volume: string | null, isKept: boolean): Promise<WorkspaceKeeping> {
  if (volume === null) return { store: 'content', reason: 'the workspace is a directory of the host' };
  if (!isKept) {
    const layering = await deps.workspaces.layering();
    return layering.able ? { store: 'overlay', reason: null } : { store: 'content', reason: layering.reason };
  }
  const isStacked = (await deps.runtime.volumes.find(volume))?.labels[stackLabel] !== undefined;
  return isStacked
    ? { store: 'overlay', reason: null }
    : { store: 'content', reason: 'its volume was made without layers' };
}

/**
 * Where checkpoints of the workspace go, and why, as the operation that made the sandbox recorded it. Claiming one that was ready
 * asks the engine for nothing, so that one's volume is looked at.
 */
export async function recordedStore(kernel: Kernel, sandbox: Sandbox): Promise<WorkspaceKeeping | null> {
  const made = await kernel.deps.tasks.findOperation(sandbox.operationId);
  const recorded = made?.outcome?.['workspaceStore'] as WorkspaceKeeping | undefined;
  if (recorded !== undefined) return recorded;
  if (made?.state !== 'completed' || made.intent['pooled'] === undefined) return null;
  return storeOf(kernel, sandbox.workspaceVolume, true).catch(() => null);
}
