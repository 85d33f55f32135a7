import type { OpenHome, TaskId } from '@opencode-tools/core';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type TestHome, createTestHome, tester } from './support/test-home.ts';

let home: TestHome;
let open: OpenHome;
let name: string;
beforeEach(async () => {
  home = await createTestHome();
  open = await home.open();
  name = `oct-lost-image-${open.homeId.slice(-8)}:latest`;
});
afterEach(async () => {
  await open.close();
  // Before the image that these are made from, which the home removes.
  const containers = await home.docker('ps', '-aq', '--filter', `label=io.opencode-tools.home=${open.homeId}`);
  for (const id of containers.split('\n').filter(Boolean)) await home.docker('rm', '-f', id);
  await home.docker('rmi', '-f', name);
  await home.remove();
});

const sh = async (task: TaskId, script: string): Promise<string> =>
  (await open.services.executions.run(task, { command: { kind: 'script', script } }, tester)).stdout.text;

/** Makes an image of that name, another one each time. */
async function makeImage(version: string): Promise<void> {
  const made = (await home.docker('create', home.image, 'true')).trim();
  await home.docker('commit', '--change', `LABEL test.version=${version}`, made, name);
  await home.docker('rm', made);
}

/** As after `docker system prune -a`: no container, and no image without one. */
async function prune(task: TaskId): Promise<void> {
  const { sandbox } = await open.services.tasks.view(task);
  if (sandbox?.ref != null) await home.docker('rm', '-f', sandbox.ref);
  await home.docker('rmi', '-f', '--no-prune', name);
}

async function begun(): Promise<TaskId> {
  await makeImage('1');
  return (await open.services.tasks.create({ title: 'begun', image: name }, tester)).id;
}

test('a task whose image is gone from the engine goes on from what its name leads to now', async () => {
  const { checkpoints, doctor, tasks } = open.services;
  const task = await begun();
  await sh(task, 'echo work >file');
  const { imageId } = (await tasks.get(task)).sandboxSpec;
  await prune(task);
  await expect(sh(task, 'cat file')).rejects.toMatchObject({
    code: 'OCT_IMAGE_NOT_FOUND',
    message: expect.stringContaining(`began with is gone from the engine: ${name} (${imageId})`) as string,
    remedy: expect.stringContaining(`opencode-tools checkpoint ${task}`) as string,
  });

  const saved = await checkpoints.create(task, { name: 'without' }, tester);
  expect(saved.notices).toEqual([expect.stringContaining(`No image is called ${name} now`)]);
  await makeImage('2');
  const again = await checkpoints.create(task, { name: 'with' }, tester);
  expect(again.notices).toEqual([expect.stringContaining(`goes on from what ${name} names now`)]);
  expect(await checkpoints.check(task, again.id)).toMatchObject([{ damage: [] }]);
  expect(await sh(task, 'cat file')).toBe('work\n');
  const { id: fork } = await tasks.fork(task, {}, tester);
  expect(await sh(fork, 'cat file')).toBe('work\n');
  await checkpoints.delete(task, saved.id, {}, tester);
  expect(await doctor.run(tester)).toMatchObject({ healthy: true });
}, 120_000);

test('a task that never had a sandbox goes on so, too', async () => {
  const { checkpoints, doctor } = open.services;
  const task = await begun();
  await prune(task);
  await expect(sh(task, 'echo work')).rejects.toMatchObject({ code: 'OCT_IMAGE_NOT_FOUND' });
  const { findings } = await doctor.run(tester);
  expect(findings).toContainEqual({
    severity: 'problem',
    subject: task,
    message: 'The engine has lost the image of its sandbox',
    remedy: `Pull or build ${name} unless it is there, and take a checkpoint: opencode-tools checkpoint ${task}`,
  });
  await makeImage('2');
  await checkpoints.create(task, { name: 'anew' }, tester);
  expect(await sh(task, 'echo work')).toBe('work\n');
  expect(await doctor.run(tester)).toMatchObject({ healthy: true });
}, 120_000);

test('work is brought back from a checkpoint whose image is gone into a task that runs', async () => {
  const { checkpoints, tasks } = open.services;
  const task = await begun();
  await sh(task, 'echo work >file');
  const one = await checkpoints.create(task, { name: 'one' }, tester);
  await prune(task);
  await tasks.delete(task, {}, tester);
  await expect(tasks.recover(task, { checkpoint: one.id }, tester)).rejects.toMatchObject({
    code: 'OCT_IMAGE_NOT_FOUND',
    remedy: expect.stringContaining(name) as string,
  });
  await makeImage('2');
  const { task: back, rootLost } = await tasks.recover(task, { checkpoint: one.id }, tester);
  expect(rootLost).toBe(true);
  expect(await sh(back.id, 'cat file')).toBe('work\n');
}, 120_000);
