import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { addTask, until } from '@opencode-tools/testkit';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Store, openSqliteStore } from '../src/sqlite.ts';
import { temporaryDirectory } from './open-sqlite-registry.ts';
import { type Child, startChild } from './start-child.ts';

let temporary: ReturnType<typeof temporaryDirectory>;
let directory: string;
let store: Store;
let children: Child[];
beforeEach(async () => {
  temporary = temporaryDirectory();
  directory = join(temporary.path, 'home');
  store = await openSqliteStore({ directory });
  children = [];
});
afterEach(async () => {
  for (const { process: child } of children) child.kill('SIGKILL');
  await Promise.all(children.map(({ ended }) => ended));
  await store.close();
  temporary.remove();
});

async function startWriters(count: number): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    await addTask(store.tasks);
    children.push(startChild('write', [directory, '1000000']));
  }
  await Promise.all(children.map(({ said }) => said(1)));
}

/** Waits until each of the children has written so many times more. */
async function writesMore(writers: readonly Child[], count: number): Promise<readonly number[]> {
  const before = writers.map(({ lines }) => lines.length);
  await Promise.all(writers.map(({ said }, index) => said((before[index] ?? 0) + count)));
  return writers.map(({ lines }, index) => lines.length - (before[index] ?? 0));
}

test('of processes that write as fast as they can, none gets much more than another', async () => {
  await startWriters(3);
  const counts = await writesMore(children, 60);
  expect(Math.max(...counts)).toBeLessThan(4 * Math.min(...counts));
});

test('the others go on writing when one is stopped or killed, and one that is woken joins in again', async () => {
  await startWriters(4);
  const [stopped, killed, ...rest] = children as [Child, Child, Child, Child];
  for (let round = 0; round < 4; round += 1) {
    stopped.process.kill('SIGSTOP');
    // One that was stopped inside a transaction keeps SQLite's lock until it is woken.
    if (round % 2 === 1) stopped.process.kill('SIGCONT');
    else if (await isLocked()) {
      stopped.process.kill('SIGCONT');
      continue;
    }
    await writesMore(rest, 10);
    stopped.process.kill('SIGCONT');
    await writesMore([stopped], 2);
  }
  killed.process.kill('SIGKILL');
  await killed.ended;
  const counts = await writesMore([stopped, ...rest], 10);
  expect(Math.min(...counts)).toBeGreaterThanOrEqual(10);
});

test('a process that ends leaves no bell behind, and whoever comes next removes those of the killed', async () => {
  await startWriters(2);
  await writesMore(children, 5);
  for (const { process: child } of children) child.kill('SIGKILL');
  await Promise.all(children.map(({ ended }) => ended));
  await startWriters(2);
  const killed = children.slice(0, 2).map(({ process: { pid } }) => `-bell-${pid}-`);
  await until(() => !bells().some((name) => killed.some((of) => name.includes(of))));
  // The two that write now, and this process, which may have waited for them.
  expect(bells().length).toBeLessThanOrEqual(3);
});

function bells(): readonly string[] {
  return readdirSync(directory).filter((name) => name.includes('-bell-'));
}

/** True when nobody can write: whoever was stopped holds the lock. */
async function isLocked(): Promise<boolean> {
  const impatient = await openSqliteStore({ directory, waitMs: 500 });
  try {
    await addTask(impatient.tasks);
    return false;
  } catch {
    return true;
  } finally {
    await impatient.close();
  }
}
