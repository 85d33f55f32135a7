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

/** Whom to tell what holds the work up; each is called once. */
export interface FrozenTold {
  /** It is let go on. */
  readonly onWoken?: () => void;
  /** It is held for the reason given, and stays so. */
  readonly onHeld?: (hold: string) => void;
}

/**
 * Does work that waits for a sandbox, and lets the sandbox go on when somebody froze it past the registry (`docker pause`), which
 * would hold the work up for good. A pause of ours, by a checkpoint or a verb, stays.
 */
export async function wakingFrozen<T>(
  kernel: Kernel,
  handle: SandboxHandle,
  taskId: TaskId,
  work: () => Promise<T>,
  told: FrozenTold = {},
): Promise<T> {
  const watch: Watch = { over: false, woken: false, held: false, timer: undefined };
  const looking = { kernel, handle, taskId, told };
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
  woken: boolean;
  held: boolean;
  timer: ReturnType<typeof setTimeout> | undefined;
}

interface Looking {
  readonly kernel: Kernel;
  readonly handle: SandboxHandle;
  readonly taskId: TaskId;
  readonly told: FrozenTold;
}

function lookIn(looking: Looking, watch: Watch, delayMs: number, which: 'first' | 'second'): void {
  if (watch.over) return;
  watch.timer = setTimeout(() => {
    void look(looking, watch, which).catch(() => lookIn(looking, watch, lookEveryMs, 'first'));
  }, delayMs);
  (watch.timer as { unref?: () => void }).unref?.();
}

async function look(looking: Looking, watch: Watch, which: 'first' | 'second'): Promise<void> {
  const frozen = await howFrozen(looking);
  if (frozen === 'by others' && which === 'first') return lookIn(looking, watch, secondLookMs, 'second');
  if (frozen === 'by others' && !watch.over) {
    // Said first: the work may be over before the engine has answered.
    if (!watch.woken) looking.told.onWoken?.();
    watch.woken = true;
    await looking.handle.unpause();
  }
  if (typeof frozen === 'object' && !watch.over && !watch.held) {
    watch.held = true;
    looking.told.onHeld?.(frozen.hold);
  }
  lookIn(looking, watch, lookEveryMs, 'first');
}

async function howFrozen({ kernel, handle, taskId }: Looking): Promise<'no' | 'by others' | { readonly hold: string }> {
  // First the engine: a pause of ours is recorded as under way from before its beginning until after its end.
  if ((await handle.inspect()).state !== 'paused') return 'no';
  if (await isUnderWay(kernel, taskId, pausing)) return 'no';
  const sandbox = await kernel.deps.tasks.findSandbox(taskId);
  if (sandbox?.ref !== handle.ref) return 'no';
  if (sandbox.hold != null) return { hold: sandbox.hold };
  return sandbox.state === 'running' ? 'by others' : 'no';
}
