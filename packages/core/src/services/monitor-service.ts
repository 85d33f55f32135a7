import type { TaskId } from '../domain/ids.ts';
import type { Sandbox } from '../domain/sandbox.ts';
import type { Task } from '../domain/task.ts';
import type { SandboxEvent, SandboxHandle } from '../ports/sandbox-runtime.ts';
import type { Kernel } from './kernel.ts';
import { automaticOf } from './automatic-checkpoint.ts';
import { actUpon, recordOutOfMemory, saveAtInterval } from './monitor-actions.ts';
import type { MonitorAction, MonitorOptions, MonitorService } from './monitor-contract.ts';
import { PressureGauge, type Thresholds, type Use, defaultThresholds, worstOf } from './pressure.ts';
import type { SandboxKeeper } from './sandbox-keeper.ts';

const defaultIntervalMs = 5_000;
/** Counting a workspace reads all its names, so it is done seldom. */
const workspaceEveryMs = 60_000;
/** An engine that went away is asked again for its events after this. */
const eventsPauseMs = 5_000;

/** What is remembered of one sandbox between rounds. */
interface Watched {
  readonly gauge: PressureGauge;
  workspace: { readonly atMs: number; readonly bytes: number } | undefined;
  /** When it was last looked whether a checkpoint is to be taken; the first interval begins when it is first seen. */
  savedAtMs: number;
}

export function createMonitorService(kernel: Kernel, keeper: SandboxKeeper): MonitorService {
  const watched = new Map<string, Watched>();
  const { thresholds = defaultThresholds, intervalMs = defaultIntervalMs } = kernel.deps.defaults.monitor ?? {};
  const round = async (options: MonitorOptions = {}): Promise<readonly MonitorAction[]> => {
    const actions: MonitorAction[] = [];
    const sandboxes = await kernel.deps.tasks.listSandboxes();
    const present = new Set(sandboxes.map(({ ref }) => ref ?? ''));
    for (const ref of watched.keys()) if (!present.has(ref)) watched.delete(ref);
    for (const sandbox of sandboxes) {
      if (sandbox.ref === null || (sandbox.state !== 'running' && sandbox.hold == null)) continue;
      const seen = watched.get(sandbox.ref) ?? {
        gauge: new PressureGauge(),
        workspace: undefined,
        savedAtMs: kernel.deps.clock.nowMs(),
      };
      watched.set(sandbox.ref, seen);
      try {
        const action = await look(kernel, keeper, { sandbox, seen, thresholds, options });
        if (action !== undefined) actions.push(action);
      } catch (error) {
        kernel.deps.logger.debug('A sandbox could not be looked at', { taskId: sandbox.taskId, error: String(error) });
      }
    }
    return actions;
  };
  return { round, start: (options = {}) => startWatch(kernel, () => round(options), intervalMs) };
}

interface Look {
  readonly sandbox: Sandbox;
  readonly seen: Watched;
  readonly thresholds: Thresholds;
  readonly options: MonitorOptions;
}

async function look(kernel: Kernel, keeper: SandboxKeeper, input: Look): Promise<MonitorAction | undefined> {
  const { sandbox, seen, thresholds, options } = input;
  const task = await kernel.deps.tasks.findTask(sandbox.taskId);
  if (task === undefined || task.homeId !== kernel.deps.homeId) return undefined;
  const found = await keeper.find(task.id);
  if (found === undefined || (await found.handle.inspect()).state !== 'running') return undefined;
  // Somebody took the task over: what ran was ended, and the container woken for it.
  if (sandbox.hold != null) await found.handle.pause();
  if (isDue(kernel, seen)) await saveAtInterval(kernel, keeper, task.id, options.keptAlive);
  const uses = await usesOf(kernel, task, found.handle, seen);
  const reading = worstOf(uses, thresholds);
  if (reading === undefined) return undefined;
  const level = seen.gauge.see(reading, sandbox.pressure?.level ?? 'normal', thresholds);
  if (level === undefined) return undefined;
  const pressure = { ...reading, level, at: kernel.now() };
  await actUpon(kernel, keeper, { task, pressure, keptAlive: options.keptAlive });
  return { taskId: task.id, pressure };
}

/** True once per interval, so that a sandbox in which nothing changes is not frozen in every round. */
function isDue(kernel: Kernel, seen: Watched): boolean {
  const { everyMs } = automaticOf(kernel);
  const nowMs = kernel.deps.clock.nowMs();
  if (everyMs === 0 || nowMs - seen.savedAtMs < everyMs) return false;
  seen.savedAtMs = nowMs;
  return true;
}

/** Also brings the limits of the container in line with those of the task, where a change was interrupted. */
async function usesOf(kernel: Kernel, task: Task, handle: SandboxHandle, seen: Watched): Promise<readonly Use[]> {
  const { limits } = task.sandboxSpec;
  const stats = await handle.stats();
  const strays =
    stats.memoryLimitBytes !== limits.memoryBytes ||
    (stats.processLimit !== null && stats.processLimit !== limits.pids);
  if (stats.memoryLimitBytes > 0 && strays) await handle.update(limits);
  const uses: Use[] = [
    { resource: 'memory', used: stats.memoryBytes, limit: limits.memoryBytes },
    { resource: 'processes', used: stats.processes, limit: limits.pids },
  ];
  const { workspaceBytes: limit } = limits;
  if (limit === undefined || task.workspace.mode === 'bind') return uses;
  const nowMs = kernel.deps.clock.nowMs();
  if (seen.workspace === undefined || nowMs - seen.workspace.atMs >= workspaceEveryMs) {
    const bytes = await handle.measure(task.workspace.path);
    if (bytes !== null) seen.workspace = { atMs: nowMs, bytes };
  }
  return seen.workspace === undefined ? uses : [...uses, { resource: 'workspace', used: seen.workspace.bytes, limit }];
}

function startWatch(kernel: Kernel, round: () => Promise<unknown>, intervalMs: number): { close(): Promise<void> } {
  const ending = new AbortController();
  const quietly = async (work: () => Promise<unknown>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      if (!ending.signal.aborted) kernel.deps.logger.warn('Watching sandboxes failed', { error: String(error) });
    }
  };
  const rounds = (async () => {
    while (await pauseFor(intervalMs, ending.signal)) await quietly(round);
  })();
  const events = (async () => {
    do await quietly(() => followEvents(kernel, ending.signal));
    while (await pauseFor(eventsPauseMs, ending.signal));
  })();
  return {
    close: async () => {
      ending.abort();
      await Promise.all([rounds, events]);
    },
  };
}

/** No engine is looked for while nothing runs. */
async function followEvents(kernel: Kernel, signal: AbortSignal): Promise<void> {
  const sandboxes = await kernel.deps.tasks.listSandboxes();
  if (!sandboxes.some(({ state }) => state === 'running')) return;
  for await (const event of kernel.deps.runtime.events({ homeId: kernel.deps.homeId, signal })) {
    if (isOutOfMemory(event)) await recordOutOfMemory(kernel, event.taskId, event.ref);
  }
}

function isOutOfMemory(event: SandboxEvent): event is SandboxEvent & { readonly taskId: TaskId } {
  return event.kind === 'out-of-memory';
}

/** False when the wait was ended. */
async function pauseFor(ms: number, signal: AbortSignal): Promise<boolean> {
  if (signal.aborted) return false;
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      resolve(false);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', end);
      resolve(true);
    }, ms);
    signal.addEventListener('abort', end, { once: true });
  });
}
