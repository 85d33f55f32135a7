import { type CheckpointCatalog, type Task, shortId } from '@opencode-tools/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { OpenRegistry } from './open-registry.ts';
import { addRows, addTask, sampleCheckpoint, sampleIds } from './registry-samples.ts';

/** Says what every `CheckpointCatalog` does. Called at the top level of a test file. */
export function checkpointCatalogContract(name: string, open: () => Promise<OpenRegistry>): void {
  describe(`${name} as a checkpoint catalog`, () => {
    let registry: OpenRegistry;
    let catalog: CheckpointCatalog;
    let task: Task;
    beforeEach(async () => {
      registry = await open();
      catalog = registry.checkpoints;
      task = await addTask(registry.tasks);
    });
    afterEach(async () => registry.close());

    test('lists the newest first and finds each by id, short id and name', async () => {
      const older = sampleCheckpoint(task.id, { name: 'older', createdAt: '2026-11-20T08:00:00.000Z' });
      const newer = sampleCheckpoint(task.id, { name: 'newer', createdAt: '2026-11-20T09:00:00.000Z' });
      await addRows(
        registry.tasks,
        task.id,
        { noun: 'checkpoint', value: older },
        { noun: 'checkpoint', value: newer },
      );
      expect(await catalog.list(task.id)).toEqual([newer, older]);
      expect(await catalog.find(older.id)).toEqual(older);
      expect(await catalog.listAll()).toEqual(expect.arrayContaining([newer, older]));
      for (const reference of [older.id, shortId(older.id), 'older']) {
        expect(await catalog.resolve(task.id, reference)).toEqual(older);
      }
    });

    test('does not guess', async () => {
      const other = await addTask(registry.tasks);
      const twins = [sampleCheckpoint(task.id), sampleCheckpoint(task.id)];
      await addRows(registry.tasks, task.id, ...twins.map((value) => ({ noun: 'checkpoint', value }) as const));
      const refused = { code: 'OCT_CHECKPOINT_NOT_FOUND' };
      await expect(catalog.resolve(task.id, twins[0]?.name ?? '')).rejects.toMatchObject(refused);
      await expect(catalog.resolve(other.id, twins[0]?.id ?? '')).rejects.toMatchObject(refused);
      await expect(catalog.resolve(task.id, 'none')).rejects.toMatchObject(refused);
      expect(await catalog.find(sampleIds.next('checkpoint'))).toBeUndefined();
    });
  });
}
