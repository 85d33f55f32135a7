import { OpencodeToolsError, type Receipt, type Task, type TaskStatus, assertMove } from '@opencode-tools/core';
import { type Plan, firstRow, later, together } from '../query/plan.ts';
import { template } from '../query/template.ts';
import { fromRow, toRow } from '../rows/entity-rows.ts';
import { checkCycles } from './check-cycles.ts';
import { insertStatement, replaceVersionStatement, upsertStatement } from './row-writer.ts';
import { removeSearchDocuments, writeSearchDocument } from './search-document.ts';
import type { CountChanges } from './task-counts.ts';

/** Inserts a task at version 1, else replaces exactly the version before. */
export function* putTask(task: Task, counts: CountChanges): Plan<void> {
  if (task.version === 1) yield* addTask(task);
  else yield* replaceTask(task, counts);
  if (task.version === 1) counts.add(task.id, task.status, 1);
  yield* writeSearchDocument({ noun: 'task', value: task });
}

/** Replaces a task by its tombstone; what it did stays readable. A tombstone that exists is replaced. */
export function* putReceipt(receipt: Receipt, counts: CountChanges): Plan<void> {
  const found = yield* firstRow(selectTask({ id: receipt.taskId }));
  if (found !== undefined) {
    counts.add(receipt.taskId, found.status as TaskStatus, -1);
    yield* later(deleteTask({ id: receipt.taskId }));
    yield* later(deleteLabels({ id: receipt.taskId }));
    yield* removeSearchDocuments(receipt.taskId);
  }
  yield* later(upsertReceipt(toRow.receipts(receipt)));
}

function* addTask(task: Task): Plan<void> {
  const [receipt, inserted] = yield* together([selectReceipt({ id: task.id }), insertTask(toRow.tasks(task))]);
  const deleted = (receipt?.rows.length ?? 0) > 0;
  if (deleted || inserted?.changes === 0) {
    throw new OpencodeToolsError('OCT_TASK_EXISTS', `Task ${task.id} exists${deleted ? ' and was deleted' : ''}`, {
      details: { taskId: task.id },
    });
  }
  yield* writeLabels(task);
}

function* replaceTask(task: Task, counts: CountChanges): Plan<void> {
  const found = yield* firstRow(selectTask({ id: task.id }));
  if (found === undefined || found.version !== task.version - 1)
    throw versionConflict('task', task.id, task.version, found?.version);
  const before = fromRow<Task>(found);
  if (before.status !== task.status) {
    assertMove(before.status, task.status);
    counts.add(task.id, before.status, -1);
    counts.add(task.id, task.status, 1);
  }
  yield* checkCycles(before, task);
  const [row, rowBefore] = [toRow.tasks(task), toRow.tasks(before)];
  const update = described.some((column) => row[column] !== rowBefore[column]) ? updateTask : moveTask;
  yield* later(update({ ...row, previous: task.version - 1 }));
  if (JSON.stringify(before.labels) === JSON.stringify(task.labels)) return;
  yield* later(deleteLabels({ id: task.id }));
  yield* writeLabels(task);
}

function* writeLabels(task: Task): Plan<void> {
  for (const [name, value] of Object.entries(task.labels)) {
    yield* later(insertLabel({ task_id: task.id, name, value }));
  }
}

export function versionConflict(
  noun: string,
  id: string,
  version: number,
  found: number | undefined,
): OpencodeToolsError {
  const state = found === undefined ? 'it does not exist' : `it is at version ${found}`;
  return new OpencodeToolsError(
    'OCT_VERSION_CONFLICT',
    `The ${noun} ${id} cannot become version ${version}: ${state}`,
    {
      details: { noun, id, version, found: found ?? null },
    },
  );
}

const taskColumns = [
  'id',
  'short_id',
  'title',
  'status',
  'created_at',
  'updated_at',
  'parent_id',
  'owner',
  'project',
  'home_id',
  'version',
  'entity',
] as const;

const insertTask = insertStatement('tasks', taskColumns);
const described = ['title', 'parent_id', 'owner', 'project'] as const;
const moved = ['status', 'updated_at', 'version', 'entity'] as const;
const updateTask = replaceVersionStatement('tasks', [...described, ...moved]);
const moveTask = replaceVersionStatement('tasks', moved);
const insertLabel = insertStatement('task_labels', ['task_id', 'name', 'value']);
const upsertReceipt = upsertStatement('receipts', {
  fixed: ['task_id', 'short_id'],
  changing: ['deleted_at', 'entity'],
});

const selectTask = template<{ id: string }>()(({ db, rowLocks }, slot) =>
  db
    .selectFrom('tasks')
    .select(['status', 'version', 'entity'])
    .where('id', '=', slot('id'))
    .$if(rowLocks, (query) => query.forUpdate()),
);
const selectReceipt = template<{ id: string }>()(({ db }, slot) =>
  db.selectFrom('receipts').select('task_id').where('task_id', '=', slot('id')),
);
const deleteTask = template<{ id: string }>()(({ db }, slot) => db.deleteFrom('tasks').where('id', '=', slot('id')));
const deleteLabels = template<{ id: string }>()(({ db }, slot) =>
  db.deleteFrom('task_labels').where('task_id', '=', slot('id')),
);
