import type { Note, Todo } from '../domain/journal.ts';
import type { TaskId } from '../domain/ids.ts';
import type { RecordPayload } from '../ledger/ledger-record.ts';
import type { Put } from '../ledger/put.ts';
import type { Ledger } from '../ports/ledger.ts';

const pageSize = 500;

interface SharedValues {
  readonly todo: Todo;
  readonly note: Note;
}

/** Which todo or note of a task, at which version. */
export interface WantedVersion<N extends keyof SharedValues> {
  readonly noun: N;
  readonly id: string;
  readonly version: number;
}

/**
 * Finds a todo or note as it was at a version, from the end of the ledger on: no more is read than was written since.
 *
 * @returns undefined when that part of the ledger was pruned or erased
 */
export async function versionInLedger<N extends keyof SharedValues>(
  ledger: Pick<Ledger, 'read'>,
  taskId: TaskId,
  wanted: WantedVersion<N>,
): Promise<SharedValues[N] | undefined> {
  const types = [`${wanted.noun}.added`, `${wanted.noun}.changed`];
  for (let before = {}; ;) {
    const page = await ledger.read(taskId, { types, newestFirst: true, limit: pageSize, ...before });
    for (const { payload } of page) {
      const found = payload?.includes(wanted.id) === true ? valueIn(payload, wanted) : undefined;
      if (found === undefined || found.version > wanted.version) continue;
      return found.version === wanted.version ? found : undefined;
    }
    const last = page.at(-1);
    if (last === undefined || page.length < pageSize) return undefined;
    before = { beforeSeq: last.seq };
  }
}

function valueIn<N extends keyof SharedValues>(
  payload: string,
  { noun, id }: WantedVersion<N>,
): SharedValues[N] | undefined {
  const isWanted = (put: Put): boolean => put.noun === noun && put.value.id === id;
  return (JSON.parse(payload) as RecordPayload).puts.find(isWanted)?.value as SharedValues[N] | undefined;
}
