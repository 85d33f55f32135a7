import { join } from 'node:path';
import type { Task } from '@opencode-tools/core';
import { addRows, addTask, sampleDraft, sampleNote } from '@opencode-tools/testkit';
import Database from 'better-sqlite3';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { type Store, openSqliteStore } from '../src/sqlite.ts';
import { temporaryDirectory } from './open-sqlite-registry.ts';

/** More than two pages of the walk. */
const long = 4_500;
let temporary: ReturnType<typeof temporaryDirectory>;
let store: Store;
let database: Database.Database;
let tasks: readonly Task[];
beforeAll(async () => {
  temporary = temporaryDirectory();
  const directory = join(temporary.path, 'home');
  store = await openSqliteStore({ directory });
  store.memory.touch = () => undefined;
  const added: Task[] = [];
  for (let index = 0; index < 5; index += 1) added.push(await addTask(store.tasks));
  tasks = added;
  for (const task of tasks) await addRows(store.tasks, task.id, { noun: 'note', value: sampleNote(task.id) });
  const middle = tasks[2] as Task;
  await store.tasks.commit({
    records: Array.from({ length: long }, () => sampleDraft(middle.id, 'egress.decided')),
  });
  database = new Database(join(directory, 'registry.db'));
});
afterAll(async () => {
  database.close();
  await store.close();
  temporary.remove();
});
beforeEach(() => {
  database.exec('create table kept_ledger as select * from ledger; create table kept_streams as select * from streams');
});
afterEach(() => {
  database.exec('delete from ledger; insert into ledger select * from kept_ledger; drop table kept_ledger');
  database.exec('delete from streams; insert into streams select * from kept_streams; drop table kept_streams');
});

/** What the walk over all chains finds is what each chain's own check finds. @returns the numbers that do not fit */
async function check(): Promise<readonly number[]> {
  const streams = await store.ledger.listStreams();
  const reports = await Promise.all(streams.map((stream) => store.ledger.verify(stream)));
  const { chains, records, broken } = await store.admin.verify();
  const expected = reports.flatMap((report) => report.broken ?? []);
  const byStream = (left: { readonly stream: string }, right: { readonly stream: string }) =>
    left.stream < right.stream ? -1 : 1;
  expect(broken.toSorted(byStream)).toEqual(expected.toSorted(byStream));
  expect({ chains, records }).toEqual({
    chains: streams.length,
    records: reports.reduce((sum, report) => sum + report.records, 0),
  });
  return expected.map(({ seq }) => seq).toSorted((left, right) => left - right);
}

const inLong = (text: string, ...more: unknown[]) => database.prepare(text).run(tasks[2]?.id, ...more);

test('chains that are whole are told to be, in one walk', async () => {
  expect(await check()).toEqual([]);
});

test.each([2_000, 2_001, 3_456])('a record changed in a chain longer than a page is named: %i', async (seq) => {
  inLong(`update ledger set type = type || 'x' where stream = ? and seq = ?`, seq);
  expect(await check()).toEqual([seq]);
});

test.each([1, 1_999, 2_002, 4_000])('a record dropped from it is named: %i', async (seq) => {
  inLong('delete from ledger where stream = ? and seq = ?', seq);
  expect(await check()).toEqual([seq]);
});

test('a tail that was cut off is noticed, in a long chain and in the last one', async () => {
  inLong('delete from ledger where stream = ? and seq > ?', 3_000);
  database.prepare('delete from ledger where stream = ? and seq = 2').run(tasks[4]?.id);
  expect(await check()).toEqual([2, 3_001]);
});

test.each([0, 3, 4])('a chain that is gone altogether is noticed, wherever it was: %i', async (index) => {
  database.prepare('delete from ledger where stream = ?').run(tasks[index]?.id);
  expect(await check()).toEqual([1]);
});

test.each([0, 2, 4])('a chain without an anchor is noticed, wherever it is: %i', async (index) => {
  database.prepare('delete from streams where stream = ?').run(tasks[index]?.id);
  expect(await check()).toHaveLength(1);
});

test('nothing but heads is left: each is noticed', async () => {
  database.exec('delete from ledger');
  expect(await check()).toEqual([1, 1, 1, 1, 1, 1]);
});

test('payloads that were erased and say so are no fault, those that do not are', async () => {
  await store.admin.erasePayloads(tasks[2]?.id as Task['id'], [7, 2_500, 4_400], {
    reason: 'a secret',
    actor: { kind: 'user', id: 'someone', agent: null, model: null, session: null, onBehalfOf: null },
  });
  expect(await check()).toEqual([]);
  inLong('update ledger set payload = null where stream = ? and seq = ?', 2_600);
  expect(await check()).toEqual([2_600]);
});
