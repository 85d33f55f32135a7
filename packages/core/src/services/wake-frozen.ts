import type { TaskId } from '../domain/ids.ts';
import type { OperationKind } from '../domain/operation.ts';
import type { SandboxHandle } from '../ports/sandbox-runtime.ts';
import type { Kernel } from './kernel.ts';
import { isUnderWay } from './quiet.ts';

/** Most commands are over before anybody looks. */
const firstLookMs = 2_000;
const lookEveryMs = 15_000;
/** Whoever pauses a sandbox records it right after; a second look tells that from a pause that nobody records. */
const secondLookMs = 1_000;
const pausing: readonly OperationKind[] = ['checkpoint', 'sandbox', 'restore', 'egress', 'deletion'];

/**
 * Does work that waits for a sandbox, and lets the sandbox go on when somebody froze it past the registry (`docker pause`), which
 * would hold the work up for good. A pause of ours, by a checkpoint or a verb, stays.
 *
 * @param onWoken called once, when it is let go on
 */
export async function wakingFrozen<T>(
  kernel: Kernel,
  handle: SandboxHandle,
  taskId: TaskId,
  work: () => Promise<T>,
  onWoken: () => void = () => undefined,
): Promise<T> {
  const watch: Watch = { over: false, told: false, timer: undefined };
  const looking = { kernel, handle, taskId, onWoken };
  lookIn(looking, watch, firstLookMs, 'first');
  try {
    return await work();
  } finally {
    watch.over = true;
    clearTimeout(watch.timer);
  }
}

interface Watch {
  over: boolean;
  told: boolean;
  timer: ReturnType<typeof setTimeout> | undefined;
}

interface Looking {
  readonly kernel: Kernel;
  readonly handle: SandboxHandle;
  readonly taskId: TaskId;
  readonly onWoken: () => void;
}

function lookIn(looking: Looking, watch: Watch, delayMs: number, which: 'first' | 'second'): void {
  if (watch.over) return;
  watch.timer = setTimeout(() => {
    void look(looking, watch, which).catch(() => lookIn(looking, watch, lookEveryMs, 'first'));
  }, delayMs);
  (watch.timer as { unref?: () => void }).unref?.();
}

async function look(looking: Looking, watch: Watch, which: 'first' | 'second'): Promise<void> {
  const frozen = await isFrozenByOthers(looking);
  if (frozen && which === 'first') return lookIn(looking, watch, secondLookMs, 'second');
  if (frozen && !watch.over) {
    // Said first: the work may be over before the engine has answered.
    if (!watch.told) looking.onWoken();
    watch.told = true;
    await looking.handle.unpause();
  }
  lookIn(looking, watch, lookEveryMs, 'first');
}

async function isFrozenByOthers({ kernel, handle, taskId }: Looking): Promise<boolean> {
  // First the engine: a pause of ours is recorded as under way from before its beginning until after its end.
  if ((await handle.inspect()).state !== 'paused') return false;
  if (await isUnderWay(kernel, taskId, pausing)) return false;
  const sandbox = await kernel.deps.tasks.findSandbox(taskId);
  return sandbox?.state === 'running' && sandbox.ref === handle.ref;
}
