import type { LedgerRecord, RecordPayload, StoreAdmin, Task } from '@opencode-tools/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { OpenRegistry } from './open-registry.ts';
import {
  addRows,
  addTask,
  sampleDecision,
  sampleDraft,
  sampleMessage,
  sampleNote,
  sampleTodo,
} from './registry-samples.ts';

const dayMs = 24 * 60 * 60 * 1000;
/** Whatever was recorded until now, also when the clock was set back a little meanwhile. */
const soon = -60_000 / dayMs;

/** Says what an administered store lets go of its ledgers; part of the contract of `StoreAdmin`. */
export function pruningContract(open: () => Promise<OpenRegistry>): void {
  describe('pruning', () => {
    let registry: OpenRegistry;
    let admin: StoreAdmin;
    let task: Task;
    beforeEach(async () => {
      registry = await open();
      ({ admin } = registry);
      task = await addTask(registry.tasks, { labels: { team: 'blue' } });
      await addRows(registry.tasks, task.id, { noun: 'todo', value: sampleTodo(task.id) });
      await addRows(registry.tasks, task.id, { noun: 'note', value: sampleNote(task.id) });
      await addRows(registry.tasks, task.id, { noun: 'decision', value: sampleDecision(task.id) });
      await addRows(registry.tasks, task.id, { noun: 'message', value: sampleMessage(task.id) });
    });
    afterEach(async () => registry.close());

    const exported = async () => {
      const lines: string[] = [];
      for await (const line of admin.exportLedger(task.id)) lines.push(line);
      return lines;
    };
    const rows = async () => ({
      task: await registry.tasks.getTask(task.id),
      todos: await registry.tasks.listTodos(task.id),
      notes: await registry.tasks.listNotes(task.id),
      decisions: await registry.tasks.listDecisions(task.id),
      labelled: (await registry.tasks.listTasks({ label: { name: 'team' } })).items,
      found: (await registry.tasks.listTasks({ text: 'linter' })).items,
    });
    const deleteTask = async (): Promise<LedgerRecord> => {
      const receipt = {
        taskId: task.id,
        title: task.title,
        deletedAt: new Date(Date.now() - 10 * dayMs).toISOString(),
        finalCheckpointId: null,
        memory: `tasks/${task.id}`,
        removed: { containers: 0, volumes: 0, networks: 0 },
        keptImages: [],
      };
      const drafts = [sampleDraft(task.id, 'task.deleted', { noun: 'receipt', value: receipt })];
      const [record] = (await registry.tasks.commit({ records: drafts })) as readonly [LedgerRecord];
      return record;
    };

    test('takes out what is too old, and the rest still proves itself and rebuilds every row', async () => {
      await registry.memory.project();
      const before = await rows();
      const head = await registry.ledger.head(task.id);
      const options = { keepLedgerDays: soon, keepTombstoneDays: null };
      expect(await admin.prune({ ...options, dryRun: true })).toMatchObject({ dryRun: true });
      const { chains } = await admin.prune(options);
      expect(chains).toContainEqual({ stream: task.id, records: 5, base: head });
      expect(await rows()).toEqual(before);
      expect(await registry.ledger.read(task.id)).toMatchObject([
        { seq: 6, type: 'ledger.pruned', prevHash: head.hash },
      ]);
      expect(await registry.ledger.verify(task.id)).toMatchObject({ records: 1, broken: null });
      expect(await admin.verify()).toMatchObject({ ok: true });
      expect((await registry.memory.heal(task.id)).healed).toEqual([]);
      await addRows(registry.tasks, task.id, { noun: 'note', value: sampleNote(task.id) });
      const other = await open();
      expect(await other.admin.importLedger(await exported())).toMatchObject({ added: 2 });
      expect(await other.tasks.getTask(task.id)).toEqual(before.task);
      expect(await other.tasks.listTodos(task.id)).toEqual(before.todos);
      await other.close();
    });

    test('while a ledger is written out ends it with an error: no export has a gap', async () => {
      const lines = admin.exportLedger(task.id)[Symbol.asyncIterator]();
      expect(JSON.parse(String((await lines.next()).value))).toMatchObject({ head: { seq: 5 } });
      await admin.prune({ keepLedgerDays: soon, keepTombstoneDays: null });
      await expect(lines.next()).rejects.toMatchObject({ code: 'OCT_VERSION_CONFLICT' });
      expect(await exported()).toHaveLength(2);
    });

    test('does nothing twice', async () => {
      const options = { keepLedgerDays: soon, keepTombstoneDays: null };
      await admin.prune(options);
      expect((await admin.prune(options)).chains.filter(({ stream }) => stream === task.id)).toEqual([]);
    });

    test('is done once by two who do it at the same time', async () => {
      const options = { keepLedgerDays: soon, keepTombstoneDays: null };
      const reports = await Promise.all([admin.prune(options), admin.prune(options)]);
      const told = reports.flatMap(({ chains }) => chains).filter(({ stream }) => stream === task.id);
      expect(told).toHaveLength(1);
      expect(await registry.ledger.read(task.id)).toMatchObject([{ type: 'ledger.pruned' }]);
      expect(await admin.verify()).toMatchObject({ ok: true });
    });

    test('forgets deleted tasks after their time, and keeps the head that they had', async () => {
      const last = await deleteTask();
      const options = { keepLedgerDays: null, keepTombstoneDays: 11 };
      expect(await admin.prune(options)).toMatchObject({ tombstones: [] });
      expect(await admin.prune({ ...options, keepTombstoneDays: 9 })).toMatchObject({ tombstones: [task.id] });
      expect(await registry.tasks.findReceipt(task.id)).toBeUndefined();
      expect(await registry.ledger.listStreams()).not.toContain(task.id);
      const [record] = await registry.ledger.read('home', { newestFirst: true, limit: 1 });
      expect(record?.type).toBe('ledger.forgotten');
      expect(JSON.parse(record?.payload ?? '')).toMatchObject({ detail: { head: { seq: 6, hash: last.hash } } });
      expect(await admin.verify()).toMatchObject({ ok: true });
    });

    test('keeps the last state of a deleted task, however often, and whoever takes it in gets a tombstone', async () => {
      await deleteTask();
      for (const _ of [1, 2]) {
        await admin.prune({ keepLedgerDays: soon, keepTombstoneDays: null });
        const [record] = await registry.ledger.read(task.id);
        const { puts } = JSON.parse(record?.payload ?? '') as RecordPayload;
        expect(puts.find(({ noun }) => noun === 'task')?.value).toEqual(task);
        await registry.tasks.commit({ records: [sampleDraft(task.id, 'memory.healed')] });
      }
      expect(await admin.verify()).toMatchObject({ ok: true, problems: [] });
      const other = await open();
      await other.admin.importLedger(await exported());
      expect(await other.tasks.findTask(task.id)).toBeUndefined();
      expect(await other.tasks.findReceipt(task.id)).toMatchObject({ taskId: task.id });
      await other.close();
    });
  });
}
