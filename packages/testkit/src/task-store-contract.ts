import { type Task, type TaskStore, shortId } from '@opencode-tools/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { OpenRegistry } from './open-registry.ts';
import {
  addRows,
  addTask,
  sampleActor,
  sampleDecision,
  sampleDraft,
  sampleExecution,
  sampleIds,
  sampleNote,
  sampleOperation,
  sampleSandbox,
  sampleSession,
  sampleTask,
  sampleTodo,
} from './registry-samples.ts';

/** Says what every `TaskStore` does when it writes. Called at the top level of a test file. */
export function taskStoreContract(name: string, open: () => Promise<OpenRegistry>): void {
  describe(`${name} as a task store`, () => {
    let registry: OpenRegistry;
    let tasks: TaskStore;
    beforeEach(async () => {
      registry = await open();
      ({ tasks } = registry);
    });
    afterEach(async () => registry.close());

    describe('committing', () => {
      test('gives every entity back exactly as it was put', async () => {
        const task = await addTask(tasks, { title: 'Ünïcode ☃ "quoted"', labels: { area: 'x', '': 'y' } });
        const sandbox = sampleSandbox(task.id);
        const session = sampleSession(task.id);
        const execution = sampleExecution(task.id, { durationMs: 0.125 });
        const [decision, todo, note] = [sampleDecision(task.id), sampleTodo(task.id), sampleNote(task.id)];
        const operation = sampleOperation(task.id, { intent: { nested: { list: [1, null, 'x'] } } });
        await addRows(
          tasks,
          task.id,
          { noun: 'sandbox', value: sandbox },
          { noun: 'session', value: session },
          { noun: 'execution', value: execution },
          { noun: 'decision', value: decision },
          { noun: 'todo', value: todo },
          { noun: 'note', value: note },
          { noun: 'operation', value: operation },
        );
        expect(await tasks.getTask(task.id)).toEqual(task);
        expect(await tasks.findSandbox(task.id)).toEqual(sandbox);
        expect(await tasks.listSandboxes()).toEqual([sandbox]);
        expect(await tasks.findSession(session.id)).toEqual(session);
        expect(await tasks.listSessions(task.id)).toEqual([session]);
        expect(await tasks.findExecution(execution.id)).toEqual(execution);
        expect(await tasks.listDecisions(task.id)).toEqual([decision]);
        expect(await tasks.listTodos(task.id)).toEqual([todo]);
        expect(await tasks.listNotes(task.id)).toEqual([note]);
        expect(await tasks.findOperation(operation.id)).toEqual(operation);
        expect(await tasks.listOpenOperations(task.id)).toEqual([operation]);
        expect(await tasks.listOpenOperations()).toEqual([operation]);
      });

      test('numbers the records of one change in order, per stream', async () => {
        const task = sampleTask(tasks.homeId);
        const before = await registry.ledger.head('home');
        const records = await tasks.commit({
          records: [
            sampleDraft(task.id, 'task.created', { noun: 'task', value: task }),
            { stream: 'home', type: 'task.created', actor: sampleActor, puts: [], detail: { taskId: task.id } },
            sampleDraft(task.id, 'note.added', { noun: 'note', value: sampleNote(task.id) }),
          ],
        });
        expect(records.map(({ stream, seq }) => [stream, seq])).toEqual([
          [task.id, 1],
          ['home', before.seq + 1],
          [task.id, 2],
        ]);
        expect(await registry.ledger.head(task.id)).toEqual({ seq: 2, hash: records[2]?.hash });
      });

      test('writes nothing at all when one part is refused', async () => {
        const task = await addTask(tasks);
        const decision = sampleDecision(task.id);
        const late = { ...task, title: 'Late', version: 3 };
        const change = addRows(tasks, task.id, { noun: 'decision', value: decision }, { noun: 'task', value: late });
        await expect(change).rejects.toMatchObject({ code: 'OCT_VERSION_CONFLICT' });
        expect(await tasks.listDecisions(task.id)).toEqual([]);
        expect(await tasks.getTask(task.id)).toEqual(task);
        expect((await registry.ledger.head(task.id)).seq).toBe(1);
      });

      test('refuses a second task of the same id, also after its deletion', async () => {
        const task = await addTask(tasks);
        await expect(addTask(tasks, { id: task.id })).rejects.toMatchObject({ code: 'OCT_TASK_EXISTS' });
        await deleteTask(tasks, task);
        await expect(addTask(tasks, { id: task.id })).rejects.toMatchObject({ code: 'OCT_TASK_EXISTS' });
      });

      test.each(['todo', 'note'] as const)('lets exactly one of two changes of a %s win', async (noun) => {
        const task = await addTask(tasks);
        const [todo, note] = [sampleTodo(task.id), sampleNote(task.id)];
        await addRows(tasks, task.id, { noun: 'todo', value: todo }, { noun: 'note', value: note });
        const change = (text: string) =>
          noun === 'todo'
            ? addRows(tasks, task.id, { noun, value: { ...todo, text, version: 2 } })
            : addRows(tasks, task.id, { noun, value: { ...note, text, version: 2 } });
        const outcomes = await Promise.allSettled([change('one'), change('two')]);
        expect(outcomes.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
        const [refused] = outcomes.filter((outcome) => outcome.status === 'rejected');
        expect(refused?.reason).toMatchObject({ code: 'OCT_VERSION_CONFLICT' });
      });

      test('lets exactly one of many concurrent changes of a task win', async () => {
        const task = await addTask(tasks);
        const changes = Array.from({ length: 10 }, (_, index) =>
          addRows(tasks, task.id, { noun: 'task', value: { ...task, title: `Title ${index}`, version: 2 } }),
        );
        const outcomes = await Promise.allSettled(changes);
        expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
        expect((await registry.ledger.head(task.id)).seq).toBe(2);
      });

      test('refuses a move that the table of moves does not have', async () => {
        const task = await addTask(tasks);
        const completed: Task = { ...task, status: 'completed', version: 2 };
        await expect(addRows(tasks, task.id, { noun: 'task', value: completed })).rejects.toMatchObject({
          code: 'OCT_INVALID_TRANSITION',
        });
      });

      test('keeps the chain whole under concurrent appends to many streams', async () => {
        const all = await Promise.all([addTask(tasks), addTask(tasks), addTask(tasks)]);
        const changes = all.flatMap((task) =>
          Array.from({ length: 10 }, () => addRows(tasks, task.id, { noun: 'note', value: sampleNote(task.id) })),
        );
        await Promise.all(changes);
        for (const task of all) {
          const report = await registry.ledger.verify(task.id);
          expect(report).toMatchObject({ records: 11, broken: null });
        }
      });
    });

    describe('deleting', () => {
      test('leaves a tombstone that answers for the task', async () => {
        const task = await addTask(tasks);
        const [note, sandbox] = [sampleNote(task.id), sampleSandbox(task.id)];
        await addRows(tasks, task.id, { noun: 'note', value: note }, { noun: 'sandbox', value: sandbox });
        expect(await tasks.listSandboxes()).toEqual([sandbox]);
        const receipt = await deleteTask(tasks, task);
        expect(await tasks.listSandboxes()).toEqual([]);
        expect(await tasks.findTask(task.id)).toBeUndefined();
        expect(await tasks.findReceipt(task.id)).toEqual(receipt);
        await expect(tasks.getTask(task.id)).rejects.toMatchObject({
          code: 'OCT_TASK_NOT_FOUND',
          details: { receipt },
        });
        expect(await tasks.resolveTaskId(task.id)).toBe(task.id);
        expect((await tasks.listTasks({})).items).toEqual([]);
        expect((await tasks.listTasks({ text: 'linter' })).items).toEqual([]);
        expect((await tasks.countTasks()).pending).toBe(0);
        expect(await registry.ledger.verify(task.id)).toMatchObject({ records: 3, broken: null });
      });
    });

    describe('finding the task that is meant', () => {
      test('takes a full id, a short id, or a unique title', async () => {
        const task = await addTask(tasks, { title: 'One of a kind' });
        for (const reference of [task.id, shortId(task.id), 'One of a kind']) {
          expect(await tasks.resolveTaskId(reference)).toBe(task.id);
        }
        await expect(tasks.resolveTaskId('Nothing of the kind')).rejects.toMatchObject({ code: 'OCT_TASK_NOT_FOUND' });
        await expect(tasks.resolveTaskId(sampleIds.next('task'))).rejects.toMatchObject({ code: 'OCT_TASK_NOT_FOUND' });
      });

      test('lists the candidates when several fit', async () => {
        const both = [await addTask(tasks, { title: 'Twin' }), await addTask(tasks, { title: 'Twin' })];
        await expect(tasks.resolveTaskId('Twin')).rejects.toMatchObject({
          code: 'OCT_INVALID_ARGUMENT',
          details: { candidates: both.map(({ id }) => id).toSorted() },
        });
      });
    });

    test('counts tasks per status', async () => {
      const task = await addTask(tasks);
      await addTask(tasks);
      await addRows(tasks, task.id, { noun: 'task', value: { ...task, status: 'running', version: 2 } });
      expect(await tasks.countTasks()).toEqual({
        pending: 1,
        running: 1,
        suspended: 0,
        failed: 0,
        completed: 0,
        cancelled: 0,
      });
    });
  });
}

async function deleteTask(tasks: TaskStore, task: Task) {
  const receipt = {
    taskId: task.id,
    title: task.title,
    deletedAt: '2026-11-20T09:00:00.000Z',
    finalCheckpointId: null,
    memory: `tasks/${task.id}`,
    removed: { containers: 0, volumes: 0, networks: 0 },
    keptImages: [],
  };
  await tasks.commit({ records: [sampleDraft(task.id, 'task.deleted', { noun: 'receipt', value: receipt })] });
  return receipt;
}
