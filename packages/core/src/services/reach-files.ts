import type { SessionId, TaskId } from '../domain/ids.ts';
import type { Task } from '../domain/task.ts';
import { isOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { FileAccess, SandboxFiles } from '../ports/sandbox-files.ts';
import { largestFencingToken } from '../ports/exec-request.ts';
import type { Kernel } from './kernel.ts';
import type { SandboxKeeper } from './sandbox-keeper.ts';
import type { Call } from './services.ts';
import { wakingFrozen } from './wake-frozen.ts';
import { type LeasedWork, assertHere, withLease } from './with-lease.ts';

/** A sandbox whose files can be read now. */
export interface Reach {
  readonly task: Task;
  readonly files: SandboxFiles;
  readonly access: () => FileAccess;
}

/**
 * Reads in a task's sandbox: at once, without a lease, when it runs. One that does not run is brought up under a lease, and
 * put away again unless the task runs.
 */
export async function reachFiles<T>(
  kernel: Kernel,
  keeper: SandboxKeeper,
  taskId: TaskId,
  sessionId: SessionId | undefined,
  call: Call,
  work: (reach: Reach) => Promise<T>,
): Promise<T> {
  const task = await kernel.deps.tasks.getTask(taskId);
  assertHere(kernel, task);
  const found = sessionId === undefined ? await keeper.find(task.id) : undefined;
  if (found?.sandbox.state === 'running') {
    const access = accessAs(kernel, largestFencingToken, call.signal);
    let started = false;
    try {
      const reach: Reach = { task, files: found.handle.files, access: () => ((started = true), access()) };
      return await wakingFrozen(kernel, found.handle, task.id, async () => work(reach));
    } catch (error) {
      if (!started || !isOpencodeToolsError(error, 'OCT_SANDBOX_NOT_FOUND')) throw error;
      keeper.forget(task.id);
    }
  }
  return withLease(kernel, task, { sessionId, sandbox: true }, call, async (leased) => {
    const handle = await keeper.ensureRunning(task, leased, call);
    try {
      const access = accessAs(kernel, leased.proof.token, leased.signal);
      return await wakingFrozen(kernel, handle, task.id, async () => work({ task, files: handle.files, access }));
    } finally {
      if (sessionId === undefined) await putAway(kernel, keeper, task.id, leased, call);
    }
  });
}

/** A fresh id per script, by which it is ended. */
export function accessAs(kernel: Kernel, token: number, signal: AbortSignal | undefined): () => FileAccess {
  return () => ({
    executionId: kernel.deps.ids.next('execution'),
    token,
    ...(signal === undefined ? {} : { signal }),
  });
}

/** Stops the sandbox of a task that does not run, unless somebody else is attached. */
export async function putAway(
  kernel: Kernel,
  keeper: SandboxKeeper,
  taskId: TaskId,
  leased: LeasedWork,
  call: Call,
): Promise<void> {
  const task = await kernel.deps.tasks.findTask(taskId);
  if (task === undefined || task.status === 'running') return;
  if ((await kernel.deps.leases.listActive(taskId)).length > 1) return;
  await keeper.stop(task, leased, 0, call);
}
