import type { TaskId } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import type { Sandbox } from '../domain/sandbox.ts';
import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { RecordType } from '../ledger/ledger-record.ts';
import { type Kernel, draft } from './kernel.ts';
import { awaitQuiet } from './quiet.ts';
import type { SandboxKeeper } from './sandbox-keeper.ts';
import type { Call } from './services.ts';

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

/** Lets a paused or held sandbox go on; one that is neither stays as it is. Undefined when there is none. */
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
  return record(kernel, epoch, { ...sandbox, state: now, hold: null, pressure: null }, 'sandbox.unpaused', {}, call);
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
      'Ask for higher limits (`opencode-tools sandbox request`, or the tool request_task_limits), or have it go on as it is: `opencode-tools sandbox unpause`.',
    details: { taskId, limit: 'held' },
  });
}
