import {
  type AcquireLease,
  type Lease,
  type LeaseProof,
  type LeaseStore,
  type Task,
  genesisHash,
} from '@opencode-tools/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { leaseLineContract } from './lease-line-contract.ts';
import { leaseEnd, leaseProof, leaseRequest, leaseTtlMs } from './lease-samples.ts';
import type { OpenRegistry } from './open-registry.ts';
import { addRows, addTask, sampleActor, sampleIds, sampleSandbox, sampleSession } from './registry-samples.ts';

/** Says what every `LeaseStore` does. Called at the top level of a test file. */
export function leaseStoreContract(name: string, open: () => Promise<OpenRegistry>): void {
  leaseLineContract(name, open);
  describe(`${name} as a lease store`, () => {
    let registry: OpenRegistry;
    let leases: LeaseStore;
    let task: Task;
    beforeEach(async () => {
      registry = await open();
      ({ leases } = registry);
      task = await addTask(registry.tasks);
    });
    afterEach(async () => registry.close());

    const attach = (change: Partial<AcquireLease> = {}) => leases.acquire(leaseRequest(task.id, change));
    const proofOf = async (change: Partial<AcquireLease> = {}): Promise<LeaseProof> => {
      const { lease } = await attach(change);
      return leaseProof(lease);
    };
    const recordTypes = async () => (await registry.ledger.read(task.id)).map(({ type }) => type);

    test('grants a free task and records it', async () => {
      const { lease, displaced } = await attach();
      expect(lease).toMatchObject({
        taskId: task.id,
        token: 1,
        state: 'held',
        mode: 'exclusive',
        ttlMs: leaseTtlMs,
        endedAt: null,
      });
      expect(Date.parse(lease.expiresAt) - Date.parse(lease.acquiredAt)).toBe(leaseTtlMs);
      expect(displaced).toEqual([]);
      expect(await recordTypes()).toEqual(['task.created', 'lease.acquired', 'session.attached']);
      expect(await leases.listActive(task.id)).toEqual([lease]);
    });

    test('gives exactly one of many contenders an exclusive lease', async () => {
      const outcomes = await Promise.allSettled(Array.from({ length: 12 }, () => attach()));
      expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
      const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
      for (const { reason } of refused) {
        expect(reason).toMatchObject({ code: 'OCT_LEASE_HELD', details: { taskId: task.id, holder: 'build' } });
      }
      expect(await leases.listActive(task.id)).toHaveLength(1);
    });

    test('names holder and expiry when a task is held', async () => {
      const { lease } = await attach({ session: sampleSession(task.id, { agent: 'ann' }) });
      await expect(attach()).rejects.toMatchObject({
        message: expect.stringContaining('ann') as string,
        details: { holder: 'ann', sessionId: lease.sessionId, expiresAt: lease.expiresAt },
      });
    });

    test('raises the token with every lease', async () => {
      const tokens: number[] = [];
      for (let index = 0; index < 5; index += 1) {
        const proof = await proofOf({ takeover: true });
        tokens.push(proof.token);
        if (index % 2 === 0) await leases.release(proof, leaseEnd);
      }
      expect(tokens).toEqual([1, 2, 3, 4, 5]);
    });

    test('lets an expired lease be taken, and not before', async () => {
      const first = await attach();
      await registry.passTime(leaseTtlMs - 5_000);
      await expect(attach()).rejects.toMatchObject({ code: 'OCT_LEASE_HELD' });
      await registry.passTime(6_000);
      const second = await attach();
      expect(second.lease.token).toBe(2);
      expect(second.displaced).toMatchObject([{ id: first.lease.sessionId, state: 'lost' }]);
      expect(await recordTypes()).toEqual([
        'task.created',
        'lease.acquired',
        'session.attached',
        'lease.expired',
        'session.lost',
        'lease.acquired',
        'session.attached',
      ]);
    });

    test('renews past expiry as long as nobody has taken the task', async () => {
      const proof = await proofOf();
      const head = await registry.ledger.head(task.id);
      await registry.passTime(leaseTtlMs * 3);
      const renewed = await leases.renew(proof);
      expect(renewed).toMatchObject({ token: proof.token, state: 'held' });
      await expect(attach()).rejects.toMatchObject({ code: 'OCT_LEASE_HELD' });
      expect(await registry.ledger.head(task.id)).toEqual(head);
    });

    test('is granted, confirmed and renewed for less than its ttl where that is asked for, and then for all of it', async () => {
      const { lease } = await attach({ forMs: 1_500 });
      const proof = { taskId: task.id, sessionId: lease.sessionId, leaseId: lease.id, token: lease.token };
      const lasts = ({ renewedAt, expiresAt }: Lease) => Date.parse(expiresAt) - Date.parse(renewedAt);
      const short = [lease, await leases.confirm(proof, sampleActor, 1_500), await leases.renew(proof, 1_500)];
      expect(short.map(lasts)).toEqual([1_500, 1_500, 1_500]);
      await registry.passTime(1_501);
      await leases.renew(proof);
      const [active] = await leases.listActive(task.id);
      expect(active).toMatchObject({ ttlMs: leaseTtlMs });
      expect(active === undefined ? 0 : lasts(active)).toBe(leaseTtlMs);
    });

    test('a takeover ends the holder, whose renewals and proofs are then refused', async () => {
      const proof = await proofOf();
      const { displaced, lease } = await attach({ takeover: true });
      expect(displaced).toMatchObject([{ id: proof.sessionId, state: 'lost' }]);
      expect(lease.token).toBeGreaterThan(proof.token);
      await expect(leases.renew(proof)).rejects.toMatchObject({ code: 'OCT_LEASE_LOST' });
      await expect(leases.confirm(proof, sampleActor)).rejects.toMatchObject({ code: 'OCT_LEASE_LOST' });
      await expect(leases.proofOf(proof.sessionId)).rejects.toMatchObject({ code: 'OCT_LEASE_LOST' });
      await leases.release(proof, leaseEnd);
      expect(await leases.listActive(task.id)).toEqual([lease]);
    });

    describe('with a sandbox that must be fenced first', () => {
      beforeEach(async () => {
        await addRows(registry.tasks, task.id, { noun: 'sandbox', value: sampleSandbox(task.id) });
      });

      test('starts pending and is usable once confirmed, any number of times', async () => {
        const { lease } = await attach();
        expect(lease.state).toBe('pending');
        const proof = leaseProof(lease);
        const held = await leases.confirm(proof, sampleActor);
        expect(held).toMatchObject({ state: 'held', token: lease.token });
        expect(await leases.confirm(proof, sampleActor)).toEqual(held);
        expect(await leases.listActive(task.id)).toEqual([held]);
      });

      test('a pending lease keeps others out, yields to takeover and to expiry', async () => {
        const first = await attach();
        await expect(attach()).rejects.toMatchObject({ code: 'OCT_LEASE_HELD' });
        const second = await attach({ takeover: true });
        expect(second.displaced).toMatchObject([{ id: first.lease.sessionId }]);
        await registry.passTime(leaseTtlMs + 1);
        const third = await attach();
        expect(third.displaced).toMatchObject([{ id: second.lease.sessionId }]);
      });
    });

    test.each([
      ['no container', { ref: null }],
      ['an absent container', { state: 'absent' }],
    ] as const)('is usable at once with %s', async (_, change) => {
      await addRows(registry.tasks, task.id, { noun: 'sandbox', value: sampleSandbox(task.id, change) });
      expect((await attach()).lease.state).toBe('held');
    });

    test('shares a task among as many agents as it allows', async () => {
      const shared = { mode: 'collaborative', maxAgents: 3 } as const;
      const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => attach(shared)));
      expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(3);
      const active = await leases.listActive(task.id);
      expect(new Set(active.map(({ token }) => token)).size).toBe(3);
      await expect(attach()).rejects.toMatchObject({ code: 'OCT_LEASE_HELD', details: { holders: 3 } });
    });

    test('does not join a task that is held exclusively', async () => {
      await attach();
      await expect(attach({ mode: 'collaborative', maxAgents: 3 })).rejects.toMatchObject({ code: 'OCT_LEASE_HELD' });
    });

    test('releases once, and says nothing the second time', async () => {
      const proof = await proofOf();
      await leases.release(proof, leaseEnd);
      await leases.release(proof, leaseEnd);
      expect(await registry.tasks.findSession(proof.sessionId)).toMatchObject({ state: 'detached', endReason: 'done' });
      expect((await recordTypes()).slice(3)).toEqual(['lease.released', 'session.detached']);
      expect((await attach()).displaced).toEqual([]);
    });

    test('revokes every lease of a task', async () => {
      const shared = { mode: 'collaborative', maxAgents: 2 } as const;
      const sessions = [(await attach(shared)).lease.sessionId, (await attach(shared)).lease.sessionId];
      const ended = await leases.revoke(task.id, leaseEnd);
      expect(ended.map(({ id }) => id).toSorted()).toEqual(sessions.toSorted());
      expect(await leases.listActive(task.id)).toEqual([]);
      expect(await leases.revoke(task.id, leaseEnd)).toEqual([]);
    });

    test('revokes only the leases of the sessions that are named', async () => {
      const shared = { mode: 'collaborative', maxAgents: 2 } as const;
      const [first, second] = [(await attach(shared)).lease, (await attach(shared)).lease];
      const ended = await leases.revoke(task.id, leaseEnd, [first.sessionId]);
      expect(ended).toMatchObject([{ id: first.sessionId, state: 'lost', endReason: leaseEnd.reason }]);
      expect((await leases.listActive(task.id)).map(({ id }) => id)).toEqual([second.id]);
      expect(await leases.revoke(task.id, leaseEnd, [])).toEqual([]);
    });

    test('gives a session its own proof', async () => {
      const session = sampleSession(task.id);
      const { lease } = await attach({ session });
      expect(await leases.proofOf(session.id)).toEqual({
        proof: leaseProof(lease),
        lease,
        session,
      });
      await expect(leases.proofOf(sampleIds.next('session'))).rejects.toMatchObject({ code: 'OCT_SESSION_NOT_FOUND' });
    });

    test('refuses an unknown task, a used session and a time to live out of range', async () => {
      const unknown = sampleIds.next('task');
      await expect(leases.acquire(leaseRequest(unknown))).rejects.toMatchObject({ code: 'OCT_TASK_NOT_FOUND' });
      expect(await registry.ledger.head(unknown)).toEqual({ seq: 0, hash: genesisHash });
      const { lease } = await attach();
      const again = sampleSession(task.id, { id: lease.sessionId });
      await expect(attach({ session: again, takeover: true })).rejects.toMatchObject({ code: 'OCT_VERSION_CONFLICT' });
      for (const wrong of [999, 86_400_001, 1_000.5]) {
        await expect(attach({ ttlMs: wrong })).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
      }
    });

    test('leaps over the tokens that another copy of the registry gave out, for the holder of a lease alone', async () => {
      const proof = await proofOf();
      await leases.raiseTokens(proof, 5_000, sampleActor);
      expect(await leases.renew(proof)).toMatchObject({ token: proof.token, state: 'held' });
      const next = await attach({ takeover: true });
      expect(next.lease.token).toBe(5_000 + 2 ** 20 + 1);
      await expect(leases.raiseTokens(proof, 0, sampleActor)).rejects.toMatchObject({ code: 'OCT_LEASE_LOST' });
      await leases.raiseTokens(leaseProof(next.lease), 0, sampleActor);
      expect((await attach({ takeover: true })).lease.token).toBe(next.lease.token + 2 ** 20 + 1);
      expect(await recordTypes()).toContain('lease.tokens_raised');
      expect(await registry.ledger.verify(task.id)).toMatchObject({ broken: null });
    });

    test('a new epoch revokes all leases and leaps over every token', async () => {
      const proof = await proofOf();
      const before = (await registry.admin.status()).epoch;
      expect(await registry.admin.startEpoch('restored')).toBe(before + 1);
      const remedy = expect.stringContaining('Open the home again') as string;
      await expect(leases.renew(proof)).rejects.toMatchObject({ code: 'OCT_LEASE_LOST', remedy });
      await expect(leases.proofOf(proof.sessionId)).rejects.toMatchObject({ code: 'OCT_LEASE_LOST', remedy });
      expect((await attach()).lease.token).toBe(proof.token + 2 ** 20 + 1);
      const [started] = await registry.ledger.read('home', { types: ['store.epoch_started'] });
      expect(started?.payload).toContain('restored');
      expect(await registry.ledger.verify(task.id)).toMatchObject({ broken: null });
    });
  });
}
