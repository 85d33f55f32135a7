import {
  type Checkpoint,
  type Claim,
  type Decision,
  type Execution,
  type HomeId,
  type Message,
  type Note,
  type Operation,
  type PooledSandbox,
  type Receipt,
  type Sandbox,
  type Session,
  type Task,
  type Todo,
  shortId,
} from '@opencode-tools/core';
import type { Database } from '../query/database.ts';

type RowOf<T extends keyof Database> = Database[T];

/**
 * What is queried of each noun, beside the whole entity as exact JSON. The one place where a column gets its value.
 */
export const toRow = {
  tasks: (value: Task): RowOf<'tasks'> => ({
    id: value.id,
    short_id: shortId(value.id),
    title: value.title,
    status: value.status,
    created_at: value.createdAt,
    updated_at: value.updatedAt,
    parent_id: value.parentId,
    owner: value.owner,
    project: value.project,
    home_id: value.homeId,
    version: value.version,
    entity: JSON.stringify(value),
  }),
  receipts: (value: Receipt): RowOf<'receipts'> => ({
    task_id: value.taskId,
    short_id: shortId(value.taskId),
    deleted_at: value.deletedAt,
    entity: JSON.stringify(value),
  }),
  sessions: (value: Session): RowOf<'sessions'> => ({
    id: value.id,
    task_id: value.taskId,
    lease_id: value.leaseId,
    agent: value.agent,
    state: value.state,
    attached_at: value.attachedAt,
    entity: JSON.stringify(value),
  }),
  sandboxes: (value: Sandbox): RowOf<'sandboxes'> => ({
    task_id: value.taskId,
    state: value.state,
    ref: value.ref,
    entity: JSON.stringify(value),
  }),
  pooled: (homeId: HomeId, value: PooledSandbox): RowOf<'pooled_sandboxes'> => ({
    id: value.id,
    home_id: homeId,
    key: value.key,
    state: value.state,
    version: value.version,
    created_at: value.createdAt,
    entity: JSON.stringify(value),
  }),
  executions: (value: Execution): RowOf<'executions'> => ({
    id: value.id,
    task_id: value.taskId,
    state: value.state,
    started_at: value.startedAt,
    entity: JSON.stringify(value),
  }),
  decisions: (value: Decision): RowOf<'decisions'> => ({
    id: value.id,
    task_id: value.taskId,
    created_at: value.createdAt,
    entity: JSON.stringify(value),
  }),
  todos: (value: Todo): RowOf<'todos'> => ({
    id: value.id,
    task_id: value.taskId,
    state: value.state,
    created_at: value.createdAt,
    version: value.version,
    entity: JSON.stringify(value),
  }),
  notes: (value: Note): RowOf<'notes'> => ({
    id: value.id,
    task_id: value.taskId,
    created_at: value.createdAt,
    version: value.version,
    entity: JSON.stringify(value),
  }),
  claims: (value: Claim): RowOf<'claims'> => ({
    id: value.id,
    task_id: value.taskId,
    session_id: value.sessionId,
    state: value.state,
    claimed_at: value.claimedAt,
    version: value.version,
    entity: JSON.stringify(value),
  }),
  messages: (value: Message): RowOf<'messages'> => ({
    id: value.id,
    task_id: value.taskId,
    created_at: value.createdAt,
    entity: JSON.stringify(value),
  }),
  checkpoints: (value: Checkpoint): RowOf<'checkpoints'> => ({
    id: value.id,
    task_id: value.taskId,
    short_id: shortId(value.id),
    name: value.name,
    created_at: value.createdAt,
    entity: JSON.stringify(value),
  }),
  operations: (value: Operation): RowOf<'operations'> => ({
    id: value.id,
    task_id: value.taskId,
    kind: value.kind,
    state: value.state,
    started_at: value.startedAt,
    entity: JSON.stringify(value),
  }),
};

/** Reads an entity back; every column beside it is derived. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the caller knows what its query reads
export function fromRow<T>(row: { readonly entity: string }): T {
  return JSON.parse(row.entity) as T;
}
