import type { TaskId } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import type { Sandbox } from '../domain/sandbox.ts';
import { OpencodeToolsError, isOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { RecordType } from '../ledger/ledger-record.ts';
import { type Kernel, draft } from './kernel.ts';
import { awaitQuiet } from './quiet.ts';
import type { SandboxKeeper } from './sandbox-keeper.ts';
import type { Call } from './services.ts';

/** What a sandbox in which nothing runs any more is. */
export const unheld = { hold: null, pressure: null } as const;

/**
 * Freezes what runs in a sandbox and records it. It is done beside whoever holds the task, because a frozen process loses nothing.
 *
 * @param hold why commands are refused meanwhile; null lets the next command unpause it
 * @throws OpencodeToolsError `OCT_SANDBOX_NOT_FOUND` when no sandbox runs
 */
export async function holdSandbox(
  kernel: Kernel,
  keeper: SandboxKeeper,
  id: TaskId,
  hold: string | null,
  call: Call,
): Promise<Sandbox> {
  await awaitQuiet(kernel, id, ['checkpoint', 'sandbox', 'restore'], call.signal);
  const { epoch } = kernel.deps.tasks;
  const found = await keeper.find(id);
  const state = found === undefined ? 'absent' : (await found.handle.inspect()).state;
  if (found === undefined || (state !== 'running' && state !== 'paused')) throw notRunning(id);
  await found.handle.pause();
  if (found.sandbox.state === 'paused' && (found.sandbox.hold ?? null) === hold) return found.sandbox;
  const detail = hold === null ? {} : { hold };
  return record(kernel, epoch, { ...found.sandbox, state: 'paused', hold }, 'sandbox.paused', detail, call);
}

/**
 * Lets a paused or held sandbox go on; one that is neither stays as it is. Undefined when there is none. What it was held for is
 * remembered, so that the monitor holds it again only after use has fallen and risen once more.
 */
export async function releaseSandbox(
  kernel: Kernel,
  keeper: SandboxKeeper,
  id: TaskId,
  call: Call,
): Promise<Sandbox | undefined> {
  await awaitQuiet(kernel, id, ['checkpoint', 'sandbox', 'restore'], call.signal);
  const { epoch } = kernel.deps.tasks;
  const sandbox = await kernel.deps.tasks.findSandbox(id);
  if (sandbox === undefined) return undefined;
  const recorded = sandbox.state === 'paused' || sandbox.hold != null;
  if (!recorded && sandbox.state !== 'running') return sandbox;
  const found = await keeper.find(id);
  const state = found === undefined ? 'absent' : (await found.handle.inspect()).state;
  if (state === 'paused') await found?.handle.unpause();
  if (!recorded) return sandbox;
  const now = state === 'paused' ? 'running' : state;
  return record(kernel, epoch, { ...sandbox, state: now, hold: null }, 'sandbox.unpaused', {}, call);
}

/** Records that a held sandbox is held no longer, because all that runs in it is about to be ended. One of which an operation is open stays held. */
export async function endHold(kernel: Kernel, sandbox: Sandbox, call: Call): Promise<void> {
  if (sandbox.hold == null) return;
  const value = { ...sandbox, ...unheld, state: 'running' } as const;
  try {
    await record(kernel, kernel.deps.tasks.epoch, value, 'sandbox.unpaused', {}, call);
  } catch (error) {
    if (!isOpencodeToolsError(error, 'OCT_VERSION_CONFLICT')) throw error;
  }
}

async function record(
  kernel: Kernel,
  epoch: number,
  sandbox: Sandbox,
  type: RecordType,
  detail: JsonObject,
  call: Call,
): Promise<Sandbox> {
  const value = { ...sandbox, updatedAt: kernel.now() };
  const { taskId } = sandbox;
  const puts = [{ noun: 'sandbox', value }] as const;
  await kernel.commit({
    epoch,
    guard: { noOpenOperation: { taskId, kinds: ['sandbox', 'restore', 'deletion'] } },
    records: [draft({ stream: taskId, type, call, puts, detail })],
  });
  return value;
}

function notRunning(id: TaskId): OpencodeToolsError {
  return new OpencodeToolsError('OCT_SANDBOX_NOT_FOUND', `The sandbox of ${id} does not run`, {
    remedy: 'Nothing has to be paused then; a command starts it.',
    details: { taskId: id },
  });
}

/** What a command is told that a held sandbox refuses. */
export function assertNotHeld(sandbox: Sandbox | undefined): void {
  if (sandbox?.hold == null) return;
  const { taskId, hold } = sandbox;
  throw new OpencodeToolsError('OCT_RESOURCE_LIMIT', `The sandbox of ${taskId} is held: ${hold}`, {
    remedy:
      'Have it go on as it is (`opencode-tools sandbox unpause`), end what runs in it (`opencode-tools sandbox restart`; the tool control_task_sandbox does both), or ask for higher limits (`opencode-tools sandbox request`, or the tool request_task_limits).',
    details: { taskId, limit: 'held' },
  });
}
