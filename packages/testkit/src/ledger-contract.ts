import { type Ledger, type Task, genesisHash } from '@opencode-tools/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { OpenRegistry } from './open-registry.ts';
import { addRows, addTask, sampleActor, sampleDraft, sampleNote } from './registry-samples.ts';

/** Says what every `Ledger` does. Called at the top level of a test file. */
export function ledgerContract(name: string, open: () => Promise<OpenRegistry>): void {
  describe(`${name} as a ledger`, () => {
    let registry: OpenRegistry;
    let ledger: Ledger;
    let task: Task;
    beforeEach(async () => {
      registry = await open();
      ({ ledger } = registry);
      task = await addTask(registry.tasks);
    });
    afterEach(async () => registry.close());

    test('keeps a record with everything that its hash covers', async () => {
      const draft = {
        stream: task.id,
        type: 'note.added',
        actor: sampleActor,
        puts: [{ noun: 'note', value: sampleNote(task.id, { text: 'Ünïcode ☃\u2028' }) }],
        detail: { number: 1e21, small: 1e-7, list: [null, true] },
        token: 7,
        operationId: 'opn_1',
        correlationId: 'corr',
        causationId: `${task.id}/1`,
      } as const;
      const [appended] = await registry.tasks.commit({ records: [draft] });
      const [stored] = await ledger.read(task.id, { afterSeq: 1 });
      const { payload, ...record } = stored ?? { payload: null };
      expect(record).toEqual(appended);
      expect(record).toMatchObject({
        seq: 2,
        token: 7,
        operationId: 'opn_1',
        correlationId: 'corr',
        homeId: registry.tasks.homeId,
      });
      expect(JSON.parse(payload ?? '')).toEqual({ puts: draft.puts, detail: draft.detail });
    });

    test('reads forwards, backwards, after a number, by type and by noun', async () => {
      for (const type of ['note.added', 'todo.added', 'note.changed'] as const) {
        await registry.tasks.commit({ records: [sampleDraft(task.id, type)] });
      }
      const seqs = async (options: Parameters<Ledger['read']>[1]) =>
        (await ledger.read(task.id, options)).map(({ seq }) => seq);
      expect(await seqs({})).toEqual([1, 2, 3, 4]);
      expect(await seqs({ newestFirst: true, limit: 2 })).toEqual([4, 3]);
      expect(await seqs({ afterSeq: 2 })).toEqual([3, 4]);
      expect(await seqs({ types: ['note.'] })).toEqual([2, 4]);
      expect(await seqs({ types: ['note.added', 'todo.'] })).toEqual([2, 3]);
      expect(await seqs({ types: [] })).toEqual([]);
      expect(await seqs({ types: ['%'] })).toEqual([]);
      await expect(ledger.read(task.id, { limit: 10_001 })).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
    });

    test('knows every stream and its head', async () => {
      expect(await ledger.listStreams()).toEqual(expect.arrayContaining(['home', task.id]));
      expect(await ledger.head('tsk_00000000000000000000000000')).toEqual({ seq: 0, hash: genesisHash });
      const [record] = await addRows(registry.tasks, task.id);
      expect(await ledger.head(task.id)).toEqual({ seq: 2, hash: record?.hash });
    });

    test('verifies a chain longer than one batch, while it grows', async () => {
      const records = Array.from({ length: 2_100 }, () => sampleDraft(task.id, 'note.added'));
      await registry.tasks.commit({ records });
      const [report] = await Promise.all([ledger.verify(task.id), addRows(registry.tasks, task.id)]);
      expect(report.broken).toBeNull();
      expect(report.records).toBeGreaterThanOrEqual(2_101);
      expect(await ledger.verify(task.id)).toMatchObject({ records: 2_102, broken: null });
    });
  });
}
