import type { StoreAdmin, Task } from '@opencode-tools/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { changeRecord } from './forge-ledger.ts';
import { forgedLedgerContract } from './forged-ledger-contract.ts';
import { leaseRequest } from './lease-samples.ts';
import type { OpenRegistry } from './open-registry.ts';
import { pruningContract } from './pruning-contract.ts';
import {
  addRows,
  addTask,
  sampleActor,
  sampleDecision,
  sampleDraft,
  sampleMessage,
  sampleNote,
  sampleSession,
  sampleTodo,
} from './registry-samples.ts';

/** Says what every `StoreAdmin` does. Called at the top level of a test file. */
export function storeAdminContract(name: string, open: () => Promise<OpenRegistry>): void {
  describe(`${name} as an administered store`, () => {
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
    const acquire = async () => {
      const session = sampleSession(task.id);
      const common = {
        actor: sampleActor,
        correlationId: null,
        takeover: true,
        mode: 'exclusive',
        maxAgents: 1,
      } as const;
      return (await registry.leases.acquire({ ...common, session, ttlMs: 60_000 })).lease;
    };
    const rows = async () => ({
      task: await registry.tasks.getTask(task.id),
      todos: await registry.tasks.listTodos(task.id),
      notes: await registry.tasks.listNotes(task.id),
      decisions: await registry.tasks.listDecisions(task.id),
      labelled: (await registry.tasks.listTasks({ label: { name: 'team' } })).items,
      found: (await registry.tasks.listTasks({ text: 'linter' })).items,
    });

    describe('an epoch', () => {
      test('ends every lease, and gives only tokens far above those before', async () => {
        const before = await acquire();
        expect(await admin.startEpoch('for a test')).toBe(2);
        expect(await registry.leases.listActive(task.id)).toEqual([]);
        expect((await acquire()).token).toBeGreaterThan(before.token + 2 ** 20 - 1);
        expect(await admin.startEpoch('again')).toBe(3);
        expect(await admin.status()).toMatchObject({ epoch: 3 });
        expect(await admin.verify()).toMatchObject({ ok: true, broken: [], problems: [] });
      });
    });

    describe('an epoch that starts while leases are taken', () => {
      test('ends each of them or comes before it, and fails for none', async () => {
        const tasks = await Promise.all(Array.from({ length: 24 }, () => addTask(registry.tasks)));
        const session = (taskId: Task['id']) => ({ ...leaseRequest(taskId), session: sampleSession(taskId) });
        const before = (await admin.status()).epoch;
        const [first, second, ...taken] = await Promise.allSettled([
          admin.startEpoch('in the middle'),
          admin.startEpoch('and again'),
          ...tasks.map(({ id }) => registry.leases.acquire(session(id))),
        ]);
        expect([first, second].map((each) => each?.status)).toEqual(['fulfilled', 'fulfilled']);
        expect((await admin.status()).epoch).toBe(before + 2);
        const floor = 2 * 2 ** 20;
        for (const each of taken) {
          if (each.status === 'rejected') expect(each.reason).toMatchObject({ code: 'OCT_VERSION_CONFLICT' });
          else {
            const { taskId, token } = each.value.lease;
            const active = await registry.leases.listActive(taskId);
            expect(active.map((lease) => lease.token)).toEqual(token > floor ? [token] : []);
          }
        }
        expect(await admin.verify()).toMatchObject({ ok: true, problems: [] });
      });
    });

    describe('an exported ledger', () => {
      test('is taken in by a registry that does not have the task, with all its rows', async () => {
        const lines = await exported();
        const before = await rows();
        const other = await open();
        const imported = await other.admin.importLedger(lines);
        expect(imported).toEqual({ stream: task.id, added: 5, head: await registry.ledger.head(task.id) });
        expect(await other.tasks.getTask(task.id)).toEqual(before.task);
        expect(await other.tasks.listTodos(task.id)).toEqual(before.todos);
        expect(await other.tasks.listDecisions(task.id)).toEqual(before.decisions);
        expect((await other.tasks.countTasks()).pending).toBe(1);
        expect(await other.ledger.verify(task.id)).toMatchObject({ records: 5, broken: null });
        expect(await other.admin.importLedger(lines)).toMatchObject({ added: 0 });
        expect(await other.admin.verify()).toMatchObject({ ok: true });
        await other.close();
      });

      test('goes on from what is there', async () => {
        const early = await exported();
        const other = await open();
        await other.admin.importLedger(early);
        await addRows(registry.tasks, task.id, { noun: 'note', value: sampleNote(task.id, { text: 'later' }) });
        expect(await other.admin.importLedger(await exported())).toMatchObject({ added: 1 });
        expect((await other.tasks.listNotes(task.id)).map(({ text }) => text)).toContain('later');
        expect(await other.admin.importLedger(early)).toMatchObject({ added: 0 });
        await other.close();
      });

      test('of many tasks is taken in with the others, and what is here already is not taken in again', async () => {
        const second = await addTask(registry.tasks, { description: 'with a needle', parentId: task.id });
        const lines = await exported();
        for await (const line of admin.exportLedger(second.id)) lines.push(line);
        const other = await open();
        expect(await other.admin.importLedgers(lines)).toEqual({ chains: 2, added: 6 });
        expect(await other.tasks.listNotes(task.id)).toEqual(await registry.tasks.listNotes(task.id));
        expect((await other.tasks.listTasks({ text: 'needle' })).items).toEqual([second]);
        expect((await other.tasks.countTasks()).pending).toBe(2);
        expect(await other.admin.importLedgers(lines)).toEqual({ chains: 2, added: 0 });
        await addRows(registry.tasks, task.id, { noun: 'note', value: sampleNote(task.id, { text: 'later' }) });
        expect(await other.admin.importLedgers(await exported())).toEqual({ chains: 1, added: 1 });
        const spoilt = [...(await exported()).slice(0, -1), ...lines];
        const refused = { code: 'OCT_LEDGER_BROKEN', details: { fault: 'head-mismatch' } };
        await expect(other.admin.importLedgers(spoilt)).rejects.toMatchObject(refused);
        expect(await other.admin.verify()).toMatchObject({ ok: true, problems: [] });
        await other.close();
      });

      const spoilt: readonly (readonly [string, string, (lines: string[]) => string[]])[] = [
        ['a gap', 'sequence-gap', (lines) => lines.toSpliced(3, 1)],
        ['a cut', 'head-mismatch', (lines) => lines.slice(0, -1)],
        [
          'a changed record',
          'hash-mismatch',
          (lines) => changeRecord(lines, 2, (record) => ({ ...record, type: 'note.gone' })),
        ],
        [
          'a changed payload',
          'payload-mismatch',
          (lines) => changeRecord(lines, 2, (record) => ({ ...record, payload: '{}' })),
        ],
        [
          'a payload taken out',
          'payload-missing',
          (lines) => changeRecord(lines, 2, (record) => ({ ...record, payload: null })),
        ],
        ['a line that is none', 'unparsable', (lines) => lines.with(2, '{"seq":')],
      ];
      test.each(spoilt)('with %s is refused, and nothing is taken in', async (_, fault, spoil) => {
        const lines = spoil(await exported());
        const other = await open();
        await expect(other.admin.importLedger(lines)).rejects.toMatchObject({
          code: 'OCT_LEDGER_BROKEN',
          details: { fault },
        });
        expect(await other.ledger.listStreams()).not.toContain(task.id);
        await other.close();
      });

      test('that went another way than the one that is here is refused', async () => {
        const other = await open();
        await other.admin.importLedger(await exported());
        await addRows(other.tasks, task.id, { noun: 'note', value: sampleNote(task.id) });
        await addRows(registry.tasks, task.id, { noun: 'note', value: sampleNote(task.id) });
        const refused = other.admin.importLedger(await exported());
        await expect(refused).rejects.toMatchObject({
          code: 'OCT_LEDGER_BROKEN',
          details: { fault: 'broken-link', seq: 6 },
        });
        await other.close();
      });

      test.each([
        ['nothing', []],
        ['other text', ['hello']],
      ])('is not %s', async (_, lines) => {
        await expect(admin.importLedger(lines)).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
      });
    });

    forgedLedgerContract(open);
    pruningContract(open);

    describe('an erased payload', () => {
      test('is gone from rows and file, and the chain stays whole', async () => {
        await registry.memory.project();
        await admin.erasePayloads(task.id, [3], { reason: 'a secret', actor: sampleActor });
        const records = await registry.ledger.read(task.id);
        expect(records[2]?.payload).toBeNull();
        expect(records.at(-1)).toMatchObject({ type: 'payload.erased' });
        expect(await registry.ledger.verify(task.id)).toMatchObject({ records: 6, broken: null });
        expect((await registry.memory.readLogTail(task.id, 10)).map(({ payload }) => payload === null)).toEqual([
          false,
          false,
          true,
          false,
          false,
          false,
        ]);
        expect((await registry.memory.heal(task.id)).healed).toEqual([]);
        const other = await open();
        expect(await other.admin.importLedger(await exported())).toMatchObject({ added: 6 });
        expect(await other.tasks.listNotes(task.id)).toEqual([]);
        await other.close();
      });

      test('of a message takes the message along, which no verb changes', async () => {
        const said = ['a token: rhubarb', 'rhubarb pie'].map((text) => sampleMessage(task.id, { text }));
        const records = said.map((value) => sampleDraft(task.id, 'message.added', { noun: 'message', value }));
        await registry.tasks.commit({ records });
        const { seq } = await registry.ledger.head(task.id);
        await admin.erasePayloads(task.id, [seq - 1], { reason: 'a secret', actor: sampleActor });
        const { items } = await registry.tasks.listMessages(task.id);
        expect(items.map(({ text }) => text).filter((text) => text?.includes('rhubarb'))).toEqual(['rhubarb pie']);
        const found = async (text: string) => (await registry.tasks.listTasks({ text })).items.length;
        expect([await found('token'), await found('pie')]).toEqual([0, 1]);
        expect(await admin.verify()).toMatchObject({ ok: true });
      });

      test('cannot be the one that says what was erased, nor one that is not there', async () => {
        await admin.erasePayloads(task.id, [3], { reason: 'a secret', actor: sampleActor });
        for (const seq of [6, 99]) {
          const refused = admin.erasePayloads(task.id, [seq], { reason: 'more', actor: sampleActor });
          await expect(refused).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
        }
      });
    });
  });
}
