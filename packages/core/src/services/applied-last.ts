import { type CheckpointId, isId } from '../domain/ids.ts';
import type { Task } from '../domain/task.ts';
import { isOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { RecordPayload, StoredRecord } from '../ledger/ledger-record.ts';
import type { Call } from './call.ts';
import type { Kernel } from './kernel.ts';

const pageOfRecords = 100;

/**
 * The snapshot that was applied to a directory last: what it left there is no change of the user's. Null when none was, or when it is not
 * known any more. One that was applied before it does not count: that its content is there again was somebody's decision.
 *
 * @param directory real path
 */
export async function appliedLast({ deps }: Kernel, task: Task, directory: string, call: Call): Promise<string | null> {
  const asked = { types: ['work.completed'], newestFirst: true, limit: pageOfRecords } as const;
  let records = await deps.ledger.read(task.id, asked);
  for (
    ;
    records.length > 0;
    records = await deps.ledger.read(task.id, { ...asked, beforeSeq: records.at(-1)?.seq ?? 0 })
  ) {
    const id = records.map((record) => appliedBy(record, directory)).find((found) => found !== undefined);
    if (id === undefined) continue;
    const workspace = (await deps.checkpoints.find(id))?.workspace;
    if (workspace == null) return null;
    return deps.workspaces.contentOf(workspace.id, call).catch((error: unknown) => {
      if (!isOpencodeToolsError(error)) throw error;
      deps.logger.debug('What was applied last is not known any more', { checkpoint: id, error: error.message });
      return null;
    });
  }
  return null;
}

function appliedBy({ payload }: StoredRecord, directory: string): CheckpointId | undefined {
  if (payload === null) return undefined;
  for (const put of (JSON.parse(payload) as RecordPayload).puts) {
    if (put.noun !== 'operation') continue;
    const { directory: to, checkpointId: id } = put.value.intent;
    if (to === directory && typeof id === 'string' && isId('checkpoint', id)) return id;
  }
  return undefined;
}
