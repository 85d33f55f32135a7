import type { Put, Task } from '@opencode-tools/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { changeRecord, forgeRecord, plantVictim } from './forge-ledger.ts';
import type { OpenRegistry } from './open-registry.ts';
import {
  addRows,
  addTask,
  sampleCheckpoint,
  sampleDecision,
  sampleExecution,
  sampleIds,
  sampleNote,
  sampleSession,
} from './registry-samples.ts';

const refused = { code: 'OCT_POLICY_DENIED' };

/** Says what an administered store takes in of ledgers that somebody else made; part of the contract of `StoreAdmin`. */
export function forgedLedgerContract(open: () => Promise<OpenRegistry>): void {
  describe('an exported ledger made by somebody else', () => {
    let registry: OpenRegistry;
    let other: OpenRegistry;
    let task: Task;
    beforeEach(async () => {
      [registry, other] = [await open(), await open()];
      task = await addTask(registry.tasks);
      await addRows(registry.tasks, task.id, note());
    });
    afterEach(async () => {
      await registry.close();
      await other.close();
    });

    const note = (): Put => ({ noun: 'note', value: sampleNote(task.id) });
    const exported = async (of: Task = task, from = registry) => {
      const lines: string[] = [];
      for await (const line of from.admin.exportLedger(of.id)) lines.push(line);
      return lines;
    };

    test('goes on as long as it writes rows of its own task', async () => {
      const lines = await exported();
      await other.admin.importLedger(lines);
      const value = sampleCheckpoint(task.id);
      const removal = { id: value.id, taskId: task.id };
      const { tags: _, ...before } = value;
      const more = forgeRecord(forgeRecord(lines, [note(), { noun: 'checkpoint', value: before as typeof value }]), [
        { noun: 'checkpointRemoval', value: removal },
      ]);
      expect(await other.admin.importLedger(more)).toMatchObject({ added: 2 });
      expect(await other.tasks.listNotes(task.id)).toHaveLength(2);
      expect(await registry.admin.importLedgers(more)).toEqual({ chains: 1, added: 2 });
    });

    test('never changes or removes rows of another task', async () => {
      const { mine, checkpoint, decision, todo, expectUnchanged } = await plantVictim(other);
      const hostile: readonly Put[] = [
        { noun: 'task', value: { ...mine, title: 'forged', version: 2 } },
        { noun: 'checkpointRemoval', value: { id: checkpoint.id, taskId: mine.id } },
        { noun: 'checkpointRemoval', value: { id: checkpoint.id, taskId: task.id } },
        { noun: 'checkpoint', value: { ...checkpoint, taskId: task.id, name: 'forged' } },
        { noun: 'decision', value: { ...decision, taskId: task.id, what: 'forged' } },
        { noun: 'todo', value: { ...todo, taskId: task.id, version: 2 } },
        // What it is found by would be that of the decision.
        { noun: 'note', value: sampleNote(task.id, { id: decision.id as never, text: 'forged' }) },
        { noun: 'note', value: { taskId: task.id } as never },
        { noun: 'constructor', value: { id: task.id, taskId: task.id } } as never,
        { noun: 'nothing', value: { taskId: task.id } } as never,
        null as never,
      ];
      const sound = await exported();
      for (const known of [false, true]) {
        if (known) await other.admin.importLedger(sound);
        for (const put of hostile) {
          const forged = forgeRecord(sound, [note(), put]);
          await expect(other.admin.importLedger(forged)).rejects.toMatchObject(refused);
          await expect(other.admin.importLedgers(forged)).rejects.toMatchObject(refused);
        }
        expect(await other.ledger.listStreams()).toHaveLength(known ? 3 : 2);
      }
      await expectUnchanged();
      expect((await other.tasks.listTasks({ text: decision.what })).items).toEqual([mine]);
    });

    test('never takes the place of a row that comes with it', async () => {
      const second = await addTask(registry.tasks);
      const decision = sampleDecision(second.id);
      const before = await exported(second);
      await addRows(registry.tasks, second.id, { noun: 'decision', value: decision });
      const taken: Put = { noun: 'decision', value: { ...decision, taskId: task.id, what: 'forged' } };
      const lines = [...forgeRecord(await exported(), [taken]), ...(await exported(second))];
      await expect(other.admin.importLedgers(lines)).rejects.toMatchObject(refused);
      await other.admin.importLedgers([...(await exported()), ...before]);
      await expect(other.admin.importLedgers(lines)).rejects.toMatchObject(refused);
      expect(await other.tasks.listDecisions(task.id)).toEqual([]);
    });

    test('without puts is refused as one that is broken', async () => {
      const forged = forgeRecord(await exported(), null as never);
      const broken = { code: 'OCT_LEDGER_BROKEN', details: { fault: 'unparsable', seq: 3 } };
      await expect(other.admin.importLedger(forged)).rejects.toMatchObject(broken);
    });

    test('with what no row can be is refused, whatever it names', async () => {
      const sound = await exported();
      const value = { ...task, version: 2 };
      const hostile: readonly Put[] = [
        { noun: 'task', value: { ...value, workspace: null } as never },
        { noun: 'task', value: { ...value, labels: null } as never },
        { noun: 'task', value: { ...value, title: {} } as never },
        { noun: 'task', value: { ...value, title: 'a\0b' } },
        { noun: 'task', value: { ...value, createdAt: 'soon' } },
        { noun: 'task', value: { id: task.id, homeId: task.homeId, version: 2 } as never },
        { noun: 'checkpoint', value: { ...sampleCheckpoint(task.id), workspace: { id: '../..' } as never } },
        { noun: 'decision', value: { ...sampleDecision(task.id), alternatives: null as never } },
        { noun: 'execution', value: { ...sampleExecution(task.id), command: null as never } },
        { noun: 'lease', value: { taskId: task.id, id: sampleIds.next('lease'), token: 'x' } as never },
        { noun: 'receipt', value: { taskId: task.id } as never },
        { noun: 'session', value: { ...sampleSession(task.id), process: { pid: 1 } as never } },
      ];
      for (const known of [false, true]) {
        if (known) await other.admin.importLedger(sound);
        for (const put of hostile) {
          const broken = { code: 'OCT_LEDGER_BROKEN', details: { fault: 'unparsable', seq: 3 } };
          await expect(other.admin.importLedger(forgeRecord(sound, [put]))).rejects.toMatchObject(broken);
        }
      }
      const outside = { ...sampleCheckpoint(task.id), id: '../../../outside' as never };
      const forged = forgeRecord(sound, [{ noun: 'checkpoint', value: outside }]);
      await expect(other.admin.importLedger(forged)).rejects.toMatchObject(refused);
      expect(await other.admin.verify()).toMatchObject({ ok: true, problems: [] });
    });

    test('whose header or records are of other kinds is refused as none', async () => {
      const [header = '', ...records] = await exported();
      const changed = (change: object) => [
        JSON.stringify({ ...(JSON.parse(header) as object), ...change }),
        ...records,
      ];
      for (const change of [{ homeId: 5 }, { homeId: '../..' }, { base: { seq: -1, hash: '0'.repeat(64) } }]) {
        await expect(other.admin.importLedger(changed(change))).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
      }
      const sound = [header, ...records];
      const nested = (line: string) => line.replaceAll('"deep"', `${'['.repeat(50_000)}${']'.repeat(50_000)}`);
      const others = [{ type: 'deep' }, { actor: null }, { actor: { id: 'deep' } }, { payload: 5 }, { hash: null }];
      for (const change of others) {
        const lines = changeRecord(sound, 1, (record) => ({ ...record, ...change })).map(nested);
        await expect(other.admin.importLedger(lines)).rejects.toMatchObject({ code: 'OCT_LEDGER_BROKEN' });
      }
    });

    test('of a deleted task brings its tombstone', async () => {
      const receipt = {
        taskId: task.id,
        title: task.title,
        deletedAt: new Date().toISOString(),
        finalCheckpointId: null,
        memory: `tasks/${task.id}`,
        removed: { containers: 0, volumes: 0, networks: 0 },
        keptImages: [],
      };
      const lines = forgeRecord(await exported(), [{ noun: 'receipt', value: receipt }]);
      expect(await other.admin.importLedger(lines)).toMatchObject({ added: 3 });
      expect(await other.tasks.findReceipt(task.id)).toEqual(receipt);
    });
  });
}
