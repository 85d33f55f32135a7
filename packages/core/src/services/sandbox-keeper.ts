import type { TaskId } from '../domain/ids.ts';
import type { Sandbox, SandboxState } from '../domain/sandbox.ts';
import type { Task } from '../domain/task.ts';
import { OpencodeToolsError, isOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { SandboxHandle } from '../ports/sandbox-runtime.ts';
import { currentFence } from './barrier.ts';
import { type Kernel, draft, leaseGuard } from './kernel.ts';
import { makeSandbox } from './make-sandbox.ts';
import type { StartingPoint } from './sandbox-plan.ts';
import type { Call } from './services.ts';
import type { LeasedWork } from './with-lease.ts';

const creationLimitMs = 120_000;
const pollMs = 50;

/** Finds, starts and makes the sandboxes of tasks, and remembers handles for as long as the process lives. */
export interface SandboxKeeper {
  /** The task's sandbox, running: started, unpaused or made anew when it is not. */
  ensureRunning(task: Task, leased: LeasedWork, call: Call): Promise<SandboxHandle>;
  /** The sandbox as it is, or undefined when there is no container. */
  find(taskId: TaskId): Promise<{ readonly handle: SandboxHandle; readonly sandbox: Sandbox } | undefined>;
  /** Stops the container and records it; fine when there is none. */
  stop(task: Task, leased: LeasedWork, graceMs: number, call: Call): Promise<void>;
  /** Forgets a handle that proved dead. */
  forget(taskId: TaskId): void;
}

export function createSandboxKeeper(kernel: Kernel): SandboxKeeper {
  const { deps } = kernel;
  const known = new Map<TaskId, SandboxHandle>();

  const attach = async (sandbox: Sandbox): Promise<SandboxHandle | undefined> => {
    if (sandbox.ref === null) return undefined;
    const cached = known.get(sandbox.taskId);
    if (cached?.ref === sandbox.ref) return cached;
    const handle = await deps.runtime.find(sandbox.ref);
    if (handle !== undefined) known.set(sandbox.taskId, handle);
    return handle;
  };

  const make = async (task: Task, previous: Sandbox | null, leased: LeasedWork, call: Call): Promise<SandboxHandle> => {
    const reuseVolumes = previous !== null && (await volumesExist(kernel, previous));
    const start = await startingPoint(kernel, task, previous);
    const detail = { reason: reasonToMake(previous, reuseVolumes) };
    try {
      const { handle } = await makeSandbox(
        kernel,
        { kind: 'sandbox', task, start, previous, reuseVolumes, detail },
        leased,
        call,
      );
      known.set(task.id, handle);
      return handle;
    } catch (error) {
      if (!isOpencodeToolsError(error, 'OCT_VERSION_CONFLICT')) throw error;
      return waitForOther(task.id, leased);
    }
  };

  /** Another agent of the same task is making the sandbox: wait for it instead of making a second one. */
  const waitForOther = async (taskId: TaskId, leased: LeasedWork): Promise<SandboxHandle> => {
    const deadline = deps.clock.nowMs() + creationLimitMs;
    while (deps.clock.nowMs() < deadline) {
      leased.signal.throwIfAborted();
      const sandbox = await deps.tasks.findSandbox(taskId);
      const handle = sandbox?.state === 'running' ? await attach(sandbox) : undefined;
      if (handle !== undefined) return handle;
      await new Promise((resolve) => setTimeout(resolve, pollMs));
    }
    throw new OpencodeToolsError('OCT_TIMEOUT', `The sandbox of ${taskId} was not ready after ${creationLimitMs} ms`, {
      remedy: 'Run `opencode-tools doctor` to resolve operations whose process died, then try again.',
      details: { limit: 'sandbox creation', valueMs: creationLimitMs },
    });
  };

  return {
    forget: (taskId) => void known.delete(taskId),
    find: async (taskId) => {
      const sandbox = await deps.tasks.findSandbox(taskId);
      const handle = sandbox === undefined ? undefined : await attach(sandbox);
      return sandbox === undefined || handle === undefined ? undefined : { handle, sandbox };
    },
    ensureRunning: async (task, leased, call) => {
      const sandbox = await deps.tasks.findSandbox(task.id);
      if (sandbox === undefined) return make(task, null, leased, call);
      const cached = known.get(task.id);
      if (sandbox.state === 'running' && cached !== undefined && cached.ref === sandbox.ref) return cached;
      const handle = await attach(sandbox);
      if (handle === undefined) return make(task, sandbox, leased, call);
      const { state } = await handle.inspect();
      if (state === 'failed') return make(task, sandbox, leased, call);
      if (state === 'paused') await handle.unpause();
      if (state === 'stopped' || state === 'creating') {
        await handle.start();
        await handle.fence(await currentFence(kernel, task.id));
      }
      if (sandbox.state !== 'running') await recordState(kernel, sandbox, 'running', leased, call);
      return handle;
    },
    stop: async (task, leased, graceMs, call) => {
      const sandbox = await deps.tasks.findSandbox(task.id);
      const handle = sandbox === undefined ? undefined : await attach(sandbox);
      if (sandbox === undefined || handle === undefined) return;
      await handle.stop(graceMs);
      known.delete(task.id);
      await recordState(kernel, sandbox, 'stopped', leased, call);
    },
  };
}

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

/** Records a new state of the container when it changed. */
export async function recordState(
  kernel: Kernel,
  sandbox: Sandbox,
  state: SandboxState,
  leased: LeasedWork,
  call: Call,
): Promise<void> {
  if (sandbox.state === state) return;
  const verb = state === 'running' ? 'started' : state;
  await kernel.commit({
    guard: leaseGuard(leased.proof),
    records: [
      draft({
        stream: sandbox.taskId,
        type: `sandbox.${verb}`,
        call,
        proof: leased.proof,
        puts: [{ noun: 'sandbox', value: { ...sandbox, state, updatedAt: kernel.now() } }],
      }),
    ],
  });
}

async function volumesExist(kernel: Kernel, sandbox: Sandbox): Promise<boolean> {
  const { volumes } = kernel.deps.runtime;
  for (const name of [sandbox.workspaceVolume, sandbox.homeVolume]) {
    if (name !== null && (await volumes.find(name)) === undefined) return false;
  }
  return sandbox.homeVolume !== null;
}

function reasonToMake(previous: Sandbox | null, reuseVolumes: boolean): string {
  if (previous === null) return 'first use';
  if (previous.ref === null) return 'the one before was not made';
  return reuseVolumes
    ? 'the container was gone; changes of the root file system since the last checkpoint are lost'
    : 'container and volumes were gone; restored from the newest checkpoint';
}
