import {
  type AcquireLease,
  type AcquiredLease,
  type LeaseProof,
  type LeaseStore,
  type LeaseWait,
  type Task,
  type TaskId,
  genesisHash,
} from '@opencode-tools/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { OpenRegistry } from './open-registry.ts';
import { addRows, addTask, sampleActor, sampleIds, sampleSandbox, sampleSession } from './registry-samples.ts';
import { until } from './until.ts';

const ttlMs = 60_000;
const end = { reason: 'done', actor: sampleActor, correlationId: null };

/** Says what every `LeaseStore` does. Called at the top level of a test file. */
export function leaseStoreContract(name: string, open: () => Promise<OpenRegistry>): void {
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

    const attach = (change: Partial<AcquireLease> = {}) => leases.acquire(request(task.id, change));
    const proofOf = async (change: Partial<AcquireLease> = {}): Promise<LeaseProof> => {
      const { lease } = await attach(change);
      return { taskId: task.id, sessionId: lease.sessionId, leaseId: lease.id, token: lease.token };
    };
    const recordTypes = async () => (await registry.ledger.read(task.id)).map(({ type }) => type);

    test('grants a free task and records it', async () => {
      const { lease, displaced } = await attach();
      expect(lease).toMatchObject({
        taskId: task.id,
        token: 1,
        state: 'held',
        mode: 'exclusive',
        ttlMs,
        endedAt: null,
      });
      expect(Date.parse(lease.expiresAt) - Date.parse(lease.acquiredAt)).toBe(ttlMs);
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
        if (index % 2 === 0) await leases.release(proof, end);
      }
      expect(tokens).toEqual([1, 2, 3, 4, 5]);
    });

    test('lets an expired lease be taken, and not before', async () => {
      const first = await attach();
      await registry.passTime(ttlMs - 5_000);
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
      await registry.passTime(ttlMs * 3);
      const renewed = await leases.renew(proof);
      expect(renewed).toMatchObject({ token: proof.token, state: 'held' });
      await expect(attach()).rejects.toMatchObject({ code: 'OCT_LEASE_HELD' });
      expect(await registry.ledger.head(task.id)).toEqual(head);
    });

    test('a takeover ends the holder, whose renewals and proofs are then refused', async () => {
      const proof = await proofOf();
      const { displaced, lease } = await attach({ takeover: true });
      expect(displaced).toMatchObject([{ id: proof.sessionId, state: 'lost' }]);
      expect(lease.token).toBeGreaterThan(proof.token);
      await expect(leases.renew(proof)).rejects.toMatchObject({ code: 'OCT_LEASE_LOST' });
      await expect(leases.confirm(proof, sampleActor)).rejects.toMatchObject({ code: 'OCT_LEASE_LOST' });
      await expect(leases.proofOf(proof.sessionId)).rejects.toMatchObject({ code: 'OCT_LEASE_LOST' });
      await leases.release(proof, end);
      expect(await leases.listActive(task.id)).toEqual([lease]);
    });

    describe('with a sandbox that must be fenced first', () => {
      beforeEach(async () => {
        await addRows(registry.tasks, task.id, { noun: 'sandbox', value: sampleSandbox(task.id) });
      });

      test('starts pending and is usable once confirmed, any number of times', async () => {
        const { lease } = await attach();
        expect(lease.state).toBe('pending');
        const proof = { taskId: task.id, sessionId: lease.sessionId, leaseId: lease.id, token: lease.token };
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
        await registry.passTime(ttlMs + 1);
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
      await leases.release(proof, end);
      await leases.release(proof, end);
      expect(await registry.tasks.findSession(proof.sessionId)).toMatchObject({ state: 'detached', endReason: 'done' });
      expect((await recordTypes()).slice(3)).toEqual(['lease.released', 'session.detached']);
      expect((await attach()).displaced).toEqual([]);
    });

    test('revokes every lease of a task', async () => {
      const shared = { mode: 'collaborative', maxAgents: 2 } as const;
      const sessions = [(await attach(shared)).lease.sessionId, (await attach(shared)).lease.sessionId];
      const ended = await leases.revoke(task.id, end);
      expect(ended.map(({ id }) => id).toSorted()).toEqual(sessions.toSorted());
      expect(await leases.listActive(task.id)).toEqual([]);
      expect(await leases.revoke(task.id, end)).toEqual([]);
    });

    test('revokes only the leases of the sessions that are named', async () => {
      const shared = { mode: 'collaborative', maxAgents: 2 } as const;
      const [first, second] = [(await attach(shared)).lease, (await attach(shared)).lease];
      const ended = await leases.revoke(task.id, end, [first.sessionId]);
      expect(ended).toMatchObject([{ id: first.sessionId, state: 'lost', endReason: end.reason }]);
      expect((await leases.listActive(task.id)).map(({ id }) => id)).toEqual([second.id]);
      expect(await leases.revoke(task.id, end, [])).toEqual([]);
    });

    describe('with agents in line', () => {
      const wait = { waitMs: 30_000 };
      const inTurn = async (agent: string, more: Partial<AcquireLease> = {}, how: LeaseWait = wait) =>
        leases.acquireInTurn(request(task.id, { session: sampleSession(task.id, { agent }), ...more }), how);
      const waiting = async () => {
        try {
          const { lease } = await leases.acquire(request(task.id));
          await leases.release(
            { taskId: task.id, sessionId: lease.sessionId, leaseId: lease.id, token: lease.token },
            end,
          );
          return 0;
        } catch (error) {
          return (error as { details?: { waiting?: number } }).details?.waiting ?? -1;
        }
      };
      const letGo = async ({ lease }: AcquiredLease) =>
        leases.release({ taskId: task.id, sessionId: lease.sessionId, leaseId: lease.id, token: lease.token }, end);

      test('grants at once what is free', async () => {
        expect((await inTurn('ann')).lease.token).toBe(1);
      });

      test('serves them in the order of arrival, with tokens that rise', async () => {
        const holder = await attach();
        const served: string[] = [];
        const tokens: number[] = [];
        const lined: Promise<void>[] = [];
        for (const [index, agent] of ['ann', 'bob', 'cid', 'dee', 'eve'].entries()) {
          lined.push(
            inTurn(agent).then(async (acquired) => {
              served.push(agent);
              tokens.push(acquired.lease.token);
              await letGo(acquired);
            }),
          );
          await until(async () => (await waiting()) === index + 1);
        }
        await letGo(holder);
        await Promise.all(lined);
        expect(served).toEqual(['ann', 'bob', 'cid', 'dee', 'eve']);
        expect(tokens).toEqual(tokens.toSorted((left, right) => left - right));
        expect(await waiting()).toBe(0);
      });

      test('lets nobody overtake, but a takeover', async () => {
        const holder = await attach();
        const ann = inTurn('ann');
        await until(async () => (await waiting()) === 1);
        await expect(attach()).rejects.toMatchObject({ code: 'OCT_LEASE_HELD', details: { waiting: 1 } });
        const operator = await attach({ takeover: true });
        expect(operator.displaced).toMatchObject([{ id: holder.lease.sessionId }]);
        await letGo(operator);
        expect((await ann).lease.token).toBe(3);
      });

      test('ends a wait when its time is over, and says how long it was', async () => {
        await attach();
        await expect(inTurn('ann', {}, { waitMs: 40 })).rejects.toMatchObject({
          code: 'OCT_LEASE_HELD',
          details: { taskId: task.id, waitedMs: expect.any(Number) as number },
        });
        expect(await waiting()).toBe(0);
        for (const wrong of [-1, 0.5, 86_400_001]) {
          await expect(inTurn('ann', {}, { waitMs: wrong })).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
        }
      });

      test('leaves the line when it is called off', async () => {
        const holder = await attach();
        const abort = new AbortController();
        const ann = inTurn('ann', {}, { ...wait, signal: abort.signal });
        await until(async () => (await waiting()) === 1);
        const bob = inTurn('bob');
        await until(async () => (await waiting()) === 2);
        abort.abort(new Error('called off'));
        await expect(ann).rejects.toThrow('called off');
        await letGo(holder);
        expect((await bob).lease.token).toBe(2);
      });

      test('goes on when the holder lets its lease expire', async () => {
        await attach();
        const ann = inTurn('ann');
        await until(async () => (await waiting()) === 1);
        await registry.passTime(ttlMs + 1);
        expect((await ann).displaced).toHaveLength(1);
      });

      test('lets as many in as a shared task has room for, and again in order', async () => {
        const shared = { mode: 'collaborative', maxAgents: 2 } as const;
        const first = await attach(shared);
        await attach(shared);
        const ann = inTurn('ann', shared);
        await until(async () => (await waiting()) === 1);
        await letGo(first);
        expect((await ann).lease.token).toBe(3);
        expect(await leases.listActive(task.id)).toHaveLength(2);
      });
    });

    test('gives a session its own proof', async () => {
      const session = sampleSession(task.id);
      const { lease } = await attach({ session });
      expect(await leases.proofOf(session.id)).toEqual({
        proof: { taskId: task.id, sessionId: session.id, leaseId: lease.id, token: lease.token },
        lease,
        session,
      });
      await expect(leases.proofOf(sampleIds.next('session'))).rejects.toMatchObject({ code: 'OCT_SESSION_NOT_FOUND' });
    });

    test('refuses an unknown task, a used session and a time to live out of range', async () => {
      const unknown = sampleIds.next('task');
      await expect(leases.acquire(request(unknown))).rejects.toMatchObject({ code: 'OCT_TASK_NOT_FOUND' });
      expect(await registry.ledger.head(unknown)).toEqual({ seq: 0, hash: genesisHash });
      const { lease } = await attach();
      const again = sampleSession(task.id, { id: lease.sessionId });
      await expect(attach({ session: again, takeover: true })).rejects.toMatchObject({ code: 'OCT_VERSION_CONFLICT' });
      for (const wrong of [999, 86_400_001, 1_000.5]) {
        await expect(attach({ ttlMs: wrong })).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
      }
    });

    test('a new epoch revokes all leases and leaps over every token', async () => {
      const proof = await proofOf();
      const before = (await registry.admin.status()).epoch;
      expect(await registry.admin.startEpoch('restored')).toBe(before + 1);
      await expect(leases.renew(proof)).rejects.toMatchObject({ code: 'OCT_LEASE_LOST' });
      expect((await attach()).lease.token).toBe(proof.token + 2 ** 20 + 1);
      const [started] = await registry.ledger.read('home', { types: ['store.epoch_started'] });
      expect(started?.payload).toContain('restored');
      expect(await registry.ledger.verify(task.id)).toMatchObject({ broken: null });
    });
  });
}

function request(taskId: TaskId, change: Partial<AcquireLease> = {}): AcquireLease {
  const common = { actor: sampleActor, correlationId: null, takeover: false };
  return { session: sampleSession(taskId), mode: 'exclusive', maxAgents: 1, ttlMs, ...common, ...change };
}
