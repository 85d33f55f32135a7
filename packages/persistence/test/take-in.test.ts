import { appendFileSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type StoredRecord, type Task, type TaskId, linkRecord, prepareDraft } from '@opencode-tools/core';
import {
  addRows,
  addTask,
  sampleCheckpoint,
  sampleDraft,
  sampleExecution,
  sampleNote,
  sampleSandbox,
  sampleTodo,
} from '@opencode-tools/testkit';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { raw } from '../src/admin/raw.ts';
import { digestRows } from '../src/admin/registry-facts.ts';
import { openSqliteFile } from '../src/admin/sqlite-file.ts';
import { readShapes } from '../src/admin/table-shapes.ts';
import type { Store } from '../src/index.ts';
import { acquire, fillStore, maintenanceOf, openAt } from './administration.ts';
import { temporaryDirectory } from './open-sqlite-registry.ts';

const place = { engine: 'sqlite' } as const;
let temporary: ReturnType<typeof temporaryDirectory>;
beforeEach(() => {
  temporary = temporaryDirectory();
});
afterEach(() => temporary.remove());

const openHome = (name: string) => openAt(join(temporary.path, name), place);
const exported = async (store: Store, taskId: TaskId) => {
  const lines: string[] = [];
  for await (const line of store.admin.exportLedger(taskId)) lines.push(line);
  return lines;
};
/** An export that ends with its first record. */
const firstOf = ([header = '', record = '']: readonly string[]) => {
  const { seq, hash } = JSON.parse(record) as StoredRecord;
  return [JSON.stringify({ ...(JSON.parse(header) as object), head: { seq, hash } }), record];
};
/** A digest of every table, without what a registry numbers by itself and without the chain of its home. */
const tablesOf = async (name: string) => {
  const engine = openSqliteFile(join(temporary.path, name, 'registry.db'));
  await engine.write(function* () {
    for (const table of ['ledger', 'streams']) yield raw(`delete from ${table} where stream = 'home'`);
  });
  const digests = await engine.snapshot(function* () {
    const found: Record<string, string> = {};
    for (const { name: table, columns, key } of yield* readShapes()) {
      if (table === 'meta' || table === 'homes') continue;
      found[table] = yield* digestRows({ name: table, columns: columns.filter((each) => each !== 'position'), key });
    }
    return found;
  });
  await engine.close();
  return digests;
};

/** Versions that follow each other, things that were put more than once, and a task with things whose row is a tombstone. */
async function fillWithHistory(store: Store): Promise<readonly Task[]> {
  const tasks = await fillStore(store);
  const [first, second, gone] = tasks as [Task, Task, Task];
  const todo = sampleTodo(first.id);
  await addRows(store.tasks, first.id, { noun: 'todo', value: todo });
  await addRows(store.tasks, first.id, {
    noun: 'todo',
    value: { ...todo, version: 2, text: 'Other words', state: 'done' },
  });
  for (const generation of [1, 2]) {
    await addRows(store.tasks, first.id, { noun: 'sandbox', value: sampleSandbox(first.id, { generation }) });
  }
  const [removed, kept] = [sampleCheckpoint(first.id), sampleCheckpoint(first.id)];
  for (const value of [removed, kept]) await addRows(store.tasks, first.id, { noun: 'checkpoint', value });
  const removal = { id: removed.id, taskId: first.id };
  await addRows(store.tasks, first.id, { noun: 'checkpointRemoval', value: removal });
  const execution = sampleExecution(second.id);
  await addRows(store.tasks, second.id, { noun: 'execution', value: execution });
  await addRows(store.tasks, second.id, { noun: 'execution', value: { ...execution, state: 'exited', exitCode: 0 } });
  const changed: Task = {
    ...second,
    version: 2,
    status: 'running',
    title: 'Renamed',
    labels: { team: 'red', size: 'l' },
  };
  await addRows(store.tasks, second.id, { noun: 'task', value: changed });
  await acquire(store, second);
  await addRows(store.tasks, gone.id, { noun: 'note', value: sampleNote(gone.id, { text: 'written afterwards' }) });
  return tasks;
}

describe('exported ledgers', () => {
  test('that are taken in at once leave the rows that their records leave one by one', async () => {
    const store = await openHome('source');
    const chains = await Promise.all((await fillWithHistory(store)).map(({ id }) => exported(store, id)));
    await store.close();
    const atOnce = await openHome('at-once');
    expect(await atOnce.admin.importLedgers(chains.flat())).toEqual({ chains: 3, added: chains.flat().length - 3 });
    expect(await atOnce.admin.verify()).toMatchObject({ ok: true, problems: [] });
    await atOnce.close();
    const oneByOne = await openHome('one-by-one');
    for (const chain of chains) {
      await oneByOne.admin.importLedger(firstOf(chain));
      await oneByOne.admin.importLedger(chain);
    }
    await oneByOne.close();
    expect(await tablesOf('at-once')).toEqual(await tablesOf('one-by-one'));
  });

  test('that follow each other are no export of one task', async () => {
    const store = await openHome('source');
    const tasks = await fillStore(store);
    const chains = await Promise.all(tasks.map(({ id }) => exported(store, id)));
    await expect(store.admin.importLedger(chains.flat())).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
    await store.close();
  });
});

describe('a rebuild', () => {
  test('has every log that it can, when one of them cannot be replayed', async () => {
    const store = await openHome('home');
    const tasks = [await addTask(store.tasks), await addTask(store.tasks), await addTask(store.tasks)] as const;
    const execution = sampleExecution(tasks[0].id);
    await addRows(store.tasks, tasks[0].id, { noun: 'execution', value: execution });
    await store.memory.project();
    await store.close();
    const home = join(temporary.path, 'home');
    // A chain that is whole, of which a row is one of another task's.
    const log = join(home, 'tasks', tasks[1].id, 'log.jsonl');
    const last = JSON.parse(readFileSync(log, 'utf8').trim().split('\n').at(-1) ?? '') as StoredRecord;
    const prepared = prepareDraft(
      sampleDraft(tasks[1].id, 'execution.started', { noun: 'execution', value: execution }),
    );
    const record = linkRecord(prepared, last, { at: last.at, homeId: last.homeId });
    appendFileSync(log, `${JSON.stringify({ ...record, payload: prepared.payload })}\n`);
    for (const suffix of ['', '-wal', '-shm']) rmSync(join(home, `registry.db${suffix}`), { force: true });
    const report = await (await maintenanceOf(home, place)).rebuild();
    expect(report.lost.filter(({ subject }) => subject.startsWith('tsk_'))).toEqual([
      { subject: tasks[1].id, fault: expect.stringContaining('could not be replayed') },
    ]);
    expect(report.tasks).toBe(2);
    const made = await openHome('home');
    expect((await made.tasks.listTasks({})).items.map(({ id }) => id).toSorted()).toEqual(
      [tasks[0].id, tasks[2].id].toSorted(),
    );
    await made.close();
  });
});
