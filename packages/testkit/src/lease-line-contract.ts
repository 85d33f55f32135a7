import { getEventListeners } from 'node:events';
import type { AcquireLease, AcquiredLease, LeaseStore, LeaseWait, Task } from '@opencode-tools/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { leaseEnd, leaseProof, leaseRequest, leaseTtlMs } from './lease-samples.ts';
import type { OpenRegistry } from './open-registry.ts';
import { addTask, sampleSession } from './registry-samples.ts';
import { until } from './until.ts';

/** The part of the contract of a `LeaseStore` about those who wait in line. */
export function leaseLineContract(name: string, open: () => Promise<OpenRegistry>): void {
  describe(`${name} as a lease store with agents in line`, () => {
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
    const wait = { waitMs: 30_000 };
    const inTurn = async (agent: string, more: Partial<AcquireLease> = {}, how: LeaseWait = wait) =>
      leases.acquireInTurn(leaseRequest(task.id, { session: sampleSession(task.id, { agent }), ...more }), how);
    const waiting = async () => {
      try {
        const { lease } = await leases.acquire(leaseRequest(task.id));
        await leases.release(leaseProof(lease), leaseEnd);
        return 0;
      } catch (error) {
        return (error as { details?: { waiting?: number } }).details?.waiting ?? -1;
      }
    };
    const letGo = async ({ lease }: AcquiredLease) => leases.release(leaseProof(lease), leaseEnd);

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

    test('leaves no listener on the signal that could call it off', async () => {
      const holder = await attach();
      const abort = new AbortController();
      const lined: Promise<AcquiredLease>[] = [];
      for (const agent of ['ann', 'bob']) {
        lined.push(inTurn(agent, {}, { ...wait, signal: abort.signal }));
        await until(async () => (await waiting()) === lined.length);
      }
      await letGo(holder);
      for (const acquired of lined) await letGo(await acquired);
      expect(getEventListeners(abort.signal, 'abort')).toEqual([]);
    });

    test('goes on when the holder lets its lease expire', async () => {
      await attach();
      const ann = inTurn('ann');
      await until(async () => (await waiting()) === 1);
      await registry.passTime(leaseTtlMs + 1);
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
}
