import type { IdempotencyEntry, Operation, OperationId, TaskId, TaskStore } from '@opencode-tools/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { OpenRegistry } from './open-registry.ts';
import {
  addRows,
  addTask,
  sampleActor,
  sampleDraft,
  sampleIds,
  sampleNote,
  sampleOperation,
  sampleSandbox,
  sampleSession,
} from './registry-samples.ts';

/** Says what every `TaskStore` refuses in the transaction that writes. Called at the top level of a test file. */
export function commitGuardContract(name: string, open: () => Promise<OpenRegistry>): void {
  describe(`${name} as a guard of changes`, () => {
    let registry: OpenRegistry;
    let tasks: TaskStore;
    beforeEach(async () => {
      registry = await open();
      ({ tasks } = registry);
    });
    afterEach(async () => registry.close());

    describe('guarding', () => {
      test('admits the holder of the lease and nobody else', async () => {
        const task = await addTask(tasks);
        const { lease } = await registry.leases.acquire(request(task.id));
        const guarded = (token: number) =>
          tasks.commit({
            guard: { lease: { leaseId: lease.id, token } },
            records: [sampleDraft(task.id, 'note.added', { noun: 'note', value: sampleNote(task.id) })],
          });
        await guarded(lease.token);
        await expect(guarded(lease.token + 1)).rejects.toMatchObject({ code: 'OCT_LEASE_LOST' });
        await registry.leases.acquire({ ...request(task.id), takeover: true });
        await expect(guarded(lease.token)).rejects.toMatchObject({ code: 'OCT_LEASE_LOST' });
        expect(await tasks.listNotes(task.id)).toHaveLength(1);
      });

      test('admits a pending lease only when asked to', async () => {
        const task = await addTask(tasks);
        await addRows(tasks, task.id, { noun: 'sandbox', value: sampleSandbox(task.id) });
        const { lease } = await registry.leases.acquire(request(task.id));
        const records = [sampleDraft(task.id, 'sandbox.fenced')];
        const proof = { leaseId: lease.id, token: lease.token };
        await expect(tasks.commit({ guard: { lease: proof }, records })).rejects.toMatchObject({
          code: 'OCT_LEASE_LOST',
        });
        await tasks.commit({ guard: { lease: { ...proof, allowPending: true } }, records });
      });

      test('lets one process finish an operation, once', async () => {
        const task = await addTask(tasks);
        const operation = sampleOperation(task.id);
        await addRows(tasks, task.id, { noun: 'operation', value: operation });
        const finish = () =>
          tasks.commit({
            guard: { openOperation: operation.id },
            records: [
              sampleDraft(task.id, 'execution.completed', {
                noun: 'operation',
                value: { ...operation, state: 'completed', endedAt: operation.startedAt },
              }),
            ],
          });
        const outcomes = await Promise.allSettled([finish(), finish()]);
        expect(outcomes.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
        await expect(finish()).rejects.toMatchObject({ code: 'OCT_VERSION_CONFLICT' });
        expect(await tasks.listOpenOperations(task.id)).toEqual([]);
      });

      test('lets one process adopt an operation, once', async () => {
        const task = await addTask(tasks);
        const operation = sampleOperation(task.id);
        const { id, owner } = operation;
        await addRows(tasks, task.id, { noun: 'operation', value: operation });
        const adopt = (pid: number) =>
          tasks.commit({
            guard: { ownedOperation: { id, owner } },
            records: [
              sampleDraft(task.id, 'work.adopted', {
                noun: 'operation',
                value: { ...operation, owner: { ...owner, pid } },
              }),
            ],
          });
        const outcomes = await Promise.allSettled([adopt(owner.pid + 1), adopt(owner.pid + 2)]);
        expect(outcomes.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
        await expect(adopt(owner.pid + 3)).rejects.toMatchObject({ code: 'OCT_VERSION_CONFLICT' });
        const unknown = { id: sampleIds.next('operation'), owner };
        await expect(
          tasks.commit({ guard: { ownedOperation: unknown }, records: [sampleDraft(task.id, 'task.changed')] }),
        ).rejects.toMatchObject({ code: 'OCT_VERSION_CONFLICT' });
      });

      test('refuses beside an open operation of the named kinds', async () => {
        const task = await addTask(tasks);
        const operation = sampleOperation(task.id, { kind: 'checkpoint' });
        await addRows(tasks, task.id, { noun: 'operation', value: operation });
        const beside = (kinds: readonly ('checkpoint' | 'restore')[], openOperation?: typeof operation.id) =>
          tasks.commit({
            guard: {
              noOpenOperation: { taskId: task.id, kinds },
              ...(openOperation === undefined ? {} : { openOperation }),
            },
            records: [sampleDraft(task.id, 'task.changed')],
          });
        await expect(beside(['checkpoint', 'restore'])).rejects.toMatchObject({
          code: 'OCT_VERSION_CONFLICT',
          details: { operationId: operation.id },
        });
        await beside(['restore']);
        await beside(['checkpoint'], operation.id);
      });
    });

    describe('idempotency keys', () => {
      const entry = (change: Partial<IdempotencyEntry> = {}): IdempotencyEntry => ({
        key: 'key-1',
        verb: 'tasks.create',
        argumentsDigest: 'a'.repeat(64),
        operationId: null,
        result: { id: 1 },
        ...change,
      });
      const call = (taskId: TaskId, idempotency: IdempotencyEntry) =>
        tasks.commit({ idempotency, records: [sampleDraft(taskId, 'task.changed')] });

      test('keep what the first call answered', async () => {
        const task = await addTask(tasks);
        expect(await tasks.findIdempotency('key-1')).toBeUndefined();
        await call(task.id, entry());
        expect(await tasks.findIdempotency('key-1')).toEqual(entry());
        await expect(call(task.id, entry())).rejects.toMatchObject({ code: 'OCT_VERSION_CONFLICT' });
        expect((await registry.ledger.head(task.id)).seq).toBe(2);
      });

      test.each([{ argumentsDigest: 'b'.repeat(64) }, { verb: 'tasks.delete' }])(
        'refuse another call: %o',
        async (other) => {
          const task = await addTask(tasks);
          await call(task.id, entry());
          await expect(call(task.id, entry(other))).rejects.toMatchObject({ code: 'OCT_IDEMPOTENCY_MISMATCH' });
        },
      );

      test('go from under way to answered with their operation', async () => {
        const task = await addTask(tasks);
        const operation = sampleOperation(task.id);
        const owned = entry({ operationId: operation.id, result: null });
        await tasks.commit({
          idempotency: owned,
          records: [sampleDraft(task.id, 'execution.requested', { noun: 'operation', value: operation })],
        });
        expect(await tasks.findIdempotency('key-1')).toEqual(owned);
        const second = entry({ operationId: sampleIds.next('operation'), result: null });
        await expect(call(task.id, second)).rejects.toMatchObject({ code: 'OCT_VERSION_CONFLICT' });
        await call(task.id, { ...owned, result: 'done' });
        expect(await tasks.findIdempotency('key-1')).toEqual({ ...owned, result: 'done' });
      });

      test('go to another operation after one without an effect, and not after a command that broke off', async () => {
        const task = await addTask(tasks);
        const begin = (operation: Operation) =>
          tasks.commit({
            idempotency: entry({ operationId: operation.id, result: null }),
            records: [sampleDraft(task.id, `${operation.kind}.requested`, { noun: 'operation', value: operation })],
          });
        const end = ({ kind, ...operation }: Operation) =>
          tasks.commit({
            records: [
              sampleDraft(task.id, `${kind}.interrupted`, {
                noun: 'operation',
                value: { ...operation, kind, state: 'interrupted', endedAt: operation.startedAt },
              }),
            ],
          });
        const checkpoint = sampleOperation(task.id, { kind: 'checkpoint' });
        const [command, other] = [sampleOperation(task.id), sampleOperation(task.id)];
        await begin(checkpoint);
        await end(checkpoint);
        await begin(command);
        await end(command);
        await expect(begin(other)).rejects.toMatchObject({
          code: 'OCT_VERSION_CONFLICT',
          message: 'The call with idempotency key key-1 is still under way',
          remedy: 'Call again in a few seconds to get its result.',
        });
        expect(await tasks.findIdempotency('key-1')).toMatchObject({ operationId: command.id, result: null });
      });

      test('are reserved from the start by a call without an operation, until it answers, gives them back or is gone', async () => {
        const task = await addTask(tasks);
        const reserve = (id: OperationId, reservedForMs: number) =>
          tasks.commit({ records: [], idempotency: entry({ operationId: id, result: null, reservedForMs }) });
        const [first, second] = [sampleIds.next('operation'), sampleIds.next('operation')];
        await reserve(first, 30_000);
        await expect(reserve(second, 30_000)).rejects.toMatchObject({ code: 'OCT_VERSION_CONFLICT' });
        await expect(call(task.id, entry({ operationId: second }))).rejects.toMatchObject({
          code: 'OCT_VERSION_CONFLICT',
        });
        await registry.passTime(20_000);
        await reserve(first, 30_000);
        await registry.passTime(20_000);
        expect(await tasks.findIdempotency('key-1')).toMatchObject({ operationId: first, result: null });
        await reserve(first, 0);
        expect(await tasks.findIdempotency('key-1')).toBeUndefined();
        await reserve(second, 30_000);
        await registry.passTime(30_001);
        await reserve(first, 30_000);
        await expect(call(task.id, entry({ operationId: second }))).rejects.toMatchObject({
          code: 'OCT_VERSION_CONFLICT',
        });
        await call(task.id, entry({ operationId: first, result: 'done' }));
        await expect(reserve(first, 0)).rejects.toMatchObject({ code: 'OCT_VERSION_CONFLICT' });
        expect(await tasks.findIdempotency('key-1')).toMatchObject({ operationId: first, result: 'done' });
      });

      test('belong to an operation once it has begun, whatever is reserved or given back from then on', async () => {
        const task = await addTask(tasks);
        const operation = sampleOperation(task.id, { kind: 'restore' });
        const held = (reservedForMs: number) => entry({ operationId: operation.id, result: null, reservedForMs });
        await tasks.commit({ records: [], idempotency: held(30_000) });
        await tasks.commit({
          idempotency: held(24 * 60 * 60 * 1000),
          records: [sampleDraft(task.id, 'restore.requested', { noun: 'operation', value: operation })],
        });
        for (const reservedForMs of [30_000, 0]) {
          await tasks.commit({ records: [], idempotency: held(reservedForMs) });
          await registry.passTime(60_000);
          expect(await tasks.findIdempotency('key-1')).toMatchObject({ operationId: operation.id, result: null });
        }
      });

      test('are forgotten after a day', async () => {
        const task = await addTask(tasks);
        await call(task.id, entry());
        await registry.passTime(24 * 60 * 60 * 1000 + 1);
        expect(await tasks.findIdempotency('key-1')).toBeUndefined();
        await call(task.id, entry({ argumentsDigest: 'b'.repeat(64) }));
      });
    });
  });
}

function request(taskId: TaskId) {
  const session = sampleSession(taskId);
  const common = { actor: sampleActor, correlationId: null, takeover: false };
  return { session, mode: 'exclusive', maxAgents: 1, ttlMs: 60_000, ...common } as const;
}
