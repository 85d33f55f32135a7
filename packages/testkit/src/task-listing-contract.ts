import {
  type Page,
  type Task,
  type TaskFilter,
  type TaskOrder,
  type TaskStore,
  taskStatuses,
} from '@opencode-tools/core';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { OpenRegistry } from './open-registry.ts';
import {
  addRows,
  addTask,
  sampleDecision,
  sampleDraft,
  sampleExecution,
  sampleMessage,
  sampleNote,
  sampleSession,
  sampleTask,
  sampleTodo,
} from './registry-samples.ts';

/** Says how every `TaskStore` lists, filters, pages and searches. Called at the top level of a test file. */
export function taskListingContract(name: string, open: () => Promise<OpenRegistry>): void {
  describe(`${name} as a list of tasks`, () => {
    let registry: OpenRegistry;
    let tasks: TaskStore;
    beforeEach(async () => {
      registry = await open();
      ({ tasks } = registry);
    });
    afterEach(async () => registry.close());

    const titles = async (filter: TaskFilter) =>
      (await tasks.listTasks(filter)).items.map(({ title }) => title).toSorted();

    test('filters by status, label, owner, project, parent, agent and time', async () => {
      const described = { labels: { area: 'ui', team: 'a' }, owner: 'ann', project: 'p' };
      const one = await addTask(tasks, { title: 'one', createdAt: stamp(1), ...described });
      const two = await addTask(tasks, {
        title: 'two',
        labels: { area: 'db' },
        parentId: one.id,
        createdAt: stamp(10),
        workspace: { mode: 'bind', path: '/srv/two' },
      });
      await addRows(tasks, two.id, { noun: 'task', value: { ...two, status: 'running', version: 2 } });
      await addRows(tasks, two.id, { noun: 'session', value: sampleSession(two.id, { agent: 'claude' }) });
      expect(await titles({ status: ['running'] })).toEqual(['two']);
      expect(await titles({ status: ['running', 'pending'] })).toEqual(['one', 'two']);
      expect(await titles({ status: [] })).toEqual([]);
      expect(await titles({ label: { name: 'area' } })).toEqual(['one', 'two']);
      expect(await titles({ label: { name: 'area', value: 'ui' } })).toEqual(['one']);
      expect(await titles({ owner: 'ann', project: 'p' })).toEqual(['one']);
      expect(await titles({ parentId: one.id })).toEqual(['two']);
      expect(await titles({ agent: 'claude' })).toEqual(['two']);
      expect(await titles({ bound: true })).toEqual(['two']);
      expect(await titles({ createdAfter: stamp(5) })).toEqual(['two']);
      expect(await titles({ createdBefore: stamp(10) })).toEqual(['one']);
      expect(await titles({ status: ['running'], owner: 'ann' })).toEqual([]);
    });

    test('follows a change of labels', async () => {
      const task = await addTask(tasks, { title: 'it', labels: { area: 'ui' } });
      await addRows(tasks, task.id, { noun: 'task', value: { ...task, labels: { area: 'db' }, version: 2 } });
      expect(await titles({ label: { name: 'area', value: 'ui' } })).toEqual([]);
      expect(await titles({ label: { name: 'area', value: 'db' } })).toEqual(['it']);
    });

    test('finds a word that most tasks have in their order, page by page, and beside other conditions', async () => {
      const samples = Array.from({ length: 450 }, (_, index) =>
        sampleTask(tasks.homeId, {
          title: `common ${index === 7 ? 'rare' : 'frequent'}`,
          status: index % 3 === 0 ? 'running' : 'pending',
          createdAt: stamp((index * 7) % 450),
        }),
      );
      const records = samples.map((value) => sampleDraft(value.id, 'task.created', { noun: 'task', value }));
      await tasks.commit({ records });
      await addTask(tasks, { title: 'other' });
      const newest = (of: readonly Task[]) =>
        of.map(({ createdAt }) => createdAt).toSorted((left, right) => (left < right ? 1 : -1));
      const found = await allPages((cursor) =>
        tasks.listTasks({ text: 'common' }, { limit: 200, ...(cursor === null ? {} : { cursor }) }),
      );
      expect(found.map(({ createdAt }) => createdAt)).toEqual(newest(samples));
      const running = await tasks.listTasks({ text: 'common frequ', status: ['running'] }, { limit: 500 });
      expect(running.items.map(({ createdAt }) => createdAt)).toEqual(
        newest(samples.filter(({ status }) => status === 'running')),
      );
      expect(await titles({ text: 'common rare' })).toEqual(['common rare']);
    });

    test('finds a word that is in very many texts, alone and beside one that is in few', async () => {
      const talkative = await addTask(tasks, { title: 'talkative' });
      const notes = Array.from({ length: 1_600 }, () => sampleNote(talkative.id, { text: 'everywhere' }));
      const records = notes.map((value) => sampleDraft(talkative.id, 'note.added', { noun: 'note', value }));
      await tasks.commit({ records });
      await addTask(tasks, { title: 'everywhere seldom', createdAt: stamp(9) });
      expect(await titles({ text: 'everywh' })).toEqual(['everywhere seldom', 'talkative'].toSorted());
      expect(await titles({ text: 'everywhere seld' })).toEqual(['everywhere seldom']);
      expect(await titles({ text: 'everywhere never' })).toEqual([]);
    });

    test('finds words in title, description, decisions, todos and notes', async () => {
      const task = await addTask(tasks, { title: 'Refactor the Größe parser', description: 'see issue #4711' });
      await addTask(tasks, { title: 'Other', description: '' });
      const todo = sampleTodo(task.id, { text: 'benchmark it' });
      await addRows(
        tasks,
        task.id,
        { noun: 'decision', value: sampleDecision(task.id, { what: 'Tokenise by hand', why: 'speed' }) },
        { noun: 'todo', value: todo },
        { noun: 'note', value: sampleNote(task.id, { text: 'naïve café' }) },
      );
      for (const text of ['refactor', 'größe parser', '4711', 'tokenise', 'BENCHMARK', 'cafe', 'pars benchm']) {
        expect({ text, found: await titles({ text }) }).toEqual({ text, found: ['Refactor the Größe parser'] });
      }
      for (const text of ['absent', 'refactor absent', '"', "'; drop table tasks", '* OR 1']) {
        expect({ text, found: await titles({ text }) }).toEqual({ text, found: [] });
      }
      await addRows(tasks, task.id, { noun: 'todo', value: { ...todo, text: 'profile it', version: 2 } });
      expect(await titles({ text: 'benchmark' })).toEqual([]);
      expect(await titles({ text: 'profile' })).toEqual(['Refactor the Größe parser']);
    });

    test('takes any text to search for', async () => {
      await addTask(tasks, { title: 'plain' });
      await fc.assert(
        fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 40 }), async (text) => {
          expect((await tasks.listTasks({ text })).next).toBeNull();
        }),
        { numRuns: 60 },
      );
    });

    test.each<TaskOrder>(['newest', 'oldest', 'updated'])(
      'pages through all tasks once, in the order %s',
      async (order) => {
        for (let index = 0; index < 23; index += 1) {
          await addTask(tasks, { title: String(index), createdAt: stamp(index % 7), updatedAt: stamp(index % 5) });
        }
        const whole = await tasks.listTasks({}, { order, limit: 500 });
        expect(whole.next).toBeNull();
        const paged = await allPages((cursor) =>
          tasks.listTasks({}, { order, limit: 4, ...(cursor === null ? {} : { cursor }) }),
        );
        expect(paged).toEqual(whole.items);
        const column = order === 'updated' ? 'updatedAt' : 'createdAt';
        const sorted = whole.items.map((task) => task[column]).toSorted();
        expect(whole.items.map((task) => task[column])).toEqual(order === 'oldest' ? sorted : sorted.toReversed());
      },
    );

    test('a page is not disturbed by tasks that are added meanwhile', async () => {
      for (let index = 0; index < 6; index += 1)
        await addTask(tasks, { title: String(index), createdAt: stamp(index) });
      const first = await tasks.listTasks({}, { limit: 3 });
      await addTask(tasks, { title: 'new', createdAt: stamp(50) });
      const second = await tasks.listTasks({}, { limit: 3, cursor: first.next ?? '' });
      expect([...first.items, ...second.items].map(({ title }) => title)).toEqual(['5', '4', '3', '2', '1', '0']);
    });

    test.each([
      { limit: 0 },
      { limit: 501 },
      { limit: 1.5 },
      { cursor: 'nonsense' },
      { cursor: Buffer.from('["tasks:newest",1,2]').toString('base64url') },
    ])('refuses the page %o', async (page) => {
      await expect(tasks.listTasks({}, page)).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
    });

    test('refuses the cursor of another order', async () => {
      for (let index = 0; index < 2; index += 1) await addTask(tasks);
      const { next } = await tasks.listTasks({}, { limit: 1 });
      await expect(tasks.listTasks({}, { order: 'oldest', cursor: next ?? '' })).rejects.toMatchObject({
        code: 'OCT_INVALID_ARGUMENT',
      });
    });

    test('lists executions newest first, page by page, and counts them', async () => {
      const task = await addTask(tasks);
      for (let index = 0; index < 7; index += 1) {
        await addRows(tasks, task.id, {
          noun: 'execution',
          value: sampleExecution(task.id, { startedAt: stamp(index) }),
        });
      }
      const all = await allPages((cursor) =>
        tasks.listExecutions(task.id, { limit: 3, ...(cursor === null ? {} : { cursor }) }),
      );
      expect(all.map(({ startedAt }) => startedAt)).toEqual([6, 5, 4, 3, 2, 1, 0].map(stamp));
      expect(await tasks.countExecutions(task.id)).toBe(7);
    });

    test('lists messages newest first, page by page', async () => {
      const task = await addTask(tasks);
      const other = await addTask(tasks);
      for (let index = 0; index < 5; index += 1) {
        await addRows(tasks, task.id, { noun: 'message', value: sampleMessage(task.id, { createdAt: stamp(index) }) });
      }
      await addRows(tasks, other.id, { noun: 'message', value: sampleMessage(other.id) });
      const all = await allPages((cursor) =>
        tasks.listMessages(task.id, { limit: 2, ...(cursor === null ? {} : { cursor }) }),
      );
      expect(all.map(({ createdAt }) => createdAt)).toEqual([4, 3, 2, 1, 0].map(stamp));
      const { next } = await tasks.listMessages(task.id, { limit: 1 });
      await expect(tasks.listExecutions(task.id, { cursor: next ?? '' })).rejects.toMatchObject({
        code: 'OCT_INVALID_ARGUMENT',
      });
    });

    test('finds tasks by what was said in them', async () => {
      const task = await addTask(tasks);
      const value = sampleMessage(task.id, { text: 'Where is the rhubarb?' });
      await addRows(tasks, task.id, { noun: 'message', value });
      expect((await tasks.listTasks({ text: 'RHUB' })).items.map(({ id }) => id)).toEqual([task.id]);
    });

    test('finds a message of characters that are long words each', async () => {
      const long = Array.from({ length: 0x58 }, (_none, index) => String.fromCodePoint(0x3300 + index))
        .filter((character) => character.normalize('NFKD').replaceAll(/\p{M}/gu, '').length > 4)
        .slice(0, 10);
      const words = Array.from({ length: 7_600 }, (_none, index) =>
        Array.from(`${index}`.padStart(12, '0'), (digit) => long[Number(digit)])
          .toReversed()
          .join(''),
      );
      const task = await addTask(tasks);
      const text = `rhubarb ${words.join(' ')}`;
      await addRows(tasks, task.id, { noun: 'message', value: sampleMessage(task.id, { text }) });
      expect((await tasks.listMessages(task.id)).items[0]?.text).toBe(text);
      for (const word of ['rhubarb', ...words.slice(0, 5)])
        expect((await tasks.listTasks({ text: word })).items.map(({ id }) => id)).toEqual([task.id]);
    });

    test('every filter answers on an empty registry', async () => {
      expect(await tasks.listTasks({ status: [...taskStatuses], text: 'x', agent: 'a' })).toEqual({
        items: [],
        next: null,
      });
    });
  });
}

function stamp(minute: number): string {
  return `2026-11-20T08:${String(minute).padStart(2, '0')}:00.000Z`;
}

async function allPages<T>(page: (cursor: string | null) => Promise<Page<T>>): Promise<readonly T[]> {
  const items: T[] = [];
  let cursor: string | null = null;
  do {
    const found: Page<T> = await page(cursor);
    items.push(...found.items);
    cursor = found.next;
  } while (cursor !== null);
  return items;
}
