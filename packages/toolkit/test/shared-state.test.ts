import type { ConflictStrategy, Task } from '@opencode-tools/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type EnginelessHome, callBy, createEnginelessHome } from './support/home-without-engine.ts';

describe('todos and notes changed by several agents', () => {
  let home: EnginelessHome;
  beforeAll(async () => {
    home = await createEnginelessHome();
  });
  afterAll(() => home.remove());

  const journal = () => home.open.services.journal;
  const ada = callBy('ada');
  const conflicts = async (task: Task, noun: 'todo' | 'note') =>
    (await home.open.services.ledger.history(task.id, { types: [`${noun}.conflicted`] })).map(
      ({ payload }) => (JSON.parse(payload ?? '{}') as { detail: Record<string, unknown> }).detail,
    );
  const setUp = async (conflictStrategy: ConflictStrategy) => {
    const task = await home.create({ conflictStrategy });
    const todo = await journal().addTodo(task.id, { text: 'first' }, ada);
    await journal().setTodo(task.id, todo.id, { state: 'active', expectedVersion: 1 }, ada);
    return { task, todo };
  };

  it('takes a change of the version that the caller saw', async () => {
    const { task, todo } = await setUp('reject');
    const changed = await journal().setTodo(task.id, todo.id, { text: 'second', major: true, expectedVersion: 2 }, ada);
    expect(changed).toMatchObject({ text: 'second', state: 'active', major: true, version: 3 });
    expect(await conflicts(task, 'todo')).toEqual([]);
  });

  it('under reject refuses a change of an older version and records it', async () => {
    const { task, todo } = await setUp('reject');
    await expect(journal().setTodo(task.id, todo.id, { text: 'x', expectedVersion: 1 }, ada)).rejects.toMatchObject({
      code: 'OCT_VERSION_CONFLICT',
      message: `Todo ${todo.id} is at version 2, not 1`,
      details: { todoId: todo.id, version: 2, expectedVersion: 1, conflicting: [], current: { state: 'active' } },
    });
    expect(await conflicts(task, 'todo')).toMatchObject([
      {
        id: todo.id,
        resolution: 'rejected',
        strategy: 'reject',
        expectedVersion: 1,
        version: 2,
        wanted: { text: 'x' },
        found: { state: 'active', text: 'first', major: false },
        conflicting: ['text'],
        kept: [],
      },
    ]);
  });

  it('under merge takes fields that the other side left alone and keeps those that it changed', async () => {
    const { task, todo } = await setUp('merge');
    const merged = await journal().setTodo(task.id, todo.id, { text: 'second', expectedVersion: 1 }, ada);
    expect(merged).toMatchObject({ text: 'second', state: 'active', version: 3 });
    expect(await conflicts(task, 'todo')).toMatchObject([{ resolution: 'merged', kept: ['state'], conflicting: [] }]);
  });

  it('under merge refuses when both sides changed a field to different values', async () => {
    const { task, todo } = await setUp('merge');
    const asked = journal().setTodo(task.id, todo.id, { state: 'done', text: 'second', expectedVersion: 1 }, ada);
    await expect(asked).rejects.toMatchObject({
      code: 'OCT_VERSION_CONFLICT',
      message: `Todo ${todo.id} is at version 2, not 1; both changed state`,
      details: { conflicting: ['state'] },
    });
    expect((await journal().todos(task.id))[0]).toMatchObject({ state: 'active', text: 'first', version: 2 });
  });

  it('under merge the same value from both sides is no conflict', async () => {
    const { task, todo } = await setUp('merge');
    await expect(
      journal().setTodo(task.id, todo.id, { state: 'active', expectedVersion: 1 }, ada),
    ).resolves.toMatchObject({ version: 3 });
  });

  it('under last-write-wins overwrites and records what was there', async () => {
    const { task, todo } = await setUp('last-write-wins');
    await expect(
      journal().setTodo(task.id, todo.id, { state: 'done', expectedVersion: 1 }, ada),
    ).resolves.toMatchObject({
      state: 'done',
      version: 3,
    });
    expect(await conflicts(task, 'todo')).toMatchObject([{ resolution: 'overwritten', found: { state: 'active' } }]);
  });

  it('a version that does not exist yet is refused', async () => {
    const { task, todo } = await setUp('merge');
    await expect(journal().setTodo(task.id, todo.id, { state: 'done', expectedVersion: 9 }, ada)).rejects.toMatchObject(
      {
        code: 'OCT_INVALID_ARGUMENT',
        message: expect.stringContaining('expectedVersion: is 9') as string,
        remedy: 'The todo is at version 2.',
      },
    );
  });

  it('the row that is named is changed, among many, and one that is not there is refused', async () => {
    const { task, todo } = await setUp('merge');
    const second = await journal().addTodo(task.id, { text: 'another' }, ada);
    await journal().setTodo(task.id, second.id, { text: 'changed' }, ada);
    expect((await journal().todos(task.id)).map(({ id, text }) => [id, text])).toEqual([
      [todo.id, 'first'],
      [second.id, 'changed'],
    ]);
    const [record] = await home.open.services.ledger.history(task.id, { types: ['todo.changed'] });
    expect(JSON.parse(record?.payload ?? '').puts).toMatchObject([{ noun: 'todo', value: { id: second.id } }]);
    const absent = 'tdo_00000000000000000000000000';
    await expect(journal().setTodo(task.id, absent, { text: 'x' }, ada)).rejects.toMatchObject({
      code: 'OCT_INVALID_ARGUMENT',
      message: expect.stringContaining(`todoId: ${absent} is no todo of this task`) as string,
      remedy: 'List the todos of the task.',
    });
  });

  it('notes are replaced under the same rules', async () => {
    const task = await home.create({ conflictStrategy: 'merge' });
    const note = await journal().addNote(task.id, { text: 'one' }, ada);
    await journal().setNote(task.id, note.id, { text: 'two', expectedVersion: 1 }, ada);
    await expect(journal().setNote(task.id, note.id, { text: 'three', expectedVersion: 1 }, ada)).rejects.toMatchObject(
      {
        code: 'OCT_VERSION_CONFLICT',
        message: `Note ${note.id} is at version 2, not 1; both changed text`,
        details: { noteId: note.id, conflicting: ['text'] },
      },
    );
    await journal().setNote(task.id, note.id, { text: 'three' }, ada);
    expect(await journal().notes(task.id)).toMatchObject([{ text: 'three', version: 3 }]);
    expect(await conflicts(task, 'note')).toMatchObject([
      { found: { text: 'two' }, wanted: { text: 'three' }, kept: [] },
    ]);
  });

  it('of many writers at once without a version each lands once, in some order', async () => {
    const { task, todo } = await setUp('merge');
    const names = Array.from({ length: 3 }, (_, index) => `agent-${index}`);
    const attached = await Promise.all(
      names.map((agent) => home.open.services.sessions.attach(task.id, { agent }, callBy(agent))),
    );
    await Promise.all(
      attached.map(({ session }, index) =>
        journal().setTodo(task.id, todo.id, { text: `by ${index}`, sessionId: session.id }, callBy(session.agent)),
      ),
    );
    expect((await journal().todos(task.id))[0]).toMatchObject({ version: 5 });
  });
});

describe('what a task says about itself', () => {
  let home: EnginelessHome;
  beforeAll(async () => {
    home = await createEnginelessHome();
  });
  afterAll(() => home.remove());
  const ada = callBy('ada');
  const tasks = () => home.open.services.tasks;

  it('is changed and recorded, also while an agent holds the task', async () => {
    const task = await home.create({ leaseMode: 'exclusive', labels: { a: '1' }, owner: 'x' });
    await home.open.services.sessions.attach(task.id, { agent: 'bob' }, callBy('bob'));
    const input = { title: 'New', description: 'Long', labels: { b: '2' }, owner: null, project: 'p' };
    expect(await tasks().update(task.id, input, ada)).toMatchObject({ ...input, status: 'running' });
    const [record] = await home.open.services.ledger.history(task.id, { types: ['task.updated'] });
    expect(JSON.parse(record?.payload ?? '').detail).toEqual({
      changed: ['title', 'description', 'labels', 'owner', 'project'],
    });
    expect((await tasks().list({ label: { name: 'b' } })).items.map(({ id }) => id)).toContain(task.id);
  });

  it('is left alone when nothing differs', async () => {
    const task = await home.create();
    expect(await tasks().update(task.id, { title: task.title }, ada)).toEqual(task);
  });

  it('is not changed on top of a version that the caller did not see', async () => {
    const task = await home.create();
    await tasks().update(task.id, { title: 'One', expectedVersion: 1 }, ada);
    await expect(tasks().update(task.id, { title: 'Two', expectedVersion: 1 }, ada)).rejects.toMatchObject({
      code: 'OCT_VERSION_CONFLICT',
    });
  });

  it.each(['parentId', 'dependsOn'] as const)('%s never closes a cycle', async (relation) => {
    const value = (id: Task['id']) => (relation === 'parentId' ? { parentId: id } : { dependsOn: [id] });
    const [a, b, c] = [await home.create(), await home.create(), await home.create()];
    await tasks().update(a.id, value(b.id), ada);
    await tasks().update(b.id, value(c.id), ada);
    await expect(tasks().update(c.id, value(a.id), ada)).rejects.toMatchObject({
      code: 'OCT_INVALID_ARGUMENT',
      details: { argument: relation, cycle: [c.id, a.id, b.id, c.id] },
    });
    await expect(tasks().update(c.id, value(c.id), ada)).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
    await tasks().update(a.id, relation === 'parentId' ? { parentId: null } : { dependsOn: [] }, ada);
    await expect(tasks().update(c.id, value(a.id), ada)).resolves.toMatchObject(value(a.id));
  });

  it('two changes that would close a cycle between them: one is refused', async () => {
    for (let round = 0; round < 5; round += 1) {
      const [a, b] = [await home.create(), await home.create()];
      const answers = await Promise.allSettled([
        tasks().update(a.id, { dependsOn: [b.id] }, ada),
        tasks().update(b.id, { dependsOn: [a.id] }, ada),
      ]);
      expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    }
  });
});

describe('events of an opened home', () => {
  it('tell what leases and claims recorded, in the order of the ledger', async () => {
    const home = await createEnginelessHome();
    try {
      const task = await home.create();
      const heard: string[] = [];
      home.open.events.subscribe({ stream: task.id }, ({ seq, type }) => void heard.push(`${seq} ${type}`));
      const { session } = await home.open.services.sessions.attach(
        task.id,
        { agent: 'ada', claims: { write: ['a'] } },
        callBy('ada'),
      );
      await home.open.services.sessions.detach(session.id, {}, callBy('ada'));
      await home.open.events.drain();
      const records = await home.open.services.ledger.history(task.id, { newestFirst: false, afterSeq: 1 });
      expect(heard).toEqual(records.map(({ seq, type }) => `${seq} ${type}`));
      expect(heard.map((line) => line.split(' ')[1])).toEqual(
        expect.arrayContaining([
          'lease.acquired',
          'claim.granted',
          'claim.ended',
          'lease.released',
          'session.detached',
        ]),
      );
    } finally {
      await home.remove();
    }
  });

  it('that a handler does not take become records of the home', async () => {
    const home = await createEnginelessHome();
    try {
      home.open.events.subscribe({ pattern: 'note.added', attempts: 2, backoffMs: 0, name: 'broken' }, () => {
        throw new Error('cannot');
      });
      const letters: string[] = [];
      home.open.events.subscribe({ pattern: 'event.*' }, ({ causationId }) => void letters.push(causationId ?? ''));
      const task = await home.create();
      await home.open.services.journal.addNote(task.id, { text: 'x' }, callBy('ada'));
      await home.open.events.drain();
      await home.open.events.drain();
      const [record] = await home.ports.ledger.read('home', { types: ['event.dead_lettered'] });
      expect(JSON.parse(record?.payload ?? '').detail).toMatchObject({
        subscription: 'broken',
        stream: task.id,
        attempts: 2,
      });
      expect(letters).toEqual([record?.causationId]);
    } finally {
      await home.remove();
    }
  });
});
