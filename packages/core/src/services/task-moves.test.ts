import { describe, expect, test } from 'vitest';
import { OneTask, kernelOver } from '../../test/kernel.ts';
import { call, proof, taskWith } from '../../test/task.ts';
import { canMove } from '../domain/task-machine.ts';
import { taskStatuses } from '../domain/task.ts';
import { ensureRunningStatus, moveTask } from './task-moves.ts';

const now = '2026-11-20T09:00:00.000Z';
const earlier = '2026-11-20T08:30:00.000Z';
const pairs = taskStatuses.flatMap((from) => taskStatuses.map((to) => [from, to] as const));

describe('moveTask', () => {
  test.each(pairs)('from %s to %s follows the table, and the record holds the row as it is afterwards', (from, to) => {
    const task = taskWith({ status: from });
    const move = () => moveTask(kernelOver({}), task, to, proof, call);
    if (!canMove(from, to)) {
      expect(move).toThrow(expect.objectContaining({ code: 'OCT_INVALID_TRANSITION' }));
      return;
    }
    const { task: moved, record } = move();
    const ended = to === 'completed' || to === 'cancelled';
    expect(moved).toEqual({
      ...task,
      status: to,
      version: 4,
      updatedAt: now,
      startedAt: to === 'running' ? now : null,
      endedAt: ended ? now : null,
    });
    expect(record).toMatchObject({
      stream: task.id,
      puts: [{ noun: 'task', value: moved }],
      detail: { from, to },
      token: 7,
      correlationId: 'call 1',
    });
  });

  test('keeps the first start, drops the end of a reopened task and the reason of the status before', () => {
    const task = taskWith({ status: 'completed', startedAt: earlier, endedAt: earlier, statusReason: 'all done' });
    const { task: moved, record } = moveTask(kernelOver({}), task, 'suspended', null, call);
    expect(moved).toMatchObject({ status: 'suspended', startedAt: earlier, endedAt: null, statusReason: null });
    expect(record).toMatchObject({ type: 'task.reopened', token: null });
  });

  test('writes the reason into the row and the detail into the record', () => {
    const options = { reason: 'out of memory', detail: { executionId: 'exe_1' } };
    const { task, record } = moveTask(kernelOver({}), taskWith({ status: 'running' }), 'failed', proof, call, options);
    expect(task.statusReason).toBe('out of memory');
    expect(record.detail).toEqual({ from: 'running', to: 'failed', executionId: 'exe_1' });
  });
});

describe('ensureRunningStatus', () => {
  test('changes nothing for a task that runs', async () => {
    const store = new OneTask(taskWith({ status: 'running' }));
    const result = await ensureRunningStatus(store.kernel(), store.task, proof, call, { reopen: false });
    expect(result).toBe(store.task);
    expect(store.changes).toEqual([]);
  });

  test.each(['pending', 'suspended', 'failed'] as const)(
    'moves a %s task in one change under the lease',
    async (status) => {
      const store = new OneTask(taskWith({ status }));
      const result = await ensureRunningStatus(store.kernel(), store.task, proof, call, { reopen: false });
      expect(result).toBe(store.task);
      expect(store.task).toMatchObject({ status: 'running', version: 4 });
      expect(store.changes).toMatchObject([
        { guard: { lease: { leaseId: proof.leaseId, token: 7, allowPending: false } } },
      ]);
      expect(store.changes[0]?.records).toHaveLength(1);
    },
  );

  test.each(['completed', 'cancelled'] as const)(
    'reopens a %s task when asked to, with both moves in one change',
    async (status) => {
      const store = new OneTask(taskWith({ status, endedAt: earlier }));
      await ensureRunningStatus(store.kernel(), store.task, proof, call, { reopen: true });
      expect(store.task).toMatchObject({ status: 'running', version: 5, endedAt: null });
      expect(store.changes.map((change) => change.records.map((record) => record.type))).toEqual([
        ['task.reopened', 'task.resumed'],
      ]);
    },
  );

  test.each(['completed', 'cancelled'] as const)('refuses a %s task otherwise and says the way out', async (status) => {
    const store = new OneTask(taskWith({ status }));
    await expect(ensureRunningStatus(store.kernel(), store.task, proof, call, { reopen: false })).rejects.toMatchObject(
      {
        code: 'OCT_INVALID_TRANSITION',
        remedy: 'Attach to the task to reopen it, then try again.',
      },
    );
    expect(store.changes).toEqual([]);
  });

  test('decides again on the row as another process left it', async () => {
    const store = new OneTask(taskWith({ status: 'pending' }));
    store.meanwhile = () => {
      store.task = { ...store.task, status: 'suspended', version: 4, title: 'Renamed' };
    };
    const result = await ensureRunningStatus(store.kernel(), store.task, proof, call, { reopen: false });
    expect(result).toMatchObject({ status: 'running', version: 5, title: 'Renamed' });
    expect(store.changes.map((change) => change.records.map((record) => record.type))).toEqual([['task.resumed']]);
  });

  test('finds the move done when another process made it first', async () => {
    const store = new OneTask(taskWith({ status: 'pending' }));
    store.meanwhile = () => {
      store.task = { ...store.task, status: 'running', version: 4 };
    };
    const result = await ensureRunningStatus(store.kernel(), store.task, proof, call, { reopen: false });
    expect(result).toBe(store.task);
    expect(store.changes).toEqual([]);
  });

  test('gives up after three attempts', async () => {
    const store = new OneTask(taskWith({ status: 'pending' }));
    let attempts = 0;
    const interfere = () => {
      attempts += 1;
      store.task = { ...store.task, version: store.task.version + 1 };
      queueMicrotask(() => (store.meanwhile = interfere));
    };
    store.meanwhile = interfere;
    await expect(ensureRunningStatus(store.kernel(), store.task, proof, call, { reopen: false })).rejects.toMatchObject(
      {
        code: 'OCT_VERSION_CONFLICT',
      },
    );
    expect(attempts).toBe(3);
  });
});
