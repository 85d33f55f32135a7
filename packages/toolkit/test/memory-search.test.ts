import type { Execution, MemoryKind, Task } from '@opencode-tools/core';
import { sampleDraft, sampleExecution } from '@opencode-tools/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type EnginelessHome, callBy, createEnginelessHome } from './support/home-without-engine.ts';

describe('the memory of a task', () => {
  let home: EnginelessHome;
  let task: Task;
  beforeAll(async () => {
    home = await createEnginelessHome();
    task = await home.create({});
    await fill(task);
  });
  afterAll(() => home.remove());

  const journal = () => home.open.services.journal;
  const ada = callBy('ada');

  async function fill({ id }: Task): Promise<void> {
    await journal().decide(id, { what: 'Use Postgres', why: 'Needs a migration', alternatives: ['MariaDB'] }, ada);
    await journal().addTodo(id, { text: 'Write the migration' }, ada);
    await journal().addNote(id, { text: 'The Migration takes an hour.\nRun it at night.' }, ada);
    await journal().addMessage(id, { role: 'user', text: 'Please migrate the crème brûlée shop.' }, ada);
    await journal().addMessage(id, { role: 'assistant', text: 'The migration is done.' }, ada);
    await ran(id, { kind: 'script', script: 'npm run migration -- --force' });
    await ran(id, { kind: 'argv', argv: ['git', 'log', '--oneline'] });
  }

  async function ran(taskId: Task['id'], command: Execution['command']): Promise<void> {
    const value = sampleExecution(taskId, { command, startedAt: new Date().toISOString() });
    const records = [sampleDraft(taskId, 'execution.requested', { noun: 'execution', value })];
    await home.ports.tasks.commit({ records });
  }

  const kindsOf = async (text: string, kinds?: readonly MemoryKind[]) => {
    const { hits } = await journal().search(task.id, { text, ...(kinds === undefined ? {} : { kinds }) });
    return hits.map(({ kind }) => kind).toSorted();
  };

  test.each([
    ['migration', ['decision', 'execution', 'message', 'note', 'todo']],
    ['MIGR', ['decision', 'execution', 'message', 'message', 'note', 'todo']],
    ['mariadb', ['decision']],
    ['night hour', ['note']],
    ['creme brulee', ['message']],
    ['oneline git', ['execution']],
    ['gration', []],
  ])('is found by %j', async (text, kinds) => {
    expect(await kindsOf(text)).toEqual(kinds);
  });

  test('is looked through for some kinds only', async () => {
    expect(await kindsOf('migration', ['todo', 'execution', 'todo'])).toEqual(['execution', 'todo']);
  });

  test('says what each is, newest first, and that there is more', async () => {
    const all = await journal().search(task.id, { text: 'migration' });
    const times = all.hits.map(({ at }) => at);
    expect(times).toEqual(times.toSorted().toReversed());
    expect(all).toMatchObject({ more: false });
    expect(all.hits.find(({ kind }) => kind === 'message')).toMatchObject({
      by: 'assistant',
      excerpt: 'The migration is done.',
    });
    expect(all.hits.find(({ kind }) => kind === 'note')).toMatchObject({
      by: 'ada',
      excerpt: 'The Migration takes an hour. Run it at night.',
    });
    const some = await journal().search(task.id, { text: 'migration', limit: 2 });
    expect(some).toEqual({ hits: all.hits.slice(0, 2), more: true });
  });

  test.each([
    [{ text: '?!' }, 'text'],
    [{ text: 'x', limit: 201 }, 'limit'],
    [{ text: 'x', kinds: ['files'] }, 'kinds'],
  ])('refuses %j', async (query, argument) => {
    await expect(journal().search(task.id, query as never)).rejects.toMatchObject({
      code: 'OCT_INVALID_ARGUMENT',
      message: expect.stringContaining(argument) as string,
    });
  });

  test('has what was said, newest first and page by page, and tasks are found by it', async () => {
    const { items, next } = await journal().messages(task.id, { limit: 1 });
    const rest = await journal().messages(task.id, { limit: 1, cursor: next ?? '' });
    expect([...items, ...rest.items].map(({ role }) => role)).toEqual(['assistant', 'user']);
    const found = await home.open.services.tasks.list({ text: 'brulee' });
    expect(found.items.map(({ id }) => id)).toEqual([task.id]);
  });

  test.each([
    ['robot', 'x', 'role'],
    ['user', ' ', 'text'],
    ['user', 'x'.repeat(100_001), 'text'],
  ])('takes no message of %j with such a text', async (role, text, argument) => {
    await expect(journal().addMessage(task.id, { role: role as 'user', text }, ada)).rejects.toMatchObject({
      code: 'OCT_INVALID_ARGUMENT',
      message: expect.stringContaining(argument) as string,
    });
  });

  test('keeps a message once that is added again with its key', async () => {
    const call = { ...ada, idempotencyKey: 'turn-1' };
    const add = () => journal().addMessage(task.id, { role: 'tool', text: 'exactly once' }, call);
    expect(await add()).toEqual(await add());
    expect((await journal().search(task.id, { text: 'exactly once' })).hits).toHaveLength(1);
  });
});
