import { setTimeout as sleep } from 'node:timers/promises';
import { sampleActor, sampleSession } from '@opencode-tools/testkit';

const end = { reason: 'done', actor: sampleActor, correlationId: null };

export function leaseRequest(taskId) {
  const common = { mode: 'exclusive', maxAgents: 1, ttlMs: 60_000, takeover: false, actor: sampleActor };
  return { session: sampleSession(taskId), correlationId: null, ...common };
}

export async function release(leases, { id: leaseId, taskId, sessionId, token }) {
  await leases.release({ taskId, sessionId, leaseId, token }, end);
}

/** Takes part in the line for a task: waits, holds, lets go, and again. Gives when each lease came and went. */
export async function standInLine(store, taskId, { turns, holdMs }) {
  const now = () => performance.timeOrigin + performance.now();
  const held = [];
  for (let turn = 0; turn < turns; turn += 1) {
    const { lease } = await store.leases.acquireInTurn(leaseRequest(taskId), { waitMs: 600_000 });
    const from = now();
    await sleep(holdMs);
    await release(store.leases, lease);
    held.push({ token: lease.token, from, to: now() });
  }
  return held;
}

/** Hand-over times: from the release as the one saw it to the lease as the next saw it. The order is a matter of the tests. */
export function handOvers(held) {
  const inOrder = held.toSorted((a, b) => a.token - b.token);
  const gaps = inOrder.slice(1).map((lease, index) => lease.from - inOrder[index].to);
  const sorted = gaps.toSorted((a, b) => a - b);
  const at = (share) => Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] * 10) / 10;
  return { 'hand-overs': gaps.length, 'p50 ms': at(0.5), 'p99 ms': at(0.99), 'worst ms': at(1) };
}
