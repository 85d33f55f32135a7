import type { Execution } from '../domain/execution.ts';
import type { SessionId } from '../domain/ids.ts';
import type { RecordPayload, StoredRecord } from '../ledger/ledger-record.ts';
import type { Kernel } from './kernel.ts';

const pageSize = 500;

/**
 * Sessions of others whose executions ran at some time of this one: those that run still, and those of which the ledger has
 * a record since it was asked for. However many there were before, no more is read than happened meanwhile.
 */
export async function sessionsAlongside(kernel: Kernel, execution: Execution): Promise<ReadonlySet<SessionId>> {
  const sessions = new Set<SessionId>();
  for (const { kind, proof } of await kernel.deps.tasks.listOpenOperations(execution.taskId)) {
    if (kind === 'execution' && proof !== null) sessions.add(proof.sessionId);
  }
  for await (const record of recordsSince(kernel, execution)) {
    for (const other of executionsIn(record)) {
      if (other.endedAt === null || other.endedAt >= execution.startedAt) sessions.add(other.sessionId);
    }
  }
  sessions.delete(execution.sessionId);
  return sessions;
}

/** Records of executions, newest first, back to the request of this one and to when it was begun to be prepared. */
async function* recordsSince({ deps }: Kernel, execution: Execution): AsyncGenerator<StoredRecord> {
  let asked = false;
  for (let before = {}; ;) {
    const options = { types: ['execution.'], newestFirst: true, limit: pageSize, ...before };
    const page = await deps.ledger.read(execution.taskId, options);
    for (const record of page) {
      if (asked && record.at < execution.startedAt) return;
      asked ||= record.type === 'execution.requested' && record.operationId === execution.operationId;
      yield record;
    }
    const last = page.at(-1);
    if (last === undefined || page.length < pageSize) return;
    before = { beforeSeq: last.seq };
  }
}

function executionsIn({ payload }: StoredRecord): readonly Execution[] {
  if (payload === null) return [];
  return (JSON.parse(payload) as RecordPayload).puts.flatMap((put) => (put.noun === 'execution' ? [put.value] : []));
}
