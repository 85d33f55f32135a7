import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ChainHead, type Put, type Task, type TaskId, sha256 } from '@opencode-tools/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { forgeRecord, plantVictim } from './forge-ledger.ts';
import type { OpenRegistry } from './open-registry.ts';
import {
  addRows,
  addTask,
  sampleDecision,
  sampleExecution,
  sampleNote,
  sampleTask,
  sampleTodo,
} from './registry-samples.ts';

const ledgerName = 'ledger.jsonl';

/** Says what every store does with the memory of tasks in folders of repositories. Called at the top level of a test file. */
export function memoryFolderContract(name: string, open: () => Promise<OpenRegistry>): void {
  describe(`${name} and memory in folders`, () => {
    let registry: OpenRegistry;
    let other: OpenRegistry;
    let base: string;
    let repository: string;
    let task: Task;
    beforeEach(async () => {
      [registry, other] = [await open(), await open()];
      base = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'oct-folder-')));
      repository = join(base, 'repository');
      fs.mkdirSync(repository);
      task = await addTask(registry.tasks, { title: 'Remember' });
      await addRows(
        registry.tasks,
        task.id,
        { noun: 'todo', value: sampleTodo(task.id) },
        { noun: 'decision', value: sampleDecision(task.id, { executionIds: ['exe_0000000000000000000000000a'] }) },
        { noun: 'note', value: sampleNote(task.id, { text: 'two\nlines' }) },
        { noun: 'execution', value: sampleExecution(task.id) },
      );
    });
    afterEach(async () => {
      await registry.close();
      await other.close();
      fs.rmSync(base, { recursive: true, force: true });
    });

    const folder = (taskId = task.id) => join(repository, '.task-memory', taskId);
    const file = (fileName: string) => join(folder(), fileName);
    const everything = () => fs.readdirSync(folder()).map((each) => [each, fs.readFileSync(file(each), 'utf8')]);
    const note = (text: string): Put => ({ noun: 'note', value: sampleNote(task.id, { text }) });
    const tasksOf = async (store: OpenRegistry) => (await store.tasks.listTasks({})).items;

    test('are written one fact a line, and not again while nothing changes', async () => {
      const first = await registry.admin.exportMemory(task.id, repository);
      expect(first).toMatchObject({ taskId: task.id, path: folder(), changed: true, head: { seq: 2 } });
      const before = everything();
      expect(before.map(([each]) => each)).toEqual([
        'decisions.md',
        'executions.jsonl',
        ledgerName,
        'manifest.json',
        'notes.jsonl',
        'state.json',
        'todos.jsonl',
      ]);
      expect(fs.readFileSync(file('notes.jsonl'), 'utf8').split('\n')).toHaveLength(2);
      expect(fs.readFileSync(file('decisions.md'), 'utf8')).toContain(
        'Evidence: execution exe_0000000000000000000000000a',
      );
      const { ino, mtimeMs } = fs.statSync(folder());
      expect(await registry.admin.exportMemory(task.id, repository)).toMatchObject({ changed: false });
      expect(fs.statSync(folder())).toMatchObject({ ino, mtimeMs });
      await registry.admin.exportMemory(task.id, base);
      fs.rmSync(repository, { recursive: true });
      fs.renameSync(join(base, '.task-memory'), join(base, 'moved'));
      fs.mkdirSync(repository);
      fs.renameSync(join(base, 'moved'), join(repository, '.task-memory'));
      expect(everything()).toEqual(before);
    });

    test('are taken in with all rows, go on from what is there, and are compared', async () => {
      await registry.admin.exportMemory(task.id, repository);
      const [taken] = await other.admin.importMemory(repository);
      expect(taken).toEqual({
        taskId: task.id,
        homeId: registry.tasks.homeId,
        added: 2,
        head: await registry.ledger.head(task.id),
      });
      expect(await other.tasks.getTask(task.id)).toEqual(task);
      expect(await other.tasks.listDecisions(task.id)).toEqual(await registry.tasks.listDecisions(task.id));
      expect(await other.tasks.listTodos(task.id)).toEqual(await registry.tasks.listTodos(task.id));
      expect(await other.ledger.verify(task.id)).toMatchObject({ records: 2, broken: null });
      await addRows(registry.tasks, task.id, note('later'));
      await registry.admin.exportMemory(task.id, repository);
      expect(await other.admin.importMemory(repository)).toMatchObject([{ added: 1 }]);
      expect(await other.admin.importMemory(repository)).toMatchObject([{ added: 0 }]);
      expect((await other.tasks.listNotes(task.id)).map(({ text }) => text)).toContain('later');
      expect(await registry.admin.importMemory(repository)).toMatchObject([{ added: 0 }]);
      await addRows(other.tasks, task.id, note('here'));
      await addRows(registry.tasks, task.id, note('there'));
      await registry.admin.exportMemory(task.id, repository);
      await expect(other.admin.importMemory(repository)).rejects.toMatchObject({ code: 'OCT_LEDGER_BROKEN' });
      expect(await other.admin.verify()).toMatchObject({ ok: true, problems: [] });
    });

    test('hold several tasks, of which none is taken in when one is damaged', async () => {
      const second = await addTask(registry.tasks);
      for (const { id } of [task, second]) await registry.admin.exportMemory(id, repository);
      fs.appendFileSync(join(folder(second.id), 'state.json'), ' ');
      await expect(other.admin.importMemory(repository)).rejects.toMatchObject({ code: 'OCT_STATE_CORRUPT' });
      expect(await tasksOf(other)).toEqual([]);
      await registry.admin.exportMemory(second.id, repository);
      expect((await other.admin.importMemory(repository)).map(({ taskId }) => taskId)).toEqual([task.id, second.id]);
    });

    const spoils: readonly (readonly [string, (path: string) => void])[] = [
      ['cut', (path) => fs.truncateSync(path, fs.statSync(path).size - 1)],
      ['emptied', (path) => fs.truncateSync(path)],
      ['with a bit flipped', flip],
      ['missing', (path) => fs.rmSync(path)],
      ['a directory', (path) => [fs.rmSync(path), fs.mkdirSync(path)]],
    ];
    test.each(spoils)('with any file %s are refused, and exported again whole', async (_, spoil) => {
      await registry.admin.exportMemory(task.id, repository);
      const sound = everything();
      for (const each of fs.readdirSync(folder())) {
        spoil(file(each));
        await expect(other.admin.importMemory(repository)).rejects.toMatchObject({
          code: 'OCT_STATE_CORRUPT',
          ...(each === 'manifest.json' ? {} : { details: { file: each } }),
        });
        if (fs.statSync(file(each), { throwIfNoEntry: false })?.isDirectory()) fs.rmdirSync(file(each));
        expect(await registry.admin.exportMemory(task.id, repository)).toMatchObject({ changed: true });
        expect(everything()).toEqual(sound);
      }
      expect(await tasksOf(other)).toEqual([]);
    });

    test('of a newer version are refused by their version', async () => {
      await registry.admin.exportMemory(task.id, repository);
      const manifest = JSON.parse(fs.readFileSync(file('manifest.json'), 'utf8')) as object;
      fs.writeFileSync(file('manifest.json'), JSON.stringify({ ...manifest, v: 2, more: [] }));
      await expect(other.admin.importMemory(repository)).rejects.toMatchObject({ code: 'OCT_SCHEMA_TOO_NEW' });
    });

    test('are neither written nor read through a link, and never over what others put there', async () => {
      const outside = join(base, 'outside');
      fs.mkdirSync(outside);
      const refused = { code: 'OCT_PATH_OUTSIDE_WORKSPACE' };
      fs.symlinkSync(outside, join(repository, '.task-memory'));
      await expect(registry.admin.exportMemory(task.id, repository)).rejects.toMatchObject(refused);
      await expect(other.admin.importMemory(repository)).rejects.toMatchObject(refused);
      fs.rmSync(join(repository, '.task-memory'));
      fs.mkdirSync(join(repository, '.task-memory'));
      fs.symlinkSync(outside, folder());
      await expect(registry.admin.exportMemory(task.id, repository)).rejects.toMatchObject(refused);
      await expect(other.admin.importMemory(repository)).rejects.toMatchObject(refused);
      fs.rmSync(folder());
      expect(fs.readdirSync(outside)).toEqual([]);
      await registry.admin.exportMemory(task.id, repository);
      fs.renameSync(file(ledgerName), join(outside, 'target'));
      fs.symlinkSync(join(outside, 'target'), file(ledgerName));
      await expect(other.admin.importMemory(repository)).rejects.toMatchObject(refused);
      const target = fs.readFileSync(join(outside, 'target'), 'utf8');
      await addRows(registry.tasks, task.id, note('more'));
      await registry.admin.exportMemory(task.id, repository);
      expect(fs.lstatSync(file(ledgerName)).isFile()).toBe(true);
      expect(fs.readFileSync(join(outside, 'target'), 'utf8')).toBe(target);
      fs.writeFileSync(file('mine.txt'), 'mine');
      await expect(registry.admin.exportMemory(task.id, repository)).rejects.toMatchObject({
        code: 'OCT_INVALID_ARGUMENT',
      });
      expect(fs.readFileSync(file('mine.txt'), 'utf8')).toBe('mine');
      await expect(registry.admin.exportMemory(task.id, registry.directory)).rejects.toMatchObject({
        code: 'OCT_INVALID_ARGUMENT',
      });
      await expect(registry.admin.exportMemory(task.id, join(base, 'none'))).rejects.toMatchObject({
        code: 'OCT_INVALID_ARGUMENT',
      });
    });

    test('whose export was cut off are those before it, and the next export tidies up', async () => {
      await registry.admin.exportMemory(task.id, repository);
      const top = join(repository, '.task-memory');
      fs.renameSync(folder(), join(top, `.${task.id}.old`));
      const left = join(top, `.${task.id}.999999999-0123456789ab.new`);
      fs.mkdirSync(left);
      fs.writeFileSync(join(left, ledgerName), 'half');
      expect(await other.admin.importMemory(repository)).toMatchObject([{ added: 2 }]);
      expect(await registry.admin.exportMemory(task.id, repository)).toMatchObject({ changed: false });
      expect(fs.readdirSync(top)).toEqual([task.id]);
    });

    test('with something of others in the way are refused by its name, and nothing of it is touched', async () => {
      await registry.admin.exportMemory(task.id, repository);
      const top = join(repository, '.task-memory');
      const old = join(top, `.${task.id}.old`);
      fs.mkdirSync(join(old, ledgerName), { recursive: true });
      fs.writeFileSync(join(old, 'mine.txt'), 'mine');
      await addRows(registry.tasks, task.id, note('more'));
      const refused = { code: 'OCT_INVALID_ARGUMENT', message: expect.stringContaining(`.${task.id}.old`) };
      await expect(registry.admin.exportMemory(task.id, repository)).rejects.toMatchObject(refused);
      expect(fs.readFileSync(join(old, 'mine.txt'), 'utf8')).toBe('mine');
      expect(await other.admin.importMemory(repository)).toMatchObject([{ added: 2 }]);
      fs.rmSync(old, { recursive: true });
      fs.rmSync(file(ledgerName));
      fs.mkdirSync(file(ledgerName));
      fs.writeFileSync(join(file(ledgerName), 'mine.txt'), 'mine');
      await expect(registry.admin.exportMemory(task.id, repository)).rejects.toMatchObject({
        code: 'OCT_INVALID_ARGUMENT',
        message: expect.stringContaining(ledgerName),
      });
      expect(fs.readFileSync(join(file(ledgerName), 'mine.txt'), 'utf8')).toBe('mine');
    });

    test('that several export at once are whole', async () => {
      const exports = [1, 2, 3, 4].map(async (number) => {
        await addRows(registry.tasks, task.id, note(String(number)));
        await registry.admin.exportMemory(task.id, repository);
      });
      await Promise.all(exports);
      await registry.admin.exportMemory(task.id, repository);
      expect(await other.admin.importMemory(repository)).toMatchObject([{ head: await registry.ledger.head(task.id) }]);
      expect(fs.readdirSync(join(repository, '.task-memory'))).toEqual([task.id]);
    });

    describe('made by somebody else', () => {
      /** Appends a record that fits, with digests that fit. */
      const forge = (taskId: TaskId, ...puts: readonly Put[]): void => {
        const path = (fileName: string) => join(folder(taskId), fileName);
        const lines = forgeRecord(fs.readFileSync(path(ledgerName), 'utf8').trimEnd().split('\n'), puts);
        const { head } = JSON.parse(lines[0] ?? '') as { head: ChainHead };
        fs.writeFileSync(path(ledgerName), lines.map((line) => `${line}\n`).join(''));
        const text = fs.readFileSync(path('manifest.json'), 'utf8');
        const before = JSON.parse(text) as { files: Record<string, string>; ledger: { hash: string } };
        const digest = sha256(fs.readFileSync(path(ledgerName)));
        const changed = text
          .replace(before.files[ledgerName] ?? '', digest)
          .replace(before.ledger.hash, head.hash)
          .replace(/"seq": \d+/, `"seq": ${head.seq}`);
        fs.writeFileSync(path('manifest.json'), changed);
      };
      const refused = { code: 'OCT_POLICY_DENIED' };

      test('go on with a task of another home as long as they write rows of that task only', async () => {
        await registry.admin.exportMemory(task.id, repository);
        await other.admin.importMemory(repository);
        forge(task.id, note('fits'));
        expect(await other.admin.importMemory(repository)).toMatchObject([{ added: 1 }]);
      });

      test('never change a task of this home', async () => {
        await registry.admin.exportMemory(task.id, repository);
        forge(task.id, { noun: 'task', value: { ...task, title: 'forged', version: 2 } });
        await expect(registry.admin.importMemory(repository)).rejects.toMatchObject(refused);
        expect(await registry.tasks.getTask(task.id)).toEqual(task);
      });

      test('never change or remove rows of another task, nor bring a task of this home', async () => {
        const { mine, checkpoint, decision, todo, expectUnchanged } = await plantVictim(other);
        const hostile: readonly Put[] = [
          { noun: 'task', value: { ...mine, title: 'forged', version: 2 } },
          { noun: 'task', value: sampleTask(other.tasks.homeId, { id: task.id, version: 2 }) },
          { noun: 'checkpointRemoval', value: { id: checkpoint.id, taskId: mine.id } },
          { noun: 'checkpointRemoval', value: { id: checkpoint.id, taskId: task.id } },
          { noun: 'decision', value: { ...decision, taskId: task.id, what: 'forged' } },
          { noun: 'todo', value: { ...todo, taskId: task.id, version: 2 } },
          { noun: 'nothing', value: { taskId: task.id } } as never,
        ];
        for (const known of [false, true]) {
          for (const put of hostile) {
            await registry.admin.exportMemory(task.id, repository);
            if (known) await other.admin.importMemory(repository);
            forge(task.id, put);
            await expect(other.admin.importMemory(repository)).rejects.toMatchObject(refused);
          }
        }
        await expectUnchanged();
      });
    });
  });
}

function flip(path: string): void {
  const bytes = fs.readFileSync(path);
  const at = Math.floor(bytes.length / 2);
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  fs.writeFileSync(path, bytes);
}
