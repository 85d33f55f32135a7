import type { Traits } from '../query/traits.ts';
import type { Migration } from './migration.ts';

export const initial: Migration = {
  version: 1,
  name: 'initial',
  statements: (traits) => [
    ...store,
    ...tasks,
    ...agents,
    ...journal,
    ...work,
    ...ledger(traits),
    ...search[traits.engine],
  ],
};

const store = [
  `create table meta (
    id bigint primary key check (id = 1),
    schema_version bigint not null,
    epoch bigint not null,
    created_at text not null
  )`,
  `create table homes (home_id text primary key, created_at text not null)`,
  `create table idempotency (
    key text primary key,
    verb text not null,
    arguments_digest text not null,
    operation_id text,
    result text,
    expires_at_ms bigint not null
  )`,
  `create index idempotency_expiry on idempotency (expires_at_ms)`,
];

const tasks = [
  `create table tasks (
    id text primary key,
    short_id text not null,
    title text not null,
    status text not null,
    created_at text not null,
    updated_at text not null,
    parent_id text,
    owner text,
    project text,
    home_id text not null,
    version bigint not null,
    entity text not null
  )`,
  `create index tasks_short_id on tasks (short_id)`,
  `create index tasks_title on tasks (title)`,
  `create index tasks_created on tasks (created_at, id)`,
  `create index tasks_updated on tasks (updated_at, id)`,
  `create index tasks_status_created on tasks (status, created_at, id)`,
  `create index tasks_status_updated on tasks (status, updated_at, id)`,
  `create index tasks_parent on tasks (parent_id, created_at, id) where parent_id is not null`,
  `create index tasks_owner on tasks (owner, created_at, id) where owner is not null`,
  `create index tasks_project on tasks (project, created_at, id) where project is not null`,
  `create table receipts (
    task_id text primary key,
    short_id text not null,
    deleted_at text not null,
    entity text not null
  )`,
  `create index receipts_short_id on receipts (short_id)`,
  `create table task_labels (
    task_id text not null,
    name text not null,
    value text not null,
    primary key (task_id, name)
  )`,
  `create index task_labels_value on task_labels (name, value, task_id)`,
  `create table task_counts (
    status text not null,
    shard bigint not null,
    tasks bigint not null,
    primary key (status, shard)
  )`,
];

const agents = [
  `create table sessions (
    id text primary key,
    task_id text not null,
    lease_id text not null,
    agent text not null,
    state text not null,
    attached_at text not null,
    entity text not null
  )`,
  `create index sessions_task on sessions (task_id, attached_at, id)`,
  `create index sessions_agent on sessions (agent, task_id)`,
  `create table leases (
    id text primary key,
    task_id text not null,
    session_id text not null,
    mode text not null,
    token bigint not null,
    state text not null,
    ttl_ms bigint not null,
    acquired_at_ms bigint not null,
    renewed_at_ms bigint not null,
    expires_at_ms bigint not null,
    ended_at_ms bigint,
    unique (task_id, token)
  )`,
  `create index leases_active on leases (task_id, token) where state in ('pending', 'held')`,
];

const journal = [
  `create table decisions (id text primary key, task_id text not null, created_at text not null, entity text not null)`,
  `create index decisions_task on decisions (task_id, created_at, id)`,
  `create table todos (
    id text primary key,
    task_id text not null,
    state text not null,
    created_at text not null,
    version bigint not null,
    entity text not null
  )`,
  `create index todos_task on todos (task_id, created_at, id)`,
  `create table notes (
    id text primary key,
    task_id text not null,
    created_at text not null,
    version bigint not null,
    entity text not null
  )`,
  `create index notes_task on notes (task_id, created_at, id)`,
  `create table messages (id text primary key, task_id text not null, created_at text not null, entity text not null)`,
  `create index messages_task on messages (task_id, created_at, id)`,
];

const work = [
  `create table sandboxes (task_id text primary key, state text not null, ref text, entity text not null)`,
  `create table executions (
    id text primary key,
    task_id text not null,
    state text not null,
    started_at text not null,
    entity text not null
  )`,
  `create index executions_task on executions (task_id, started_at, id)`,
  `create table checkpoints (
    id text primary key,
    task_id text not null,
    short_id text not null,
    name text not null,
    created_at text not null,
    entity text not null
  )`,
  `create index checkpoints_task on checkpoints (task_id, created_at, id)`,
  `create table operations (
    id text primary key,
    task_id text not null,
    kind text not null,
    state text not null,
    started_at text not null,
    entity text not null
  )`,
  `create index operations_open on operations (task_id, started_at, id) where state = 'open'`,
];

function ledger(traits: Traits): readonly string[] {
  // The transaction id lets a follower of all streams skip rows whose neighbours are not committed yet.
  const transactionId = traits.rowLocks ? 'transaction_id xid8 not null default pg_current_xact_id(),' : '';
  return [
    `create table ledger (
      position ${traits.countingKey},
      ${transactionId}
      stream text not null,
      seq bigint not null,
      v bigint not null,
      type text not null,
      at text not null,
      actor text not null,
      home_id text not null,
      token bigint,
      operation_id text,
      correlation_id text,
      causation_id text,
      payload_digest text not null,
      prev_hash text not null,
      hash text not null,
      payload text
    )`,
    `create unique index ledger_stream_seq on ledger (stream, seq)`,
    `create table streams (
      stream text primary key,
      home_id text not null,
      head_seq bigint not null,
      head_hash text not null,
      base_seq bigint not null,
      base_hash text not null,
      projected_seq bigint not null,
      last_token bigint not null
    )`,
    `create index streams_lagging on streams (home_id, stream) where head_seq > projected_seq`,
    `create table projection_locks (stream text primary key, holder text not null, expires_at_ms bigint not null)`,
  ];
}

const search = {
  sqlite: [
    `create table search_documents (
      id integer primary key,
      entity_id text not null unique,
      task_id text not null,
      body text not null
    )`,
    `create index search_documents_task on search_documents (task_id)`,
    `create virtual table search_index using fts5 (
      body, content = 'search_documents', content_rowid = 'id', detail = none, columnsize = 0,
      tokenize = 'unicode61 remove_diacritics 0'
    )`,
    `create trigger search_documents_inserted after insert on search_documents begin
      insert into search_index (rowid, body) values (new.id, new.body);
    end`,
    `create trigger search_documents_deleted after delete on search_documents begin
      insert into search_index (search_index, rowid, body) values ('delete', old.id, old.body);
    end`,
    `create trigger search_documents_updated after update on search_documents begin
      insert into search_index (search_index, rowid, body) values ('delete', old.id, old.body);
      insert into search_index (rowid, body) values (new.id, new.body);
    end`,
  ],
  postgres: [
    `create table search_documents (
      entity_id text primary key,
      task_id text not null,
      body text not null,
      terms tsvector generated always as (array_to_tsvector(string_to_array(body, ' '))) stored
    )`,
    `create index search_documents_task on search_documents (task_id)`,
    `create index search_documents_terms on search_documents using gin (terms)`,
  ],
} as const;
