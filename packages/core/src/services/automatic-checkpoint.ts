import type { Checkpoint } from '../domain/checkpoint.ts';
import type { SessionId, TaskId } from '../domain/ids.ts';
import type { Task } from '../domain/task.ts';
import { isOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import { clip } from './clip.ts';
import type { Kernel } from './kernel.ts';
import type { SandboxKeeper } from './sandbox-keeper.ts';
import type { Call } from './services.ts';
import { takeCheckpoint } from './take-checkpoint.ts';
import { type LeasedWork, isHere, withLease } from './with-lease.ts';

/** When checkpoints are taken that nobody asked for, besides the one before a limit is reached. */
export interface AutomaticCheckpoints {
  /** When the last agent detaches, before its sandbox is stopped. */
  readonly onDetach: boolean;
  /** When a major todo is done. */
  readonly onMajorTodo: boolean;
  /** While a sandbox is at work, as often; milliseconds, 0 for never. */
  readonly everyMs: number;
  /** None is taken within this time of the one before; milliseconds. */
  readonly debounceMs: number;
}

export const defaultAutomatic: AutomaticCheckpoints = {
  onDetach: false,
  onMajorTodo: true,
  everyMs: 0,
  debounceMs: 60_000,
};

export function automaticOf(kernel: Kernel): AutomaticCheckpoints {
  return kernel.deps.defaults.automatic ?? defaultAutomatic;
}

interface Cause {
  readonly name: string;
  readonly reason: string;
  /** Time since the newest checkpoint below which none is taken; the debounce by default. */
  readonly notWithinMs?: number;
}

/**
 * Takes a checkpoint under the lease of a session, or one of its own, unless one was taken lately or nothing changed. What goes
 * wrong is told to the log only: whatever the checkpoint was to follow is done already.
 */
export async function checkpointUnasked(
  kernel: Kernel,
  keeper: SandboxKeeper,
  taskId: TaskId,
  cause: Cause & { readonly sessionId?: SessionId | undefined },
  call: Call,
): Promise<Checkpoint | null> {
  return quietly(kernel, taskId, async () => {
    const task = await kernel.deps.tasks.findTask(taskId);
    if (task === undefined || !isHere(kernel, task) || (await isLately(kernel, task, cause))) return null;
    const { sessionId } = cause;
    return withLease(kernel, task, { sessionId, sandbox: true }, call, (leased) =>
      take(kernel, keeper, taskId, cause, leased, call),
    );
  });
}

/** The same under a lease that is held already. */
export async function checkpointUnaskedUnder(
  kernel: Kernel,
  keeper: SandboxKeeper,
  task: Task,
  cause: Cause,
  leased: LeasedWork,
  call: Call,
): Promise<Checkpoint | null> {
  return quietly(kernel, task.id, async () =>
    (await isLately(kernel, task, cause)) ? null : take(kernel, keeper, task.id, cause, leased, call),
  );
}

async function take(
  kernel: Kernel,
  keeper: SandboxKeeper,
  taskId: TaskId,
  { name, reason }: Cause,
  leased: LeasedWork,
  call: Call,
): Promise<Checkpoint | null> {
  const input = { taskId, name: clip(name, 100), reason: clip(reason, 2_000), onlyIfChanged: true };
  const { checkpoint, taken } = await takeCheckpoint(kernel, keeper, input, leased, call);
  return taken ? checkpoint : null;
}

async function isLately(kernel: Kernel, { headCheckpointId }: Task, { notWithinMs }: Cause): Promise<boolean> {
  const head = headCheckpointId === null ? undefined : await kernel.deps.checkpoints.find(headCheckpointId);
  if (head === undefined) return false;
  return kernel.deps.clock.nowMs() - Date.parse(head.createdAt) < (notWithinMs ?? automaticOf(kernel).debounceMs);
}

async function quietly<T>(kernel: Kernel, taskId: TaskId, work: () => Promise<T>): Promise<T | null> {
  try {
    return await work();
  } catch (error) {
    const held = isOpencodeToolsError(error, 'OCT_LEASE_HELD');
    const message = held ? 'No checkpoint: a session of another process holds the task' : 'No checkpoint was taken';
    kernel.deps.logger.warn(message, { taskId, error: String(error) });
    return null;
  }
}
