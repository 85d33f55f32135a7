import { type Lease, toTimestamp } from '@opencode-tools/core';
import type { Database } from '../query/database.ts';

export type LeaseRow = Database['leases'];

/** A lease lives in columns alone: renewing one changes two numbers and rewrites nothing else. */
export function toLeaseRow(lease: Lease): LeaseRow {
  return {
    id: lease.id,
    task_id: lease.taskId,
    session_id: lease.sessionId,
    mode: lease.mode,
    token: lease.token,
    state: lease.state,
    ttl_ms: lease.ttlMs,
    acquired_at_ms: Date.parse(lease.acquiredAt),
    renewed_at_ms: Date.parse(lease.renewedAt),
    expires_at_ms: Date.parse(lease.expiresAt),
    ended_at_ms: lease.endedAt === null ? null : Date.parse(lease.endedAt),
  };
}

export function fromLeaseRow(row: LeaseRow): Lease {
  return {
    id: row.id as Lease['id'],
    taskId: row.task_id as Lease['taskId'],
    sessionId: row.session_id as Lease['sessionId'],
    mode: row.mode as Lease['mode'],
    token: row.token,
    state: row.state as Lease['state'],
    ttlMs: row.ttl_ms,
    acquiredAt: toTimestamp(row.acquired_at_ms),
    renewedAt: toTimestamp(row.renewed_at_ms),
    expiresAt: toTimestamp(row.expires_at_ms),
    endedAt: row.ended_at_ms === null ? null : toTimestamp(row.ended_at_ms),
  };
}
