import type { Claim, Lease, Session, Task, TaskId } from '@opencode-tools/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { OpenRegistry } from './open-registry.ts';
import { addTask, sampleActor, sampleDraft, sampleIds, sampleSession } from './registry-samples.ts';

/** Says what every registry does with claims, and with references between tasks. Called at the top level of a test file. */
export function claimContract(name: string, open: () => Promise<OpenRegistry>): void {
  describe(`${name} as a store of claims`, () => {
    let registry: OpenRegistry;
    beforeEach(async () => {
      registry = await open();
    });
    afterEach(async () => registry.close());

    const attach = async (taskId: TaskId, ttlMs = 60_000): Promise<{ session: Session; lease: Lease }> => {
      const session = sampleSession(taskId);
      const request = { session, mode: 'collaborative', maxAgents: 4, ttlMs, takeover: false } as const;
      return {
        session,
        lease: (await registry.leases.acquire({ ...request, actor: sampleActor, correlationId: null })).lease,
      };
    };
    const put = (claim: Claim, revision?: number) =>
      registry.tasks.commit({
        ...(revision === undefined ? {} : { guard: { claims: { taskId: claim.taskId, revision } } }),
        records: [
          sampleDraft(claim.taskId, claim.state === 'active' ? 'claim.granted' : 'claim.ended', {
            noun: 'claim',
            value: claim,
          }),
        ],
      });

    test('gives back what is active and raises the revision with every grant and every end', async () => {
      const task = await addTask(registry.tasks, { leaseMode: 'collaborative' });
      const { session } = await attach(task.id);
      const revisions = [(await registry.tasks.listClaims(task.id)).revision];
      const first = claimOf(session);
      const second = claimOf(session);
      for (const claim of [first, second, ended(first)]) {
        await put(claim);
        revisions.push((await registry.tasks.listClaims(task.id)).revision);
      }
      expect(revisions).toEqual(revisions.toSorted((a, b) => a - b));
      expect(new Set(revisions).size).toBe(4);
      expect((await registry.tasks.listClaims(task.id)).active).toEqual([{ claim: second, expired: false }]);
    });

    test('a claim is granted once and ended once', async () => {
      const task = await addTask(registry.tasks);
      const { session } = await attach(task.id);
      const claim = claimOf(session);
      await put(claim);
      await expect(put(claim)).rejects.toMatchObject({ code: 'OCT_VERSION_CONFLICT' });
      await put(ended(claim));
      await expect(put(ended(claim))).rejects.toMatchObject({ code: 'OCT_VERSION_CONFLICT' });
    });

    test('of changes decided on the same claims exactly one lands', async () => {
      const task = await addTask(registry.tasks);
      const { session } = await attach(task.id);
      for (let round = 0; round < 5; round += 1) {
        const { revision } = await registry.tasks.listClaims(task.id);
        const answers = await Promise.allSettled([1, 2, 3].map(() => put(claimOf(session), revision)));
        expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
      }
      expect((await registry.tasks.listClaims(task.id)).active).toHaveLength(5);
    });

    test.each(['released', 'revoked', 'displaced'] as const)(
      'claims end with a lease that is %s, in its transaction',
      async (how) => {
        const task = await addTask(registry.tasks);
        const { session, lease } = await attach(task.id, 1_000);
        const claim = claimOf(session);
        await put(claim);
        const end = { reason: 'over', actor: sampleActor, correlationId: null };
        const proof = { taskId: task.id, sessionId: session.id, leaseId: lease.id, token: lease.token };
        if (how === 'released') await registry.leases.release(proof, end);
        else if (how === 'revoked') await registry.leases.revoke(task.id, end);
        else {
          await registry.passTime(2_000);
          await attach(task.id);
        }
        expect((await registry.tasks.listClaims(task.id)).active).toEqual([]);
        const [record] = await registry.ledger.read(task.id, { types: ['claim.ended'] });
        expect(JSON.parse(record?.payload ?? '')).toMatchObject({
          puts: [{ value: { id: claim.id, state: 'ended', version: 2 } }],
        });
        expect((await registry.ledger.verify(task.id)).broken).toBeNull();
      },
    );

    test('tells by its own clock whose lease has expired', async () => {
      const task = await addTask(registry.tasks);
      const { session } = await attach(task.id, 5_000);
      await put(claimOf(session));
      await registry.passTime(10_000);
      expect((await registry.tasks.listClaims(task.id)).active).toMatchObject([{ expired: true }]);
    });

    test('claims of other tasks are not told', async () => {
      const [task, other] = [await addTask(registry.tasks), await addTask(registry.tasks)];
      const { session } = await attach(other.id);
      await put(claimOf(session));
      expect(await registry.tasks.listClaims(task.id)).toEqual({ revision: 0, active: [] });
    });

    describe.each(['parentId', 'dependsOn'] as const)('references by %s', (relation) => {
      const refer = async (from: Task, to: readonly TaskId[]): Promise<Task> => {
        const change = relation === 'parentId' ? { parentId: to[0] ?? null } : { dependsOn: to };
        const task: Task = { ...from, ...change, version: from.version + 1 };
        await registry.tasks.commit({ records: [sampleDraft(task.id, 'task.updated', { noun: 'task', value: task })] });
        return task;
      };

      test('never close a cycle, however long', async () => {
        const chain: Task[] = [];
        for (let index = 0; index < 6; index += 1) chain.push(await addTask(registry.tasks));
        for (let index = 0; index < 5; index += 1) {
          chain[index] = await refer(chain[index] as Task, [(chain[index + 1] as Task).id]);
        }
        for (const at of [0, 3, 5]) {
          await expect(refer(chain[5] as Task, [(chain[at] as Task).id])).rejects.toMatchObject({
            code: 'OCT_INVALID_ARGUMENT',
            details: { argument: relation },
          });
        }
        expect(await registry.tasks.getTask((chain[5] as Task).id)).toEqual(chain[5]);
      });

      test('of two at once that would close one only one lands', async () => {
        for (let round = 0; round < 5; round += 1) {
          const [a, b] = [await addTask(registry.tasks), await addTask(registry.tasks)];
          const answers = await Promise.allSettled([refer(a, [b.id]), refer(b, [a.id])]);
          expect(answers.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
        }
      });
    });
  });
}

function claimOf(session: Session): Claim {
  return {
    id: sampleIds.next('claim'),
    taskId: session.taskId,
    sessionId: session.id,
    leaseId: session.leaseId,
    agent: session.agent,
    read: ['docs/**'],
    write: ['src/**'],
    state: 'active',
    version: 1,
    claimedAt: '2026-11-20T08:15:30.123Z',
    endedAt: null,
    endReason: null,
  };
}

function ended(claim: Claim): Claim {
  return { ...claim, state: 'ended', version: 2, endedAt: '2026-11-20T08:16:30.123Z', endReason: 'released' };
}
