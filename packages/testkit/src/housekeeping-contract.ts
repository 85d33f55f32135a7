import type { HousekeepingStore, PooledSandbox, ProcessRef } from '@opencode-tools/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { OpenRegistry } from './open-registry.ts';
import { addTask, sampleDraft, sampleIds, sampleNote } from './registry-samples.ts';

const process: ProcessRef = { hostId: 'host', bootId: 'boot', pid: 1, startedAt: '1' };
const other: ProcessRef = { ...process, pid: 2 };

export function samplePooled(change: Partial<PooledSandbox> = {}): PooledSandbox {
  const id = sampleIds.next('operation');
  return {
    id,
    key: 'key',
    state: 'filling',
    version: 1,
    owner: process,
    name: `oct-pool-${id.slice(-8)}`,
    ref: null,
    imageId: 'sha256:1',
    workspaceVolume: 'w',
    homeVolume: 'h',
    claim: null,
    createdAt: '2026-11-28T08:00:00.000Z',
    ...change,
  };
}

/** Says what every `HousekeepingStore` does. Called at the top level of a test file. */
export function housekeepingContract(name: string, open: () => Promise<OpenRegistry>): void {
  describe(`${name} as a store of housekeeping`, () => {
    let registry: OpenRegistry;
    let store: HousekeepingStore;
    beforeEach(async () => {
      registry = await open();
      store = registry.housekeeping;
    });
    afterEach(async () => registry.close());

    test('adds entries up to the bound, not counting those that tasks have claimed', async () => {
      const [first, second, third] = [samplePooled(), samplePooled(), samplePooled()];
      expect(await store.addPooled(first, 2)).toBe(true);
      expect(await store.addPooled(second, 2)).toBe(true);
      expect(await store.addPooled(third, 2)).toBe(false);
      const claim = { taskId: sampleIds.next('task'), operationId: sampleIds.next('operation') };
      expect(await store.replacePooled({ ...first, state: 'claimed', claim, version: 2 })).toBe(true);
      expect(await store.addPooled(third, 2)).toBe(true);
      // Made in one moment, they have no order.
      expect(new Map((await store.listPooled()).map(({ id, state }) => [id, state]))).toEqual(
        new Map<string, string>([
          [first.id, 'claimed'],
          [second.id, 'filling'],
          [third.id, 'filling'],
        ]),
      );
    });

    test('lets one of many who add at once have the last place', async () => {
      const added = await Promise.all(Array.from({ length: 8 }, () => store.addPooled(samplePooled(), 3)));
      expect(added.filter(Boolean)).toHaveLength(3);
    });

    test('replaces and removes an entry only at the version that the caller knows', async () => {
      const entry = samplePooled();
      await store.addPooled(entry, 1);
      const ready = { ...entry, state: 'ready', version: 2 } as const;
      expect(await store.replacePooled(ready)).toBe(true);
      expect(await store.replacePooled(ready)).toBe(false);
      expect(await store.removePooled(entry)).toBe(false);
      expect(await store.removePooled(ready)).toBe(true);
      expect(await store.replacePooled({ ...ready, version: 3 })).toBe(false);
      expect(await store.listPooled()).toEqual([]);
    });

    test('gives an entry to one of many changes that take it, and leaves nothing of the others', async () => {
      const entry = { ...samplePooled(), state: 'ready' } as const;
      await store.addPooled(entry, 1);
      const tasks = await Promise.all(Array.from({ length: 6 }, () => addTask(registry.tasks)));
      const take = async (taskId: (typeof tasks)[number]['id']): Promise<boolean> => {
        const claim = { taskId, operationId: sampleIds.next('operation') };
        const note = sampleNote(taskId);
        try {
          await registry.tasks.commit({
            records: [sampleDraft(taskId, 'note.added', { noun: 'note', value: note })],
            takes: { ...entry, state: 'claimed', claim, version: 2 },
          });
          return true;
        } catch (error) {
          if ((error as { code?: string }).code === 'OCT_VERSION_CONFLICT') return false;
          throw error;
        }
      };
      const won = await Promise.all(tasks.map(({ id }) => take(id)));
      expect(won.filter(Boolean)).toHaveLength(1);
      const notes = await Promise.all(tasks.map(async ({ id }) => (await registry.tasks.listNotes(id)).length));
      expect(notes).toEqual(won.map(Number));
      const winner = tasks[won.indexOf(true)];
      expect((await store.listPooled())[0]?.claim?.taskId).toBe(winner?.id);
    });

    test('gives the house of an engine to one process until its time is over or it leaves', async () => {
      expect(await store.keepHouse('a', process, 10_000)).toMatchObject({ held: true, holder: process });
      expect(await store.keepHouse('a', other, 10_000)).toMatchObject({ held: false, holder: process });
      expect(await store.keepHouse('b', other, 10_000)).toMatchObject({ held: true });
      await store.leaveHouse('a', other);
      expect(await store.findHousekeeper('a')).toMatchObject({ holder: process });
      await store.leaveHouse('a', process);
      expect(await store.findHousekeeper('a')).toBeUndefined();
      expect(await store.keepHouse('a', other, 10_000)).toMatchObject({ held: true });
      await registry.passTime(10_001);
      expect(await store.keepHouse('a', process, 10_000)).toMatchObject({ held: true, holder: process });
    });
  });
}
