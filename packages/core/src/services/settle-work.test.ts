import { expect, test } from 'vitest';
import { kernelOver } from '../../test/kernel.ts';
import { taskId } from '../../test/records.ts';
import type { OperationId } from '../domain/ids.ts';
import type { Operation } from '../domain/operation.ts';
import { resolveWork, settleRecorded } from './settle-work.ts';

const [stuck, other] = ['opn_00000000000000000000000001', 'opn_00000000000000000000000002'] as [
  OperationId,
  OperationId,
];

/** Notes of two changes, one of a directory that cannot be written at present. */
function changes() {
  const forgotten: OperationId[] = [];
  const warnings: unknown[] = [];
  const kernel = kernelOver({
    tasks: { findOperation: async () => undefined },
    work: {
      known: async () => [stuck, other],
      settle: async (id: OperationId) => {
        if (id === stuck) throw Object.assign(new Error('EROFS: read-only file system'), { code: 'EROFS' });
        return { outcome: 'undone', left: [], saved: null };
      },
      forget: async (id: OperationId) => void forgotten.push(id),
    } as never,
    logger: { warn: (...said: readonly unknown[]) => void warnings.push(said) } as never,
  });
  return { kernel, forgotten, warnings };
}

test('a change that cannot be undone now is recorded as broken off, and its notes stay for the next time', async () => {
  const { kernel } = changes();
  const operation = { id: stuck, taskId, intent: { directory: '/srv/project' } } as unknown as Operation;
  const resolution = await resolveWork(kernel, operation);
  expect(resolution).toMatchObject({ state: 'interrupted', puts: [] });
  expect(resolution.summary).toMatch(/\/srv\/project.*not taken back.*EROFS/);
  expect(resolution.clear).toBeUndefined();
});

test('a change that cannot be undone now keeps no other from being settled', async () => {
  const { kernel, forgotten, warnings } = changes();
  await settleRecorded(kernel);
  expect(forgotten).toEqual([other]);
  expect(warnings).toHaveLength(1);
});

test('what this process itself could not undo is tried again while it lives, and nothing that it is still at', async () => {
  const { kernel, forgotten } = changes();
  const failed = { state: 'failed', owner: {} } as Operation;
  const ours = kernelOver({
    ...kernel.deps,
    tasks: { findOperation: async () => failed },
    processes: { self: () => failed.owner, isAlive: () => true },
  });
  await settleRecorded(ours);
  expect(forgotten).toEqual([]);
  ours.leftToRecovery.add(other);
  await settleRecorded(ours);
  expect(forgotten).toEqual([other]);
});

test('a merge whose work tree could not go along says so', async () => {
  const kernel = kernelOver({
    work: { settle: async () => ({ outcome: 'finished', left: ['/srv/project'], saved: null }) } as never,
  });
  const operation = { id: other, taskId, intent: { directory: '/srv/project' } } as unknown as Operation;
  const { state, summary } = await resolveWork(kernel, operation);
  expect(state).toBe('completed');
  expect(summary).toMatch(/files at "\/srv\/project" are still as before/);
});
