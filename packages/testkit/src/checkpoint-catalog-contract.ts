import { type Checkpoint, type CheckpointCatalog, type Task, shortId } from '@opencode-tools/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { OpenRegistry } from './open-registry.ts';
import { addRows, addTask, sampleCheckpoint, sampleDraft, sampleIds } from './registry-samples.ts';

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

    test('finds a checkpoint by its tag, also when that is its name', async () => {
      const tagged = sampleCheckpoint(task.id, { name: 'one', tags: ['one', 'release'] });
      await addRows(registry.tasks, task.id, { noun: 'checkpoint', value: tagged });
      for (const reference of ['one', 'release']) expect(await catalog.resolve(task.id, reference)).toEqual(tagged);
    });

    test('does not guess between the tag of one checkpoint and the name of another', async () => {
      const tagged = sampleCheckpoint(task.id, { name: 'one', tags: ['release'] });
      const named = sampleCheckpoint(task.id, { name: 'release' });
      await addRows(
        registry.tasks,
        task.id,
        ...[tagged, named].map((value) => ({ noun: 'checkpoint', value }) as const),
      );
      await expect(catalog.resolve(task.id, 'release')).rejects.toMatchObject({
        code: 'OCT_CHECKPOINT_NOT_FOUND',
        remedy: expect.stringMatching(new RegExp(`(?=.*${tagged.id})(?=.*${named.id})`, 'u')),
        details: { candidates: expect.arrayContaining([tagged.id, named.id]) },
      });
      expect(await catalog.resolve(task.id, 'one')).toEqual(tagged);
    });

    test('shows what was written before there were tags as without any', async () => {
      const { tags, ...before } = sampleCheckpoint(task.id);
      await addRows(registry.tasks, task.id, { noun: 'checkpoint', value: before as Checkpoint });
      expect(await catalog.find(before.id)).toEqual({ ...before, tags });
    });

    test('refuses what is guarded by marks that somebody changed', async () => {
      const value = sampleCheckpoint(task.id, { tags: ['a'] });
      const { id, pinned, tags } = value;
      const guarded = () =>
        registry.tasks.commit({
          guard: { checkpoint: id, marks: { id, pinned, tags } },
          records: [sampleDraft(task.id, 'checkpoint.tagged')],
        });
      await expect(guarded()).rejects.toMatchObject({ code: 'OCT_VERSION_CONFLICT' });
      await addRows(registry.tasks, task.id, { noun: 'checkpoint', value });
      await guarded();
      for (const change of [{ tags: ['a', 'b'] }, { tags: [] }, { pinned: true }]) {
        await addRows(registry.tasks, task.id, { noun: 'checkpoint', value: { ...value, ...change } });
        await expect(guarded()).rejects.toMatchObject({ code: 'OCT_VERSION_CONFLICT' });
      }
    });

    test('loses a checkpoint whose removal is written, and what is guarded by it is refused from then on', async () => {
      const [gone, stays] = [sampleCheckpoint(task.id), sampleCheckpoint(task.id, { name: 'stays' })];
      await addRows(registry.tasks, task.id, ...[gone, stays].map((value) => ({ noun: 'checkpoint', value }) as const));
      const guarded = () =>
        registry.tasks.commit({ guard: { checkpoint: gone.id }, records: [sampleDraft(task.id, 'fork.completed')] });
      await guarded();
      const removal = { noun: 'checkpointRemoval', value: { id: gone.id, taskId: task.id } } as const;
      await addRows(registry.tasks, task.id, removal);
      expect(await catalog.list(task.id)).toEqual([stays]);
      expect(await catalog.find(gone.id)).toBeUndefined();
      await expect(guarded()).rejects.toMatchObject({ code: 'OCT_VERSION_CONFLICT', remedy: expect.any(String) });
      await addRows(registry.tasks, task.id, removal);
      await registry.tasks.commit({
        guard: { checkpoint: stays.id },
        records: [sampleDraft(task.id, 'fork.completed')],
      });
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
