import type { Execution, ToldTripwires } from '../domain/execution.ts';
import type { OperationId } from '../domain/ids.ts';
import type { Operation } from '../domain/operation.ts';
import type { LeaseProof } from '../domain/session.ts';
import type { Task } from '../domain/task.ts';
import { asOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { RecordDraft } from '../ledger/ledger-record.ts';
import { type Kernel, draft } from './kernel.ts';
import type { Call } from './services.ts';

/** So many tripwires are told of those that were found. */
const mostTold = 50;

/** Notes a bind workspace before a command runs. Its files are on the host at once, so what it changes is told at its end. */
export async function noteWorkspace(
  kernel: Kernel,
  { workspace }: Task,
  operationId: OperationId,
  options: { readonly durable: boolean },
): Promise<void> {
  if (workspace.mode !== 'bind') return;
  try {
    await kernel.deps.directories.note(operationId, workspace.path, options);
  } catch (error) {
    kernel.deps.logger.warn('A workspace is not watched for tripwires', { operationId, error: String(error) });
  }
}

/** What a command changed that would run on the host or steer who works there; undefined for nothing, and for a volume. */
export async function tripwiresOf(
  kernel: Kernel,
  { workspace }: Pick<Task, 'workspace'>,
  operationId: OperationId,
): Promise<ToldTripwires | undefined> {
  if (workspace.mode !== 'bind') return undefined;
  try {
    const found = await kernel.deps.directories.compare(operationId);
    if (found === null) return unchecked('What the workspace was before is not known');
    if (found.length === 0) return undefined;
    const listed = found.slice(0, mostTold).map((tripwire) => ({ ...tripwire, path: tripwire.path.toWellFormed() }));
    return { checked: true, reason: null, found: listed, total: found.length };
  } catch (error) {
    return unchecked(asOpencodeToolsError(error).message);
  }
}

function unchecked(reason: string): ToldTripwires {
  return { checked: false, reason, found: [], total: 0 };
}

/** The record of what a command tripped, beside that of its end; none when it tripped nothing. */
export function trippedRecords(
  { id: executionId, taskId: stream, sessionId, operationId, tripwires }: Execution,
  proof: LeaseProof | null,
  call: Call,
): readonly RecordDraft[] {
  if (tripwires === undefined || tripwires.total === 0) return [];
  const listed = tripwires.found.map(({ path, rule }) => ({ path, rule }));
  const detail = { executionId, sessionId, tripwires: listed, total: tripwires.total };
  return [draft({ stream, type: 'work.tripped', call, proof, operationId, detail })];
}

/** Forgets what was noted. Never fails: what is left goes by itself after a month. */
export async function forgetWorkspace(kernel: Kernel, { taskId, id: operationId }: Operation): Promise<void> {
  try {
    const task = await kernel.deps.tasks.findTask(taskId);
    if (task?.workspace.mode === 'bind') await kernel.deps.directories.forget(operationId);
  } catch (error) {
    kernel.deps.logger.debug('A note of a workspace was not removed', { operationId, error: String(error) });
  }
}
