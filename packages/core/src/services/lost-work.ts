import { shortId } from '../domain/ids.ts';
import type { Task } from '../domain/task.ts';
import { OpencodeToolsError, asOpencodeToolsError, isOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import { lostBeginning } from './beginning-image.ts';
import { findDamage } from './find-damage.ts';
import type { Kernel } from './kernel.ts';
import type { MakeSandbox } from './make-sandbox.ts';

/** Says what of a task is lost, and which ways out there are just now. */
export async function lostWork(kernel: Kernel, task: Task, what: string, cause?: unknown): Promise<OpencodeToolsError> {
  const all = await kernel.deps.checkpoints.list(task.id);
  const damaged = await findDamage(kernel, all);
  const sound = all.find(({ id }) => !damaged.has(id));
  const remove = `opencode-tools cleanup-task ${task.id} --force`;
  const remedy =
    sound === undefined
      ? `No checkpoint of it is whole. Delete the task, which saves what is left and says what is lost: ${remove}`
      : `Bring it back to its newest sound checkpoint: opencode-tools restore-checkpoint ${task.id} ${shortId(sound.id)}; or delete it: ${remove}`;
  return new OpencodeToolsError('OCT_WORKSPACE_LOST', `Work of task ${task.id} is lost: ${what}`, {
    remedy,
    details: { taskId: task.id, soundCheckpointId: sound?.id ?? null },
    cause,
  });
}

/** The error of a sandbox that does not start, in terms of what the task has lost, if that is why. */
export async function explainStart(
  kernel: Kernel,
  task: Task,
  volumes: { readonly workspace: string | null; readonly home: string | null },
  error: unknown,
): Promise<unknown> {
  if (!isOpencodeToolsError(error, 'OCT_WORKSPACE_LOST')) return error;
  const names = [volumes.workspace, volumes.home].filter((name) => name !== null);
  const { volumes: lost } = await kernel.deps.workspaces.missing({ snapshotIds: [], volumes: names });
  if (lost.size === 0) return error;
  const parts = [
    ...(volumes.workspace !== null && lost.has(volumes.workspace) ? ['the workspace'] : []),
    ...(volumes.home !== null && lost.has(volumes.home) ? ['the home directory'] : []),
  ];
  return lostWork(kernel, task, `the engine has not what ${parts.join(' and ')} was made of any more`, error);
}

/**
 * The error of a sandbox that could not be made, in terms of what the task has lost.
 *
 * @returns `make again` when only what is made again was lost: then it can be made after all
 */
export async function explainMaking(
  kernel: Kernel,
  { task, start, keep, kind }: Pick<MakeSandbox, 'task' | 'start' | 'keep' | 'kind'>,
  error: unknown,
): Promise<unknown> {
  if (isOpencodeToolsError(error, 'OCT_IMAGE_NOT_FOUND')) {
    if (start.imageId !== task.sandboxSpec.imageId) return lostRoot(task, start.imageId, kind, error);
    const { image } = task.sandboxSpec;
    const goOn = `Go on from what ${image} names now, once it is pulled or built: opencode-tools checkpoint ${task.id}`;
    return lostBeginning(task, goOn, error);
  }
  if (isOpencodeToolsError(error, 'OCT_CHECKPOINT_CORRUPT') && kind === 'sandbox')
    return lostStart(kernel, task, error);
  if (!isOpencodeToolsError(error, 'OCT_WORKSPACE_LOST')) return error;
  const explained = await explainStart(kernel, task, keep, error);
  if (explained !== error) return explained;
  const begins = [keep.workspace === null ? start.workspace : null, keep.home === null ? start.home : null];
  const snapshotIds = begins.flatMap((snapshot) => (snapshot === null ? [] : [snapshot.id]));
  await kernel.deps.workspaces.takeStock();
  const { snapshots } = await kernel.deps.workspaces.missing({ snapshotIds, volumes: [] });
  return snapshots.size === 0 ? 'make again' : lostStart(kernel, task, error);
}

/** What the task would be made again from is gone. */
async function lostStart(kernel: Kernel, task: Task, error: unknown): Promise<OpencodeToolsError> {
  const { message } = asOpencodeToolsError(error);
  return lostWork(kernel, task, `its sandbox cannot be made from what is left: ${message}`, error);
}

/** Nobody can pull or build the image of what was installed in one sandbox. */
function lostRoot(task: Task, imageId: string, kind: MakeSandbox['kind'], cause: unknown): OpencodeToolsError {
  const goOn =
    kind === 'restore' ? 'Restore another checkpoint' : `Go on without it: opencode-tools checkpoint ${task.id}`;
  return new OpencodeToolsError(
    'OCT_CHECKPOINT_CORRUPT',
    `What was installed in task ${task.id} is lost: the image of its root file system is gone from the engine: ${imageId}`,
    {
      remedy: `${goOn}; or bring its newest checkpoint back as a new task: opencode-tools recover ${task.id}`,
      details: { taskId: task.id, image: imageId },
      cause,
    },
  );
}
