import type { Checkpoint, OpenHome, TaskId } from '@opencode-tools/core';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type TestHome, createTestHome, tester } from './support/test-home.ts';

let home: TestHome;
let open: OpenHome;
beforeEach(async () => {
  home = await createTestHome();
  open = await home.open();
});
afterEach(async () => {
  await open.close();
  await home.remove();
});

const sh = async (task: TaskId, script: string): Promise<string> =>
  (await open.services.executions.run(task, { command: { kind: 'script', script } }, tester)).stdout.text;

/** A task in which something was installed, saved in a checkpoint; its container is removed. */
async function installed(): Promise<{ readonly task: TaskId; readonly one: Checkpoint }> {
  const { id: task } = await open.services.tasks.create({ title: 'installed', image: home.image }, tester);
  await sh(task, 'echo work >file; echo tool >/opt/tool');
  // This saves it first.
  await open.services.sandboxes.destroy(task, {}, tester);
  const [one] = await open.services.checkpoints.list(task);
  if (one === undefined) throw new Error('No checkpoint was taken');
  return { task, one };
}

async function loseImage({ root }: Checkpoint): Promise<void> {
  await home.docker('rmi', '-f', '--no-prune', root?.imageId ?? '');
}

const corrupt = (remedy: string) => ({
  code: 'OCT_CHECKPOINT_CORRUPT',
  remedy: expect.stringContaining(remedy) as string,
});

test('a task whose installed programs are gone from the engine says so in every verb, and goes on without them', async () => {
  const { checkpoints, tasks, doctor } = open.services;
  const { task, one } = await installed();
  await loseImage(one);
  const found = await doctor.run(tester);
  expect(found.healthy).toBe(false);
  expect(found.findings).toContainEqual(expect.objectContaining({ severity: 'problem', subject: task }));
  await expect(sh(task, 'cat file')).rejects.toMatchObject(corrupt(`recover ${task}`));
  await expect(tasks.fork(task, {}, tester)).rejects.toMatchObject(corrupt(`recover ${task} --checkpoint ${one.id}`));
  await expect(checkpoints.restore(task, one.id, {}, tester)).rejects.toMatchObject(corrupt(`recover ${task}`));
  await expect(checkpoints.export(task, one.id, {}, tester)).rejects.toMatchObject(corrupt(`recover ${task}`));
  const { stream } = await checkpoints.export(task, one.id, { root: false }, tester);
  for await (const chunk of stream) void chunk;

  const two = await checkpoints.create(task, { name: 'two' }, tester);
  expect(two.notices).toEqual([expect.stringContaining('What was installed is lost')]);
  expect(await checkpoints.check(task, two.id)).toMatchObject([{ damage: [] }]);
  expect(await sh(task, 'cat file; ls /opt')).toBe('work\n');
  const { id: fork } = await tasks.fork(task, {}, tester);
  expect(await sh(fork, 'cat file')).toBe('work\n');
  await checkpoints.delete(task, one.id, {}, tester);
  expect(await doctor.run(tester)).toMatchObject({ healthy: true });
}, 120_000);

test('a task that is deleted then keeps its files, and no image that is not there', async () => {
  const { task, one } = await installed();
  await loseImage(one);
  const { receipt } = await open.services.tasks.delete(task, {}, tester);
  expect(receipt.keptImages).toEqual([]);
  const { task: back } = await open.services.tasks.recover(task, {}, tester);
  expect(await sh(back.id, 'cat file')).toBe('work\n');
}, 120_000);

test('what was installed is saved once more while a container of it stands', async () => {
  const { checkpoints, sandboxes } = open.services;
  const { task, one } = await installed();
  await sh(task, 'true');
  await sandboxes.stop(task, {}, tester);
  await loseImage(one);
  const two = await checkpoints.create(task, { name: 'two' }, tester);
  expect(await checkpoints.check(task, two.id)).toMatchObject([{ damage: [] }]);
  await sandboxes.destroy(task, {}, tester);
  expect(await sh(task, 'cat file /opt/tool')).toBe('work\ntool\n');
}, 120_000);
