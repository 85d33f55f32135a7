/** Tables of the registry as Kysely sees them. Times ending in `_ms` are integers, others ISO 8601 text. */
export interface Database {
  readonly meta: { id: number; schema_version: number; epoch: number; created_at: string; moved_to: string | null };
  readonly move_progress: { id: number; source: string; state: string; last_position: number };
  readonly homes: { home_id: string; created_at: string };
  readonly tasks: {
    id: string;
    short_id: string;
    title: string;
    status: string;
    created_at: string;
    updated_at: string;
    parent_id: string | null;
    owner: string | null;
    project: string | null;
    home_id: string;
    version: number;
    entity: string;
  };
  readonly receipts: { task_id: string; short_id: string; deleted_at: string; entity: string };
  readonly task_labels: { task_id: string; name: string; value: string };
  readonly task_counts: { status: string; shard: number; tasks: number };
  readonly sessions: {
    id: string;
    task_id: string;
    lease_id: string;
    agent: string;
    state: string;
    attached_at: string;
    entity: string;
  };
  readonly leases: {
    id: string;
    task_id: string;
    session_id: string;
    mode: string;
    token: number;
    state: string;
    ttl_ms: number;
    acquired_at_ms: number;
    renewed_at_ms: number;
    expires_at_ms: number;
    ended_at_ms: number | null;
  };
  readonly lease_waiters: { position: number; task_id: string; session_id: string; expires_at_ms: number };
  readonly sandboxes: { task_id: string; state: string; ref: string | null; entity: string };
  readonly pooled_sandboxes: {
    id: string;
    home_id: string;
    key: string;
    state: string;
    version: number;
    created_at: string;
    entity: string;
  };
  readonly housekeepers: { home_id: string; engine: string; holder: string; expires_at_ms: number };
  readonly executions: { id: string; task_id: string; state: string; started_at: string; entity: string };
  readonly decisions: { id: string; task_id: string; created_at: string; entity: string };
  readonly todos: { id: string; task_id: string; state: string; created_at: string; version: number; entity: string };
  readonly notes: { id: string; task_id: string; created_at: string; version: number; entity: string };
  readonly claims: {
    id: string;
    task_id: string;
    session_id: string;
    state: string;
    claimed_at: string;
    version: number;
    entity: string;
  };
  readonly messages: { id: string; task_id: string; created_at: string; entity: string };
  readonly checkpoints: {
    id: string;
    task_id: string;
    short_id: string;
    name: string;
    created_at: string;
    entity: string;
  };
  readonly operations: {
    id: string;
    task_id: string;
    kind: string;
    state: string;
    started_at: string;
    entity: string;
  };
  readonly idempotency: {
    key: string;
    verb: string;
    arguments_digest: string;
    operation_id: string | null;
    result: string | null;
    expires_at_ms: number;
  };
  readonly ledger: {
    /** Given by the database in order of insertion; the cursor of whoever follows all streams. */
    position: number;
    stream: string;
    seq: number;
    v: number;
    type: string;
    at: string;
    actor: string;
    home_id: string;
    token: number | null;
    operation_id: string | null;
    correlation_id: string | null;
    causation_id: string | null;
    payload_digest: string;
    prev_hash: string;
    hash: string;
    payload: string | null;
  };
  readonly streams: {
    stream: string;
    home_id: string;
    head_seq: number;
    head_hash: string;
    base_seq: number;
    base_hash: string;
    projected_seq: number;
    last_token: number;
  };
  readonly projection_locks: { stream: string; holder: string; expires_at_ms: number };
  readonly search_documents: { entity_id: string; task_id: string; body: string };
}

export type TableName = keyof Database;
