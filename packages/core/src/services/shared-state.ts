import { asJson } from '../domain/json.ts';
import type { JsonObject } from '../domain/json.ts';
import type { Note, Todo } from '../domain/journal.ts';
import type { Task } from '../domain/task.ts';
import { OpencodeToolsError, isOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { Put } from '../ledger/put.ts';
import type { IdempotencyKey } from './idempotent.ts';
import { type Kernel, draft, leaseGuard } from './kernel.ts';
import { type FieldMerge, mergeFields } from './merge-fields.ts';
import type { Call } from './services.ts';
import { invalid } from './validate.ts';
import { versionInLedger } from './version-in-ledger.ts';
import type { LeasedWork } from './with-lease.ts';

/** Every attempt that fails means that somebody else's change landed. */
const maxAttempts = 50;

/** The rows of a task that several agents change, and the fields of each that can be set. */
interface SharedRows {
  readonly todo: { readonly value: Todo; readonly field: 'state' | 'text' | 'major' };
  readonly note: { readonly value: Note; readonly field: 'text' };
}
type SharedNoun = keyof SharedRows;

export interface SharedChange<N extends SharedNoun> {
  readonly noun: N;
  readonly id: string;
  /** Only the fields that the caller sets. */
  readonly fields: Partial<Pick<SharedRows[N]['value'], SharedRows[N]['field'] & keyof SharedRows[N]['value']>>;
  /** The version that the caller saw; without it there is nothing to conflict with. */
  readonly expectedVersion: number | undefined;
}

interface Setting<N extends SharedNoun> {
  readonly kernel: Kernel;
  readonly task: Task;
  readonly leased: LeasedWork;
  readonly key: IdempotencyKey;
  readonly call: Call;
  readonly change: SharedChange<N>;
}

/** What a change that was decided on an older version met, and what became of it. */
interface Conflict {
  readonly resolution: 'rejected' | 'merged' | 'overwritten';
  readonly merge: FieldMerge | null;
}

/**
 * Changes a todo or note. When the row has gone on since the version that the caller saw, the task's conflict strategy decides:
 * `reject` refuses, `last-write-wins` puts the fields over what is there, `merge` does so unless the other side changed one of
 * the same fields to something else. Every such conflict is recorded as `todo.conflicted` or `note.conflicted`.
 *
 * @throws OpencodeToolsError `OCT_VERSION_CONFLICT` when the strategy refuses
 */
export async function setShared<N extends SharedNoun>(setting: Setting<N>): Promise<SharedRows[N]['value']> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await attemptToSet(setting);
    } catch (error) {
      const lostRace = isOpencodeToolsError(error, 'OCT_VERSION_CONFLICT') && error.details['strategy'] === undefined;
      if (!lostRace || attempt >= maxAttempts) throw error;
    }
  }
}

async function attemptToSet<N extends SharedNoun>(setting: Setting<N>): Promise<SharedRows[N]['value']> {
  const { kernel, change, leased, call, key, task } = setting;
  const current = await findRow(setting);
  const conflict = await conflictWith(setting, current);
  const common = { stream: task.id, call, proof: leased.proof } as const;
  const guard = leaseGuard(leased.proof, true);
  if (conflict?.resolution === 'rejected') {
    await kernel.commit({ guard, records: [draft({ ...common, ...conflictRecord(setting, current, conflict) })] });
    throw refused(setting, current, conflict);
  }
  const value = { ...current, ...change.fields, version: current.version + 1, updatedAt: kernel.now() };
  const put = { noun: change.noun, value } as Put;
  await kernel.commit({
    guard,
    records: [
      draft({ ...common, type: `${change.noun}.changed`, puts: [put] }),
      ...(conflict === null ? [] : [draft({ ...common, ...conflictRecord(setting, current, conflict) })]),
    ],
    ...key.finished(asJson(value)),
  });
  return value;
}

async function findRow<N extends SharedNoun>({ kernel, task, change }: Setting<N>): Promise<SharedRows[N]['value']> {
  const { tasks } = kernel.deps;
  const rows: readonly SharedRows[SharedNoun]['value'][] =
    change.noun === 'todo' ? await tasks.listTodos(task.id) : await tasks.listNotes(task.id);
  const found = rows.find((row) => row.id === change.id);
  if (found !== undefined) return found;
  throw invalid(
    `${change.noun}Id`,
    `${change.id} is no ${change.noun} of this task`,
    `List the ${change.noun}s of the task.`,
  );
}

async function conflictWith<N extends SharedNoun>(
  setting: Setting<N>,
  current: SharedRows[N]['value'],
): Promise<Conflict | null> {
  const { change, task } = setting;
  const { expectedVersion } = change;
  if (expectedVersion === undefined || expectedVersion === current.version) return null;
  if (expectedVersion > current.version)
    throw invalid('expectedVersion', `is ${expectedVersion}`, `The ${change.noun} is at version ${current.version}.`);
  if (task.conflictStrategy === 'reject') return { resolution: 'rejected', merge: null };
  if (task.conflictStrategy === 'last-write-wins') return { resolution: 'overwritten', merge: null };
  const wanted = { noun: change.noun, id: change.id, version: expectedVersion };
  const base = await versionInLedger(setting.kernel.deps.ledger, task.id, wanted);
  if (base === undefined) return { resolution: 'rejected', merge: null };
  const merge = mergeFields(fieldsOf(change.noun, base), fieldsOf(change.noun, current), asJson(change.fields));
  return { resolution: merge.conflicting.length === 0 ? 'merged' : 'rejected', merge };
}

function fieldsOf(noun: SharedNoun, row: Todo | Note): JsonObject {
  return noun === 'todo' && 'state' in row
    ? { state: row.state, text: row.text, major: row.major }
    : { text: row.text };
}

function conflictRecord<N extends SharedNoun>(
  { task, change, leased }: Setting<N>,
  current: SharedRows[N]['value'],
  conflict: Conflict,
): { readonly type: `${N}.conflicted`; readonly detail: JsonObject } {
  return {
    type: `${change.noun}.conflicted`,
    detail: {
      id: change.id,
      strategy: task.conflictStrategy,
      resolution: conflict.resolution,
      expectedVersion: change.expectedVersion ?? null,
      version: current.version,
      sessionId: leased.session.id,
      agent: leased.session.agent,
      wanted: asJson(change.fields),
      found: fieldsOf(change.noun, current),
      conflicting: conflict.merge?.conflicting ?? Object.keys(change.fields),
      kept: conflict.merge?.kept ?? [],
    },
  };
}

function refused<N extends SharedNoun>(
  { change, task }: Setting<N>,
  current: SharedRows[N]['value'],
  { merge }: Conflict,
): OpencodeToolsError {
  const fields =
    merge === null || merge.conflicting.length === 0 ? '' : `; both changed ${merge.conflicting.join(', ')}`;
  return new OpencodeToolsError(
    'OCT_VERSION_CONFLICT',
    `${change.noun === 'todo' ? 'Todo' : 'Note'} ${change.id} is at version ${current.version}, not ${change.expectedVersion}${fields}`,
    {
      details: {
        [`${change.noun}Id`]: change.id,
        version: current.version,
        expectedVersion: change.expectedVersion ?? null,
        strategy: task.conflictStrategy,
        conflicting: merge?.conflicting ?? [],
        current: asJson(current),
      },
    },
  );
}
