import * as fs from 'node:fs';
import { join } from 'node:path';
import type { Task } from '@opencode-tools/core';
import { addRows, addTask, sampleActor, sampleDecision, sampleExecution, sampleNote } from '@opencode-tools/testkit';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Store, openSqliteStore } from '../src/sqlite.ts';
import { movableClock, temporaryDirectory } from './open-sqlite-registry.ts';

let temporary: ReturnType<typeof temporaryDirectory>;
let directory: string;
let store: Store;
let task: Task;
const clock = movableClock();
beforeEach(async () => {
  temporary = temporaryDirectory();
  directory = join(temporary.path, 'home');
  store = await openSqliteStore({ directory, clock });
  task = await addTask(store.tasks);
  for (let index = 0; index < 4; index += 1) {
    await addRows(store.tasks, task.id, { noun: 'execution', value: sampleExecution(task.id) });
  }
  await store.memory.project(task.id);
});
afterEach(async () => {
  await store.close();
  temporary.remove();
});

const file = (name: string) => join(directory, 'tasks', task.id, name);
const seqs = (name: string) =>
  fs
    .readFileSync(file(name), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => (JSON.parse(line) as { readonly seq: number }).seq);
const run = (sql: string) => {
  const database = new Database(join(directory, 'registry.db'));
  database.exec(sql);
  database.close();
};

test.each([0, 1, 3, 4])(
  'a projection that died before it moved the mark from %i is repeated without a trace',
  async (mark) => {
    run(`update streams set projected_seq = ${mark}`);
    await addRows(store.tasks, task.id, { noun: 'execution', value: sampleExecution(task.id) });
    await store.memory.project(task.id);
    expect(seqs('log.jsonl')).toEqual([1, 2, 3, 4, 5, 6]);
    expect(seqs('executions.jsonl')).toEqual([2, 3, 4, 5, 6]);
    expect((await store.memory.heal(task.id)).healed).toEqual([]);
  },
);

test('a log that is ahead of its ledger is kept aside', async () => {
  fs.appendFileSync(file('log.jsonl'), `${JSON.stringify({ v: 1, stream: task.id, seq: 99, hash: 'x' })}\n`);
  await addRows(store.tasks, task.id);
  await store.memory.project(task.id);
  expect(seqs('log.jsonl')).toEqual([1, 2, 3, 4, 5, 6]);
  const [kept] = fs.readdirSync(file('.')).filter((name) => name.startsWith('log.jsonl.bad-'));
  expect(fs.readFileSync(file(kept ?? ''), 'utf8')).toContain('"seq":99');
});

test('the right to write of a process that died is taken over when it has run out', async () => {
  run(`insert into projection_locks values ('${task.id}', 'dead', ${clock.nowMs() + 10_000})`);
  await addRows(store.tasks, task.id, { noun: 'note', value: sampleNote(task.id) });
  clock.move(11_000);
  await store.memory.project(task.id);
  expect(seqs('log.jsonl')).toEqual([1, 2, 3, 4, 5, 6]);
});

test('several stores on one home write each line once', async () => {
  const others = await Promise.all([openSqliteStore({ directory, clock }), openSqliteStore({ directory, clock })]);
  const all = [store, ...others];
  await Promise.all(
    Array.from({ length: 30 }, (_, index) =>
      addRows((all[index % 3] ?? store).tasks, task.id, { noun: 'note', value: sampleNote(task.id) }),
    ),
  );
  await Promise.all(all.map(({ memory }) => memory.project(task.id)));
  expect(seqs('log.jsonl')).toEqual(Array.from({ length: 35 }, (_, index) => index + 1));
  await Promise.all(others.map((other) => other.close()));
});

test('what another process left unprojected is found and finished', async () => {
  run('update streams set projected_seq = 0');
  fs.rmSync(file('.'), { recursive: true });
  await store.memory.project();
  expect(seqs('log.jsonl')).toEqual([1, 2, 3, 4, 5]);
});

test('decisions that somebody edited by hand are kept when new ones come', async () => {
  await addRows(store.tasks, task.id, { noun: 'decision', value: sampleDecision(task.id, { what: 'First' }) });
  await store.memory.project(task.id);
  fs.appendFileSync(file('decisions.md'), '\nMy own remark\n');
  await addRows(store.tasks, task.id, { noun: 'decision', value: sampleDecision(task.id, { what: 'Second' }) });
  await store.memory.project(task.id);
  expect(fs.readFileSync(file('decisions.md'), 'utf8')).toMatch(/## First[^]*My own remark[^]*## Second/);
});

test('the log of the home is written by one at a time, also when it is damaged and pruned meanwhile', async () => {
  const log = join(directory, 'log.jsonl');
  const soon = -60_000 / (24 * 60 * 60 * 1000);
  for (let round = 1; round <= 10; round += 1) {
    await store.memory.project();
    fs.writeFileSync(log, 'damaged\n');
    await store.tasks.commit({ records: [{ stream: 'home', type: 'home.swept', actor: sampleActor, puts: [] }] });
    const pruned = store.admin.prune({ keepLedgerDays: soon, keepTombstoneDays: null });
    await Promise.all([pruned, store.memory.project(), store.memory.project(), store.memory.project()]);
    const lines = fs.readFileSync(log, 'utf8').trimEnd().split('\n');
    const records = await store.ledger.read('home', { limit: 100 });
    expect(lines.map((line) => (JSON.parse(line) as { readonly seq: number }).seq)).toEqual(
      records.map(({ seq }) => seq),
    );
  }
});
