import type { Put, Todo } from '@opencode-tools/core';
import type { Note } from '@opencode-tools/core';
import { type Plan, type Statement, changedRows, firstRow } from '../query/plan.ts';
import { template } from '../query/template.ts';
import { toRow } from '../rows/entity-rows.ts';
import { toLeaseRow } from '../rows/lease-row.ts';
import { putReceipt, putTask, versionConflict } from './put-task.ts';
import { insertStatement, replaceVersionStatement, upsertStatement } from './row-writer.ts';
import { writeSearchDocument } from './search-document.ts';
import type { CountChanges } from './task-counts.ts';

/** Writes one row as a record's put says. */
export function* applyPut(put: Put, counts: CountChanges): Plan<void> {
  switch (put.noun) {
    case 'task':
      return yield* putTask(put.value, counts);
    case 'receipt':
      return yield* putReceipt(put.value, counts);
    case 'todo':
      return yield* putTodo(put.value);
    case 'note':
      return yield* putNote(put.value);
    case 'decision':
      yield upsertDecision(toRow.decisions(put.value));
      return yield* writeSearchDocument(put.value.taskId, put.value.id, put.value.what, put.value.why, ...put.value.alternatives);
    default:
      yield plainPut(put);
  }
}

type PlainPut = Exclude<Put, { readonly noun: 'task' | 'receipt' | 'todo' | 'note' | 'decision' }>;

function plainPut(put: PlainPut): Statement<unknown> {
  switch (put.noun) {
    case 'session':
      return upsertSession(toRow.sessions(put.value));
    case 'lease':
      return upsertLease(toLeaseRow(put.value));
    case 'sandbox':
      return upsertSandbox(toRow.sandboxes(put.value));
    case 'execution':
      return upsertExecution(toRow.executions(put.value));
    case 'message':
      return upsertMessage(toRow.messages(put.value));
    case 'checkpoint':
      return upsertCheckpoint(toRow.checkpoints(put.value));
    case 'operation':
      return upsertOperation(toRow.operations(put.value));
  }
}

function* putTodo(todo: Todo): Plan<void> {
  const row = toRow.todos(todo);
  const written = yield* changedRows(todo.version === 1 ? insertTodo(row) : updateTodo({ ...row, previous: todo.version - 1 }));
  if (written === 0) throw versionConflict('todo', todo.id, todo.version, (yield* firstRow(selectTodo({ id: todo.id })))?.version);
  yield* writeSearchDocument(todo.taskId, todo.id, todo.text);
}

function* putNote(note: Note): Plan<void> {
  const row = toRow.notes(note);
  const written = yield* changedRows(note.version === 1 ? insertNote(row) : updateNote({ ...row, previous: note.version - 1 }));
  if (written === 0) throw versionConflict('note', note.id, note.version, (yield* firstRow(selectNote({ id: note.id })))?.version);
  yield* writeSearchDocument(note.taskId, note.id, note.text);
}

const todoColumns = ['id', 'task_id', 'state', 'created_at', 'version', 'entity'] as const;
const noteColumns = ['id', 'task_id', 'created_at', 'version', 'entity'] as const;

const insertTodo = insertStatement('todos', todoColumns);
const updateTodo = replaceVersionStatement('todos', todoColumns);
const insertNote = insertStatement('notes', noteColumns);
const updateNote = replaceVersionStatement('notes', noteColumns);
const selectTodo = template<{ id: string }>()(({ db }, slot) =>
  db.selectFrom('todos').select('version').where('id', '=', slot('id')),
);
const selectNote = template<{ id: string }>()(({ db }, slot) =>
  db.selectFrom('notes').select('version').where('id', '=', slot('id')),
);

const upsertDecision = upsertStatement('decisions', 'id', ['id', 'task_id', 'created_at', 'entity']);
const upsertMessage = upsertStatement('messages', 'id', ['id', 'task_id', 'created_at', 'entity']);
const upsertSandbox = upsertStatement('sandboxes', 'task_id', ['task_id', 'state', 'ref', 'entity']);
const upsertExecution = upsertStatement('executions', 'id', ['id', 'task_id', 'state', 'started_at', 'entity']);
const upsertCheckpoint = upsertStatement('checkpoints', 'id', ['id', 'task_id', 'short_id', 'name', 'created_at', 'entity']);
const upsertOperation = upsertStatement('operations', 'id', ['id', 'task_id', 'kind', 'state', 'started_at', 'entity']);
const upsertSession = upsertStatement('sessions', 'id', [
  'id',
  'task_id',
  'lease_id',
  'agent',
  'state',
  'attached_at',
  'entity',
]);
const upsertLease = upsertStatement('leases', 'id', [
  'id',
  'task_id',
  'session_id',
  'mode',
  'token',
  'state',
  'ttl_ms',
  'acquired_at_ms',
  'renewed_at_ms',
  'expires_at_ms',
  'ended_at_ms',
]);
