import type { Checkpoint } from '../domain/checkpoint.ts';
import type { LeftOut } from '../domain/left-out.ts';
import type { Sandbox } from '../domain/sandbox.ts';
import type { Put } from '../ledger/put.ts';
import type { Kernel } from './kernel.ts';
import { notBroughtBack } from './left-out-notice.ts';
import { assertNobodyRunsIn } from './shared-directory.ts';

/**
 * Makes a bound directory equal to a checkpoint. Repeating it after an interruption finishes it.
 *
 * @returns what was not brought back, each in one sentence
 */
export async function restoreDirectory(
  kernel: Kernel,
  directory: string | null,
  target: Checkpoint,
  signal?: AbortSignal,
): Promise<readonly string[]> {
  if (directory === null || target.workspace === null) return [];
  await assertNobodyRunsIn(kernel, directory, target.taskId);
  const notices: string[] = [];
  const onLeftOut = (one: LeftOut): void => void notices.push(notBroughtBack(one, 'the workspace'));
  const options = { onLeftOut, ...(signal === undefined ? {} : { signal }) };
  await kernel.deps.workspaces.restoreDirectory(directory, target.workspace.id, options);
  for (const notice of notices) kernel.deps.logger.warn(notice, { taskId: target.taskId });
  return notices;
}

/** The rows after a restore in place: the next container starts from the checkpoint. */
export async function directoryPuts(
  kernel: Kernel,
  target: Checkpoint,
  previous: Sandbox | undefined,
): Promise<readonly Put[]> {
  const head = await headPut(kernel, target);
  if (previous === undefined) return [head];
  const imageId = target.root?.imageId ?? previous.imageId;
  const cleared = {
    ...previous,
    state: 'absent',
    ref: null,
    homeVolume: null,
    imageId,
    updatedAt: kernel.now(),
  } as const;
  return [head, { noun: 'sandbox', value: cleared }];
}

/** The task's row with the restored checkpoint as the newest of its line. */
export async function headPut(kernel: Kernel, target: Checkpoint): Promise<Put> {
  const task = await kernel.deps.tasks.getTask(target.taskId);
  const value = { ...task, headCheckpointId: target.id, version: task.version + 1, updatedAt: kernel.now() };
  return { noun: 'task', value };
}
