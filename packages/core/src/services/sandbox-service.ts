import type { TaskId } from '../domain/ids.ts';
import type { Sandbox } from '../domain/sandbox.ts';
import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';
import { changeSandbox } from './change-sandbox.ts';
import type { Kernel } from './kernel.ts';
import { answerLimits, requestLimits } from './limit-requests.ts';
import { holdSandbox, releaseSandbox } from './pause-sandbox.ts';
import { awaitQuiet } from './quiet.ts';
import { recoverTask } from './recovery.ts';
import type { SandboxKeeper } from './sandbox-keeper.ts';
import type { Call, SandboxService, UnderSession } from './services.ts';
import { takeCheckpoint } from './take-checkpoint.ts';
import { integerBetween } from './validate.ts';
import { type LeasedWork, withLease } from './with-lease.ts';

const defaultGraceMs = 2_000;

export function createSandboxService(kernel: Kernel, keeper: SandboxKeeper): SandboxService {
  const { tasks } = kernel.deps;
  const leased = async <T>(
    id: TaskId,
    { sessionId }: UnderSession,
    call: Call,
    work: (leased: LeasedWork) => Promise<T>,
  ): Promise<T> => withLease(kernel, await tasks.getTask(id), { sessionId, sandbox: true }, call, work);
  const find = async (id: TaskId): Promise<Sandbox | null> => (await tasks.findSandbox(id)) ?? null;
  const present = async (id: TaskId): Promise<Sandbox> => (await find(id)) ?? absent(id);
  const start = async (id: TaskId, lease: LeasedWork, call: Call): Promise<Sandbox> => {
    await releaseSandbox(kernel, keeper, id, call);
    await keeper.ensureRunning(await tasks.getTask(id), lease, call);
    return present(id);
  };
  const stop = async (id: TaskId, graceMs: number, lease: LeasedWork, call: Call): Promise<void> => {
    const task = await tasks.getTask(id);
    await keeper.puttingAway(id, () => keeper.stop(task, lease, graceMs, call));
    await recoverTask(kernel, lease.proof, call);
  };
  const grace = ({ graceMs }: { readonly graceMs?: number }): number =>
    integerBetween('graceMs', graceMs ?? defaultGraceMs, 0, 60_000);
  return {
    start: (id, options, call) => leased(id, options, call, (lease) => start(id, lease, call)),
    stop: (id, options, call) =>
      leased(id, options, call, async (lease) => {
        await stop(id, grace(options), lease, call);
        return find(id);
      }),
    restart: (id, options, call) =>
      leased(id, options, call, async (lease) => {
        await stop(id, grace(options), lease, call);
        return start(id, lease, call);
      }),
    pause: (id, call) => holdSandbox(kernel, keeper, id, null, call),
    unpause: async (id, call) => (await releaseSandbox(kernel, keeper, id, call)) ?? absent(id),
    destroy: (id, options, call) =>
      leased(id, options, call, async (lease) => {
        await destroySandbox(kernel, keeper, id, lease, call);
        return find(id);
      }),
    update: (id, settings, options, call) => changeSandbox(kernel, keeper, id, settings, options, call),
    requestLimits: (id, request, call) => requestLimits(kernel, id, request, call),
    answerLimits: (id, answer, call) => answerLimits(kernel, keeper, id, answer, call),
  };
}

/** Saves what exists only in the container, then removes it. Fine when there is none. */
export async function destroySandbox(
  kernel: Kernel,
  keeper: SandboxKeeper,
  id: TaskId,
  leased: LeasedWork,
  call: Call,
): Promise<void> {
  const sandbox = await kernel.deps.tasks.findSandbox(id);
  if (sandbox === undefined || sandbox.ref === null) return;
  await keeper.puttingAway(id, async () => {
    const reason = 'before the container was removed';
    const input = { taskId: id, name: `before generation ${sandbox.generation + 1}`, reason, onlyIfChanged: true };
    if ((await keeper.find(id)) !== undefined) await takeCheckpoint(kernel, keeper, input, leased, call);
    await awaitQuiet(kernel, id, ['checkpoint'], leased.signal);
    await keeper.remove(await kernel.deps.tasks.getTask(id), leased, call);
  });
  await recoverTask(kernel, leased.proof, call);
}

function absent(id: TaskId): never {
  throw new OpencodeToolsError('OCT_SANDBOX_NOT_FOUND', `Task ${id} has no sandbox yet`, {
    remedy: 'Run a command in the task, or start its sandbox.',
    details: { taskId: id },
  });
}
