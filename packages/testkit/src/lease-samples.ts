import type { AcquireLease, Lease, LeaseProof, TaskId } from '@opencode-tools/core';
import { sampleActor, sampleSession } from './registry-samples.ts';

/** What the contracts about leases ask for. */
export const leaseTtlMs = 60_000;
export const leaseEnd = { reason: 'done', actor: sampleActor, correlationId: null };

export function leaseRequest(taskId: TaskId, change: Partial<AcquireLease> = {}): AcquireLease {
  const common = { actor: sampleActor, correlationId: null, takeover: false };
  return {
    session: sampleSession(taskId),
    mode: 'exclusive',
    maxAgents: 1,
    ttlMs: leaseTtlMs,
    ...common,
    ...change,
  };
}

export function leaseProof({ taskId, sessionId, id: leaseId, token }: Lease): LeaseProof {
  return { taskId, sessionId, leaseId, token };
}
