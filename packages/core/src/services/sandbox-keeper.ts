import type { TaskId } from '../domain/ids.ts';
import type { Sandbox, SandboxState } from '../domain/sandbox.ts';
import type { Task } from '../domain/task.ts';
import { OpencodeToolsError, isOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { SandboxHandle } from '../ports/sandbox-runtime.ts';
import { endBackground } from './background.ts';
import { currentFence } from './barrier.ts';
import { type Kernel, draft, leaseGuard } from './kernel.ts';
import { explainStart } from './lost-work.ts';
import { type KeptVolumes, makeSandbox } from './make-sandbox.ts';
import type { WarmPool } from './pool/warm-pool.ts';
import { assertNotHeld, unheld } from './pause-sandbox.ts';
import { awaitQuiet } from './quiet.ts';
import { assertNobodyWritesIn } from './shared-directory.ts';
import { existingVolumes, reasonToMake, startingPoint } from './starting-point.ts';
import type { Call } from './services.ts';
import type { LeasedWork } from './with-lease.ts';

const maxAttempts = 3;
/** A sandbox that this process knows is not looked at for each command. */
const lookAgainMs = 5_000;

/** Finds, starts and makes the sandboxes of tasks, and remembers handles for as long as the process lives. */
export interface SandboxKeeper {
  /** The task's sandbox, running: started, unpaused or made anew when it is not. */
  ensureRunning(task: Task, leased: LeasedWork, call: Call): Promise<SandboxHandle>;
  /** The sandbox as it is, or undefined when there is no container. */
  find(taskId: TaskId): Promise<{ readonly handle: SandboxHandle; readonly sandbox: Sandbox } | undefined>;
  /** Stops the container and records it; fine when there is none. */
  stop(task: Task, leased: LeasedWork, graceMs: number, call: Call): Promise<void>;
  /** Removes the container and records it; volumes stay. Fine when there is none. */
  remove(task: Task, leased: LeasedWork, call: Call): Promise<void>;
  /** While this work goes on in this process, no command starts the sandbox of the task again. */
  puttingAway<T>(taskId: TaskId, work: () => Promise<T>): Promise<T>;
  /** Ends whatever runs in the sandbox. @returns how many processes were ended */
  endExecutions(taskId: TaskId, call: Call): Promise<number>;
  /** Forgets a handle that proved dead. */
  forget(taskId: TaskId): void;
}

interface BroughtUp {
  readonly handle: SandboxHandle;
  readonly began: boolean;
}

const replaced =
  'its directory was replaced on the host: what ran was ended, and the sandbox started again in the new one';

export function createSandboxKeeper(kernel: Kernel, pool?: WarmPool): SandboxKeeper {
  const { deps } = kernel;
  const known = new Map<TaskId, SandboxHandle>();
  const stopping = new Set<TaskId>();
  const lookedAtMs = new Map<TaskId, number>();

  const attach = async (sandbox: Sandbox): Promise<SandboxHandle | undefined> => {
    if (sandbox.ref === null) return undefined;
    const cached = known.get(sandbox.taskId);
    if (cached?.ref === sandbox.ref) return cached;
    const handle = await deps.runtime.find(sandbox.ref);
    if (handle !== undefined) known.set(sandbox.taskId, handle);
    return handle;
  };

  const make = async (task: Task, previous: Sandbox | null, leased: LeasedWork, call: Call): Promise<SandboxHandle> => {
    const keep = await existingVolumes(kernel, previous);
    const start = await startingPoint(kernel, task, previous);
    const reason = reasonToMake(task, previous, keep, start);
    const detail = { reason };
    if (previous?.ref != null) leased.notices.push(reason);
    const made = {
      kind: 'sandbox',
      task,
      start,
      previous,
      keep,
      detail,
      ...(pool && isFresh(keep) ? { pool } : {}),
    } as const;
    const handle = await makeSandbox(kernel, made, leased, call);
    known.set(task.id, handle);
    return handle;
  };

  /** One attempt per turn: another agent of the task, or another call, may be making the sandbox just now. */
  const ensure = async (task: Task, leased: LeasedWork, call: Call): Promise<SandboxHandle> => {
    for (let attempt = 1; ; attempt += 1) {
      await awaitQuiet(kernel, task.id, ['sandbox', 'restore', 'egress'], leased.signal);
      try {
        const { handle, began } = await bringUp(task, leased, call);
        if (began) await stayUnlessDenied(task, handle);
        return handle;
      } catch (error) {
        if (attempt >= maxAttempts || !isOpencodeToolsError(error, 'OCT_VERSION_CONFLICT')) throw error;
      }
    }
  };

  /** Somebody may have begun to write into its directory after the look before the start. */
  const stayUnlessDenied = async (task: Task, handle: SandboxHandle): Promise<void> => {
    try {
      await assertNobodyWritesIn(kernel, task);
    } catch (error) {
      known.delete(task.id);
      await handle.stop(0);
      throw error;
    }
  };

  /** @returns the sandbox, running, and whether anything in it runs only now */
  const bringUp = async (task: Task, leased: LeasedWork, call: Call): Promise<BroughtUp> => {
    const sandbox = await deps.tasks.findSandbox(task.id);
    const handle = sandbox === undefined ? undefined : await attach(sandbox);
    const state = (await handle?.inspect())?.state;
    if (state !== 'running') await assertNobodyWritesIn(kernel, task);
    if (sandbox === undefined || handle === undefined || state === undefined)
      return { handle: await make(task, sandbox ?? null, leased, call), began: true };
    if (state === 'failed') {
      await handle.destroy();
      return { handle: await make(task, sandbox, leased, call), began: true };
    }
    if (state !== 'running') await awaitQuiet(kernel, task.id, ['checkpoint'], leased.signal);
    const began = await wake(handle, state, task, leased).catch(async (error: unknown) => {
      const { workspaceVolume, homeVolume } = sandbox;
      throw await explainStart(kernel, task, { workspace: workspaceVolume, home: homeVolume }, error);
    });
    if (sandbox.state !== 'running') await recordState(kernel, sandbox, 'running', leased, call);
    return { handle, began };
  };

  /** @returns whether anything in it runs only now */
  const wake = async (handle: SandboxHandle, seen: SandboxState, task: Task, leased: LeasedWork): Promise<boolean> => {
    const state = seen === 'running' ? seen : (await handle.inspect()).state;
    if (state === 'paused') await handle.unpause();
    if (state === 'paused' || state === 'running') {
      if (await mountsStand(handle, task, leased)) return state === 'paused';
      leased.notices.push(replaced);
      await handle.stop(0);
    }
    // The host may have removed the empty directory that keeps a repository from being made there.
    if (task.workspace.mode === 'bind') await deps.workspaces.guardDirectory(task.workspace.path);
    await handle.start();
    await handle.fence(await currentFence(kernel, task.id));
    if (task.workspace.mode !== 'bind' || (await handle.mountsStand())) return true;
    await handle.stop(0);
    throw new OpencodeToolsError('OCT_POLICY_DENIED', `What is mounted for ${task.id} is not what its paths name`, {
      remedy: 'Something replaced a directory while the sandbox started. Look who writes there, then try again.',
      details: { taskId: task.id },
    });
  };

  const mountsStand = async (handle: SandboxHandle, { id, workspace }: Task, { proof, signal }: LeasedWork) => {
    if (workspace.mode !== 'bind') return true;
    const access = { executionId: deps.ids.next('execution'), token: proof.token, signal };
    const stand = await handle.mountsStand(access);
    lookedAtMs.set(id, deps.clock.nowMs());
    return stand;
  };

  /** Whoever owns a bound directory may replace it at any time. */
  const isToBeLookedAt = ({ id, workspace }: Task): boolean =>
    workspace.mode === 'bind' && deps.clock.nowMs() - (lookedAtMs.get(id) ?? 0) > lookAgainMs;

  return {
    forget: (taskId) => {
      known.delete(taskId);
      lookedAtMs.delete(taskId);
    },
    find: async (taskId) => {
      const sandbox = await deps.tasks.findSandbox(taskId);
      const handle = sandbox === undefined ? undefined : await attach(sandbox);
      return sandbox === undefined || handle === undefined ? undefined : { handle, sandbox };
    },
    endExecutions: async (taskId, call) => {
      const sandbox = await deps.tasks.findSandbox(taskId);
      const handle = sandbox === undefined ? undefined : await attach(sandbox);
      if (handle === undefined) return 0;
      const state = await stateOf(handle);
      if (state === 'absent') known.delete(taskId);
      if (state === 'paused') await handle.unpause();
      if (state !== 'running' && state !== 'paused') return 0;
      // First by name: a shell whose child is ended before itself would seem to have exited.
      const inBackground = await endBackground(kernel, handle, taskId, 0, call);
      return inBackground + (await handle.endAll()).ended;
    },
    puttingAway: async (taskId, work) => {
      stopping.add(taskId);
      try {
        return await work();
      } finally {
        stopping.delete(taskId);
      }
    },
    remove: async (task, leased, call) => {
      const sandbox = await deps.tasks.findSandbox(task.id);
      if (sandbox === undefined || sandbox.ref === null) return;
      const handle = await attach(sandbox);
      known.delete(task.id);
      await handle?.destroy();
      await recordState(kernel, { ...sandbox, ...unheld, ref: null }, 'absent', leased, call);
    },
    ensureRunning: async (task, leased, call) => {
      if (stopping.has(task.id)) throw beingStopped(task);
      const sandbox = await deps.tasks.findSandbox(task.id);
      assertNotHeld(sandbox);
      const cached = known.get(task.id);
      const current = sandbox?.state === 'running' && cached !== undefined && cached.ref === sandbox.ref;
      const handle = current && !isToBeLookedAt(task) ? cached : await ensure(task, leased, call);
      if (task.sandboxSpec.network.mode === 'policy') await deps.egress.enforce(task, handle.ref);
      return handle;
    },
    stop: async (task, leased, graceMs, call) => {
      const sandbox = await deps.tasks.findSandbox(task.id);
      const handle = sandbox === undefined ? undefined : await attach(sandbox);
      if (sandbox === undefined || sandbox.ref === null) return;
      known.delete(task.id);
      const there = handle !== undefined && (await stateOf(handle)) !== 'absent';
      if (!there) return recordState(kernel, { ...sandbox, ...unheld, ref: null }, 'absent', leased, call);
      await awaitQuiet(kernel, task.id, ['checkpoint'], leased.signal);
      if ((await handle.inspect()).state === 'running') await endBackground(kernel, handle, task.id, graceMs, call);
      await handle.stop(graceMs);
      if (task.sandboxSpec.network.mode === 'policy') await deps.egress.release(task.id, handle.ref);
      await recordState(kernel, { ...sandbox, ...unheld }, 'stopped', leased, call);
    },
  };
}

/** A container that was removed behind our back is absent, whatever this process knew of it. */
async function stateOf(handle: SandboxHandle): Promise<SandboxState> {
  try {
    return (await handle.inspect()).state;
  } catch (error) {
    if (isOpencodeToolsError(error, 'OCT_SANDBOX_NOT_FOUND')) return 'absent';
    throw error;
  }
}

/** Volumes that hold work cannot be mounted into a sandbox that runs already. */
function isFresh({ workspace, home }: KeptVolumes): boolean {
  return workspace === null && home === null;
}

/** A command beside a stop must not start again what the stop ends. */
function beingStopped(task: Task): OpencodeToolsError {
  return new OpencodeToolsError('OCT_SANDBOX_NOT_FOUND', `The sandbox of ${task.id} is being stopped`, {
    details: { taskId: task.id },
  });
}

/** Records a new state of the container when it changed. */
async function recordState(
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
