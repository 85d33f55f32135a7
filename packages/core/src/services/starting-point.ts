import type { Sandbox } from '../domain/sandbox.ts';
import type { Task } from '../domain/task.ts';
import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { Kernel } from './kernel.ts';
import type { KeptVolumes } from './make-sandbox.ts';
import type { StartingPoint } from './sandbox-plan.ts';

/** What a new container of the task begins with: the newest checkpoint of its line, else what the task was created from. */
export async function startingPoint(kernel: Kernel, task: Task, previous: Sandbox | null): Promise<StartingPoint> {
  const head = task.headCheckpointId === null ? undefined : await kernel.deps.checkpoints.find(task.headCheckpointId);
  const base = task.workspace.mode === 'volume' ? task.workspace.base : null;
  const imageId = previous?.imageId ?? head?.root?.imageId ?? task.sandboxSpec.imageId;
  if (imageId === null) {
    throw new OpencodeToolsError('OCT_IMAGE_NOT_FOUND', `Task ${task.id} has no image`, {
      remedy: 'Create the task again with an image.',
    });
  }
  return { imageId, workspace: head?.workspace ?? base, home: head?.home ?? null };
}

/** The volumes of a row that the engine still has. */
export async function existingVolumes(kernel: Kernel, sandbox: Sandbox | null): Promise<KeptVolumes> {
  const existing = async (name: string | null | undefined): Promise<string | null> =>
    name != null && (await kernel.deps.runtime.volumes.find(name)) !== undefined ? name : null;
  return { workspace: await existing(sandbox?.workspaceVolume), home: await existing(sandbox?.homeVolume) };
}

/** Says what was lost, so that nobody takes a workspace of an earlier moment for the present one. */
export function reasonToMake(task: Task, previous: Sandbox | null, keep: KeptVolumes, start: StartingPoint): string {
  if (previous === null) return 'first use';
  if (previous.ref === null) return 'there was no container';
  const lost = [
    ...(task.workspace.mode === 'volume' && keep.workspace === null ? ['the workspace volume'] : []),
    ...(keep.home === null ? ['the home volume'] : []),
  ];
  if (lost.length === 0)
    return 'the container was gone; changes of the root file system since the last checkpoint are lost';
  const instead =
    start.workspace === null && start.home === null ? 'made empty' : 'made again from the newest checkpoint or source';
  return `the container and ${lost.join(' and ')} were gone; ${instead}: what was only there is lost`;
}
