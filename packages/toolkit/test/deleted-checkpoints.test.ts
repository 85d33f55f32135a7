import { chownSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Checkpoint, CheckpointService, Services, Task } from '@opencode-tools/core';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type EnginelessHome, callBy, createEnginelessHome } from './support/home-without-engine.ts';

const call = callBy('ada');
const mebibyte = 1_048_576;
let home: EnginelessHome;
let services: Services;
let checkpoints: CheckpointService;
let base: string;

beforeEach(async () => {
  home = await createEnginelessHome();
  ({ services } = home.open);
  ({ checkpoints } = services);
  base = realpathSync(mkdtempSync(join(tmpdir(), 'oct-deleted-')));
});
afterEach(async () => {
  await home.remove();
  rmSync(base, { recursive: true, force: true });
});

async function taskIn(name: string): Promise<Task> {
  const path = join(base, name);
  mkdirSync(path);
  if (process.getuid?.() === 0) chownSync(path, 4_321, 5_432);
  return home.create({ title: name, workspace: { kind: 'bind', path } });
}

/** A checkpoint with a mebibyte that no other has. */
async function take(task: Task, name: string): Promise<Checkpoint> {
  writeFileSync(join(base, task.title, 'file'), randomBytes(mebibyte));
  return checkpoints.create(task.id, { name }, call);
}

async function deleted(name: string, ...taken: readonly string[]): Promise<Task> {
  const task = await taskIn(name);
  for (const each of taken) await take(task, each);
  await services.tasks.delete(task.id, {}, call);
  return task;
}

const namesOf = async ({ id }: Task): Promise<readonly string[]> =>
  (await checkpoints.list(id)).map(({ name }) => name);

test('a checkpoint of a deleted task is deleted by name, even the last; until then the task can be recovered', async () => {
  const task = await deleted('gone', 'first', 'second');
  expect(await checkpoints.delete(task.id, 'first', { dryRun: true }, call)).toMatchObject({ dryRun: true });
  const keyed = { ...call, idempotencyKey: 'once' };
  const first = await checkpoints.delete(task.id, 'first', {}, keyed);
  expect(await checkpoints.delete(task.id, 'first', {}, keyed)).toEqual(first);
  expect(await services.tasks.recover(task.id, {}, call)).toMatchObject({ checkpoint: { name: 'second' } });
  await checkpoints.delete(task.id, 'second', {}, call);
  await expect(services.tasks.recover(task.id, {}, call)).rejects.toMatchObject({ code: 'OCT_CHECKPOINT_NOT_FOUND' });
  expect(await services.ledger.history(task.id, { types: ['checkpoint.deleted'] })).toHaveLength(2);
  expect((await services.ledger.verify(task.id)).ok).toBe(true);
  expect(await home.open.store.verify()).toMatchObject({ ok: true, problems: [] });
  await expect(checkpoints.delete('tsk_0000000000000000000000000a', 'x', {}, call)).rejects.toMatchObject({
    code: 'OCT_TASK_NOT_FOUND',
  });
});

test('what is tagged or pinned of a deleted task stays until that is taken back, and no mark is lost', async () => {
  const task = await deleted('gone', 'first', 'second');
  await checkpoints.pin(task.id, 'first', true, {}, call);
  await Promise.all(['a', 'b', 'c'].map((tag) => checkpoints.tag(task.id, 'first', tag, {}, call)));
  expect((await checkpoints.get(task.id, 'first')).tags).toEqual(['a', 'b', 'c']);
  await expect(checkpoints.delete(task.id, 'first', {}, call)).rejects.toMatchObject({
    code: 'OCT_POLICY_DENIED',
    remedy: expect.stringContaining('untag'),
  });
  const policy = { maxPerTask: 1 };
  expect((await checkpoints.prune(task.id, { dryRun: false, policy }, call)).removed).toEqual([]);
  for (const tag of ['a', 'b', 'c']) await checkpoints.untag(task.id, tag, {}, call);
  await checkpoints.pin(task.id, 'first', false, {}, call);
  const { removed } = await checkpoints.prune(undefined, { dryRun: false, policy }, call);
  expect(removed).toMatchObject([{ checkpoint: { name: 'first' }, rule: 'number' }]);
});

test('pruning never takes what recover brings back of a deleted task', async () => {
  const task = await deleted('gone', 'first', 'second', 'third');
  home.clock.move(10 * 86_400_000);
  const policy = { maxPerTask: 1, keepDays: 1, thinAfterDays: 1, budgetBytes: 1, homeBudgetBytes: 1 };
  await checkpoints.prune(undefined, { dryRun: false, policy }, call);
  expect(await namesOf(task)).toEqual(['third']);
  expect(await services.tasks.recover(task.id, {}, call)).toMatchObject({ checkpoint: { name: 'third' } });
});

test('a deleted task of which the ledger was pruned is recovered, with a chain that proves itself', async () => {
  const task = await deleted('gone', 'first');
  const soon = -1 / 24;
  for (const _ of [1, 2]) {
    await home.open.store.prune({ keepLedgerDays: soon, keepTombstoneDays: null });
    await checkpoints.tag(task.id, 'first', `t${_}`, {}, call);
  }
  expect(await services.tasks.recover(task.id, {}, call)).toMatchObject({ task: { title: 'gone' } });
  expect(await home.open.store.verify()).toMatchObject({ ok: true, problems: [] });
});

test('the budget of the home lets the oldest of all tasks go, and usage says what they take together', async () => {
  const [gone, one] = [await deleted('gone', 'a', 'b'), await taskIn('one')];
  for (const name of ['c', 'd', 'e']) await take(one, name);
  const before = await checkpoints.homeUsage();
  expect(before).toMatchObject({
    tasks: [
      { taskId: one.id, title: 'one', deleted: false, checkpoints: 3 },
      { taskId: gone.id, title: 'gone', deleted: true, checkpoints: 2 },
    ],
    budgetBytes: 0,
  });
  expect(before.bytes).toBeGreaterThan(5 * mebibyte);
  expect(before.bytes).toBeLessThan(5.5 * mebibyte);
  const policy = { homeBudgetBytes: 3.5 * mebibyte };
  const dry = await checkpoints.prune(undefined, { dryRun: true, policy }, call);
  const rules = [
    { checkpoint: { name: 'a' }, rule: 'home-budget' },
    { checkpoint: { name: 'c' }, rule: 'home-budget' },
  ];
  expect(dry.removed).toMatchObject(rules);
  expect((await checkpoints.prune(undefined, { dryRun: false, policy }, call)).removed).toMatchObject(rules);
  expect((await checkpoints.homeUsage()).bytes).toBeLessThan(3.5 * mebibyte);
});
