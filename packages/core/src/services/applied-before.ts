import { type CheckpointId, isId } from '../domain/ids.ts';
import type { Task } from '../domain/task.ts';
import { isOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { RecordPayload, StoredRecord } from '../ledger/ledger-record.ts';
import type { Call } from './call.ts';
import type { Kernel } from './kernel.ts';

const mostEarlier = 4;
const mostRecords = 1_000;

/**
 * The snapshots that were applied to a directory before, newest first: the last few whose checkpoints are still there. What they left
 * in the directory is no change of the user's.
 */
export async function appliedBefore(
  { deps }: Kernel,
  task: Task,
  directory: string,
  call: Call,
): Promise<readonly string[]> {
  const records = await deps.ledger.read(task.id, { types: ['work.completed'], newestFirst: true, limit: mostRecords });
  const ids = records.flatMap((record) => appliedBy(record, directory));
  const found: string[] = [];
  for (const id of new Set(ids)) {
    if (found.length === mostEarlier) break;
    const workspace = (await deps.checkpoints.find(id))?.workspace;
    if (workspace == null) continue;
    const content = await deps.workspaces.contentOf(workspace.id, call).catch((error: unknown) => {
      if (!isOpencodeToolsError(error)) throw error;
      deps.logger.debug('What was applied before is not known any more', { checkpoint: id, error: error.message });
      return undefined;
    });
    if (content !== undefined && !found.includes(content)) found.push(content);
  }
  return found;
}

function appliedBy({ payload }: StoredRecord, directory: string): readonly CheckpointId[] {
  if (payload === null) return [];
  return (JSON.parse(payload) as RecordPayload).puts.flatMap((put) => {
    if (put.noun !== 'operation') return [];
    const { directory: to, checkpointId } = put.value.intent;
    const isOne = to === directory && typeof checkpointId === 'string' && isId('checkpoint', checkpointId);
    return isOne ? [checkpointId] : [];
  });
}
