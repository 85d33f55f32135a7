import type { Put, Task } from '@opencode-tools/core';
import { type Plan, firstRow } from '../query/plan.ts';
import type { Traits } from '../query/traits.ts';
import { toRow } from '../rows/entity-rows.ts';
import { applyPut } from '../write/apply-put.ts';
import { writeSearchDocument } from '../write/search-document.ts';
import type { CountChanges } from '../write/task-counts.ts';
import { placeholders, quoted, raw, rawPer } from './raw.ts';

/**
 * Writes a row again as a record of the past says. Where a record between is missing, since its payload was erased or the
 * chain was pruned, the newer version wins; everything else goes the way that it went the first time.
 */
export function* replayPut(traits: Traits, put: Put, counts: CountChanges): Plan<void> {
  if (put.noun === 'task') yield* replayTask(traits, put.value, counts);
  else if (put.noun === 'todo' || put.noun === 'note' || put.noun === 'claim')
    yield* replayVersion(traits, put, counts);
  else if (put.noun === 'sandbox') {
    yield raw1('delete from sandboxes where task_id = ', put.value.taskId);
    yield* applyPut(put, counts);
  } else yield* applyPut(put, counts);
}

function* replayTask(traits: Traits, task: Task, counts: CountChanges): Plan<void> {
  if (yield* firstRow(raw1<{ task_id: string }>('select task_id from receipts where task_id = ', task.id))) return;
  const found = yield* firstRow(
    raw1<{ version: number; status: Task['status'] }>('select version, status from tasks where id = ', task.id),
  );
  if (found !== undefined && found.version >= task.version) return;
  if (found !== undefined) {
    counts.add(task.id, found.status, -1);
    yield raw1('delete from tasks where id = ', task.id);
    yield raw1('delete from task_labels where task_id = ', task.id);
  }
  counts.add(task.id, task.status, 1);
  yield insert(traits, 'tasks', toRow.tasks(task));
  for (const [name, value] of Object.entries(task.labels)) {
    yield insert(traits, 'task_labels', { task_id: task.id, name, value });
  }
  yield* writeSearchDocument({ noun: 'task', value: task });
}

type Versioned = Extract<Put, { readonly noun: 'todo' | 'note' | 'claim' }>;

const tables = { todo: 'todos', note: 'notes', claim: 'claims' } as const;

function* replayVersion(traits: Traits, put: Versioned, counts: CountChanges): Plan<void> {
  const { id, version } = put.value;
  const table = tables[put.noun];
  const found = yield* firstRow(raw1<{ version: number }>(`select version from ${table} where id = `, id));
  const before = found?.version ?? 0;
  if (before >= version) return;
  if (before !== version - 1) {
    yield raw1(`delete from ${table} where id = `, id);
    yield insert(traits, table, versionedRow({ ...put, value: { ...put.value, version: version - 1 } } as Versioned));
  }
  yield* applyPut(put, counts);
}

function versionedRow(put: Versioned): Readonly<Record<string, unknown>> {
  if (put.noun === 'todo') return toRow.todos(put.value);
  return put.noun === 'note' ? toRow.notes(put.value) : toRow.claims(put.value);
}

function insert(traits: Traits, table: string, row: Readonly<Record<string, unknown>>) {
  const columns = Object.keys(row);
  const names = columns.map(quoted).join(', ');
  const text = `insert into ${table} (${names}) values (${placeholders(traits.engine, columns.length)})`;
  return raw(text, Object.values(row));
}

/** One statement with one argument at its end. */
function raw1<R = unknown>(text: string, argument: string) {
  return rawPer<R>({ sqlite: `${text}?`, postgres: `${text}$1` }, [argument]);
}
