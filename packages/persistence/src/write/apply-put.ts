import type { Claim, Decision, Message, Note, Put, Sandbox, Todo } from '@opencode-tools/core';
import { type Plan, type Statement, changedRows, firstRow, later } from '../query/plan.ts';
import { template } from '../query/template.ts';
import { fromRow, toRow } from '../rows/entity-rows.ts';
import { selectSandbox } from '../stores/task-rows.ts';
import { toLeaseRow } from '../rows/lease-row.ts';
import { putReceipt, putTask, versionConflict } from './put-task.ts';
import { insertStatement, replaceVersionStatement, upsertStatement } from './row-writer.ts';
import { writeSearchDocument } from './search-document.ts';
import type { CountChanges } from './task-counts.ts';

type Writers = {
  readonly [P in Put as P['noun']]: (value: P['value'], counts: CountChanges) => Plan<void>;
};

/** Writes one row as a record's put says. */
export function applyPut(put: Put, counts: CountChanges): Plan<void> {
  const write = writers[put.noun] as (value: Put['value'], into: CountChanges) => Plan<void>;
  return write(put.value, counts);
}

function* putDecision(decision: Decision): Plan<void> {
  yield* later(upsertDecision(toRow.decisions(decision)));
  yield* writeSearchDocument({ noun: 'decision', value: decision });
}

function* putTodo(todo: Todo): Plan<void> {
  const row = toRow.todos(todo);
  const written = yield* changedRows(
    todo.version === 1 ? insertTodo(row) : updateTodo({ ...row, previous: todo.version - 1 }),
  );
  if (written === 0)
    throw versionConflict('todo', todo.id, todo.version, (yield* firstRow(selectTodo({ id: todo.id })))?.version);
  yield* writeSearchDocument({ noun: 'todo', value: todo });
}

function* putNote(note: Note): Plan<void> {
  const row = toRow.notes(note);
  const written = yield* changedRows(
    note.version === 1 ? insertNote(row) : updateNote({ ...row, previous: note.version - 1 }),
  );
  if (written === 0)
    throw versionConflict('note', note.id, note.version, (yield* firstRow(selectNote({ id: note.id })))?.version);
  yield* writeSearchDocument({ noun: 'note', value: note });
}

function* putMessage(message: Message): Plan<void> {
  yield* later(upsertMessage(toRow.messages(message)));
  yield* writeSearchDocument({ noun: 'message', value: message });
}

function* putClaim(claim: Claim): Plan<void> {
  const row = toRow.claims(claim);
  const written = yield* changedRows(
    claim.version === 1 ? insertClaim(row) : updateClaim({ ...row, previous: claim.version - 1 }),
  );
  if (written === 0) throw versionConflict('claim', claim.id, claim.version, undefined);
}

/** Sandboxes of a task follow each other: a row of an older one, or of another of the same generation, is stale. */
function* putSandbox(sandbox: Sandbox): Plan<void> {
  const row = yield* firstRow(selectSandbox({ taskId: sandbox.taskId }));
  const current = row === undefined ? undefined : fromRow<Sandbox>(row);
  const same = current?.generation === sandbox.generation && current.operationId === sandbox.operationId;
  if (current !== undefined && !same && current.generation >= sandbox.generation) {
    throw versionConflict('sandbox', sandbox.taskId, sandbox.generation, current.generation);
  }
  yield* later(upsertSandbox(toRow.sandboxes(sandbox)));
}

const insertTodo = insertStatement('todos', ['id', 'task_id', 'state', 'created_at', 'version', 'entity']);
const updateTodo = replaceVersionStatement('todos', ['state', 'version', 'entity']);
const insertNote = insertStatement('notes', ['id', 'task_id', 'created_at', 'version', 'entity']);
const updateNote = replaceVersionStatement('notes', ['version', 'entity']);
const insertClaim = insertStatement('claims', [
  'id',
  'task_id',
  'session_id',
  'state',
  'claimed_at',
  'version',
  'entity',
]);
const updateClaim = replaceVersionStatement('claims', ['state', 'version', 'entity']);
const selectTodo = template<{ id: string }>()(({ db }, slot) =>
  db.selectFrom('todos').select('version').where('id', '=', slot('id')),
);
const selectNote = template<{ id: string }>()(({ db }, slot) =>
  db.selectFrom('notes').select('version').where('id', '=', slot('id')),
);

const upsertDecision = upsertStatement('decisions', {
  fixed: ['id', 'task_id', 'created_at'],
  changing: ['entity'],
});
const upsertMessage = upsertStatement('messages', {
  fixed: ['id', 'task_id', 'created_at'],
  changing: ['entity'],
});
const upsertSandbox = upsertStatement('sandboxes', {
  fixed: ['task_id'],
  changing: ['state', 'ref', 'entity'],
});
const upsertExecution = upsertStatement('executions', {
  fixed: ['id', 'task_id', 'started_at'],
  changing: ['state', 'entity'],
});
const upsertCheckpoint = upsertStatement('checkpoints', {
  fixed: ['id', 'task_id', 'short_id', 'created_at'],
  changing: ['name', 'entity'],
});
const deleteCheckpoint = template<{ id: string }>()(({ db }, slot) =>
  db.deleteFrom('checkpoints').where('id', '=', slot('id')),
);
const upsertOperation = upsertStatement('operations', {
  fixed: ['id', 'task_id', 'kind', 'started_at'],
  changing: ['state', 'entity'],
});
const upsertSession = upsertStatement('sessions', {
  fixed: ['id', 'task_id', 'lease_id', 'agent', 'attached_at'],
  changing: ['state', 'entity'],
});
const upsertLease = upsertStatement('leases', {
  fixed: ['id', 'task_id', 'session_id', 'mode', 'token', 'acquired_at_ms'],
  changing: ['state', 'ttl_ms', 'renewed_at_ms', 'expires_at_ms', 'ended_at_ms'],
});

const writers: Writers = {
  task: putTask,
  receipt: putReceipt,
  todo: putTodo,
  note: putNote,
  decision: putDecision,
  session: (value) => one(upsertSession(toRow.sessions(value))),
  lease: (value) => one(upsertLease(toLeaseRow(value))),
  claim: putClaim,
  sandbox: putSandbox,
  execution: (value) => one(upsertExecution(toRow.executions(value))),
  message: putMessage,
  checkpoint: (value) => one(upsertCheckpoint(toRow.checkpoints(value))),
  checkpointRemoval: ({ id }) => one(deleteCheckpoint({ id })),
  operation: (value) => one(upsertOperation(toRow.operations(value))),
};

function one(statement: Statement<unknown>): Plan<void> {
  return later(statement);
}
