import { draftTask } from '../create-task.ts';
import type { Kernel } from '../kernel.ts';
import { type PlanFacts, planSandbox } from '../sandbox-plan.ts';
import { type PoolSpec, poolSpec } from './pool-spec.ts';

/** The sandbox of a task that says nothing but its title; undefined while the engine has not its image. */
export async function defaultSpec(kernel: Kernel): Promise<PoolSpec | undefined> {
  const { images, ids, homeId } = kernel.deps;
  const task = draftTask(kernel, { title: 'a task' });
  const image = await images.find(task.sandboxSpec.image);
  if (image === undefined) return undefined;
  const names = { workspaceVolume: 'workspace', homeVolume: 'home' };
  const facts: PlanFacts = {
    homeId,
    task,
    operationId: ids.next('operation'),
    generation: 1,
    imageId: image.id,
    ...names,
    emptyVolumes: new Set(Object.values(names)),
    fence: { minToken: 0, revoked: [] },
  };
  return poolSpec(planSandbox(facts), facts, { imageId: image.id, workspace: null, home: null });
}
