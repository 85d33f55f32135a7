import * as fs from 'node:fs';
import { join } from 'node:path';
import type { Task } from '@opencode-tools/core';
import { addTask } from '@opencode-tools/testkit';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Store, openSqliteStore } from '../src/sqlite.ts';
import { temporaryDirectory } from './open-sqlite-registry.ts';
import { startChild } from './start-child.ts';

let temporary: ReturnType<typeof temporaryDirectory>;
let directory: string;
let store: Store;
let tasks: readonly Task[];
beforeEach(async () => {
  temporary = temporaryDirectory();
  directory = join(temporary.path, 'home');
  store = await openSqliteStore({ directory });
  tasks = await Promise.all([addTask(store.tasks), addTask(store.tasks), addTask(store.tasks)]);
});
afterEach(async () => {
  await store.close();
  temporary.remove();
});

test('several processes write one home at once, and every chain and file is whole', async () => {
  const perChild = 40;
  const children = Array.from({ length: 4 }, () => startChild('write', [directory, String(perChild)]));
  const ends = await Promise.all(children.map(({ ended }) => ended));
  expect(ends.map(({ code }) => code)).toEqual([0, 0, 0, 0]);
  const granted = children.flatMap(({ lines }) => lines);
  expect(granted).toHaveLength(4 * perChild);
  expect(new Set(granted).size).toBe(granted.length);
  await expectWhole();
});

test('processes killed at any moment leave no half change, and their projections are finished by others', async () => {
  for (let round = 0; round < 3; round += 1) {
    const children = Array.from({ length: 3 }, () => startChild('write', [directory, '1000000']));
    await Promise.all(children.map(({ said }, index) => said(5 + index * 4 + round)));
    for (const { process: child } of children) child.kill('SIGKILL');
    await Promise.all(children.map(({ ended }) => ended));
    expect(await grantedTokens()).toEqual(expect.arrayContaining(children.flatMap(({ lines }) => lines)));
  }
  await expectWhole();
}, 120_000);

/** Every lease that the ledger knows, as the processes report them. */
async function grantedTokens(): Promise<readonly string[]> {
  const granted: string[] = [];
  for (const task of tasks) {
    const records = await store.ledger.read(task.id, { types: ['lease.acquired'], limit: 10_000 });
    granted.push(...records.map(({ token }) => `${task.id} ${token}`));
  }
  return granted;
}

async function expectWhole(): Promise<void> {
  await store.memory.project();
  for (const stream of await store.ledger.listStreams()) {
    expect(await store.ledger.verify(stream)).toMatchObject({ broken: null });
  }
  for (const task of tasks) {
    const records = await store.ledger.read(task.id, { limit: 10_000 });
    const tokens = records.filter(({ type }) => type === 'lease.acquired').map(({ token }) => token);
    expect(tokens).toEqual(tokens.toSorted((left, right) => Number(left) - Number(right)));
    expect(new Set(tokens).size).toBe(tokens.length);
    const notes = records.filter(({ type }) => type === 'note.added');
    expect(await store.tasks.listNotes(task.id)).toHaveLength(notes.length);
    const log = fs.readFileSync(join(directory, store.memory.directory(task.id), 'log.jsonl'), 'utf8');
    expect(
      log
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown),
    ).toEqual(records);
    expect((await store.memory.heal(task.id)).healed).toEqual([]);
    expect((await store.memory.readState(task.id))['ledger']).toEqual(await store.ledger.head(task.id));
  }
}
