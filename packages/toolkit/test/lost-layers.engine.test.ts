import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Checkpoint, OpenHome, TaskId } from '@opencode-tools/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type TestHome, createTestHome, tester } from './support/test-home.ts';

const base = 'opencode-sandbox-base:latest';

/** What may become of the engine's volume of layers while no process of the home lives. */
const losses: readonly (readonly [string, (home: TestHome, volume: string) => Promise<unknown>])[] = [
  ['is removed', (home, volume) => home.docker('volume', 'rm', volume)],
  ['is emptied', (home, volume) => inVolume(home, volume, 'rm -rf ./*')],
  [
    'is made again by somebody else',
    async (home, volume) => {
      await home.docker('volume', 'rm', volume);
      await inVolume(home, volume, ':');
    },
  ],
];

async function inVolume(home: TestHome, volume: string, script: string): Promise<string> {
  const options = ['--rm', '--network', 'none', '--user', '0:0', '-w', '/w', '-v', `${volume}:/w`];
  return home.docker('run', ...options, base, 'sh', '-ec', script);
}

let home: TestHome;
let open: OpenHome;
let volume: string;
let source: string;
beforeEach(async () => {
  home = await createTestHome();
  open = await home.open();
  source = await mkdtemp(join(tmpdir(), 'oct-lost-'));
  await writeFile(join(source, 'known'), 'known\n');
  volume = `oct-${open.homeId.slice(-10)}-layers`;
});
afterEach(async () => {
  await open.close();
  await home.docker('volume', 'rm', '-f', volume);
  await home.remove();
  await rm(source, { recursive: true, force: true });
});

const sh = async (task: TaskId, script: string): Promise<string> =>
  (await open.services.executions.run(task, { command: { kind: 'script', script } }, tester)).stdout.text;

/** Does something to the volume of layers between two processes of the home. */
async function between(harm: (home: TestHome, volume: string) => Promise<unknown>): Promise<void> {
  await open.close();
  await harm(home, volume);
  open = await home.open();
}

async function newTask(title: string, from?: string): Promise<TaskId> {
  const workspace = from === undefined ? {} : { workspace: { kind: 'directory', path: from } as const };
  return (await open.services.tasks.create({ title, image: home.image, ...workspace }, tester)).id;
}

describe.each(losses)('when the volume of layers %s', (_, harm) => {
  test('new tasks have their sandboxes, from nothing and from a known directory', async () => {
    const before = [await newTask('before'), await newTask('seeded before', source)];
    for (const task of before) await sh(task, 'true');
    for (const task of before) await open.services.tasks.delete(task, {}, tester);
    await between(harm);
    expect(await sh(await newTask('after'), 'echo works')).toBe('works\n');
    expect(await sh(await newTask('seeded after', source), 'cat known')).toBe('known\n');
  }, 120_000);
});

/** A stopped task with a checkpoint, and one that goes on without any. */
async function withCheckpoint(): Promise<{ readonly task: TaskId; readonly bare: TaskId }> {
  const [task, bare] = [await newTask('with a checkpoint'), await newTask('without a checkpoint')];
  await sh(task, 'echo precious >p');
  await open.services.checkpoints.create(task, { name: 'one' }, tester);
  await sh(bare, 'echo precious >p');
  for (const one of [task, bare]) await open.services.tasks.stop(one, {}, tester);
  return { task, bare };
}

const lost = (task: TaskId) => ({
  code: 'OCT_WORKSPACE_LOST',
  remedy: expect.stringContaining(`cleanup-task ${task} --force`) as string,
});
const corrupt = { code: 'OCT_CHECKPOINT_CORRUPT' };

test('a task that lost everything says so in every verb, and can be deleted', async () => {
  const { task, bare } = await withCheckpoint();
  await between((at, name) => at.docker('volume', 'rm', name));
  const found = await open.services.doctor.run(tester);
  expect(found.healthy).toBe(false);
  for (const one of [task, bare])
    expect(found.findings).toContainEqual(expect.objectContaining({ severity: 'problem', subject: one }));
  for (const one of [task, bare]) {
    await expect(sh(one, 'cat p')).rejects.toMatchObject(lost(one));
    await expect(open.services.checkpoints.create(one, {}, tester)).rejects.toMatchObject(lost(one));
    await expect(open.services.sandboxes.destroy(one, {}, tester)).rejects.toMatchObject(lost(one));
    await expect(open.services.tasks.delete(one, {}, tester)).rejects.toMatchObject(lost(one));
  }
  await expect(open.services.tasks.fork(bare, {}, tester)).rejects.toMatchObject(lost(bare));
  await expect(open.services.tasks.fork(task, {}, tester)).rejects.toMatchObject(corrupt);
  await expect(open.services.checkpoints.restore(task, 'one', {}, tester)).rejects.toMatchObject(corrupt);
  await expect(open.services.checkpoints.export(task, 'one', {}, tester)).rejects.toMatchObject(corrupt);
  await expect(open.services.tasks.recover(task, {}, tester)).rejects.toMatchObject({
    ...corrupt,
    remedy: expect.stringContaining(`cleanup-task ${task} --force`) as string,
  });
  for (const one of [task, bare]) {
    const { receipt } = await open.services.tasks.delete(one, { force: true }, tester);
    expect(receipt.finalCheckpointId).toBe(null);
    expect(receipt.lost).toContainEqual(expect.stringContaining('is lost'));
  }
  const after = await open.services.doctor.run(tester);
  expect(after).toMatchObject({ healthy: true });
  expect(after.findings).toContainEqual(expect.objectContaining({ severity: 'warning', subject: task }));
  await open.services.checkpoints.delete(task, 'one', {}, tester);
  const last = await open.services.doctor.run(tester);
  expect(last.findings.filter(({ subject }) => subject === task)).toEqual([]);
}, 240_000);

test('a task whose container and volumes went as well claims no checkpoint of what is gone', async () => {
  const { task } = await withCheckpoint();
  const { sandbox } = await open.services.tasks.view(task);
  await between(async (at, name) => {
    await at.docker('rm', '-f', sandbox?.ref ?? '');
    await at.docker('volume', 'rm', sandbox?.workspaceVolume ?? '', sandbox?.homeVolume ?? '', name);
  });
  await expect(open.services.checkpoints.create(task, {}, tester)).rejects.toMatchObject(lost(task));
  await expect(sh(task, 'cat p')).rejects.toMatchObject(lost(task));
  await expect(open.services.tasks.delete(task, {}, tester)).rejects.toMatchObject(lost(task));
  const { receipt } = await open.services.tasks.delete(task, { force: true }, tester);
  expect(receipt.finalCheckpointId).toBe(null);
}, 120_000);

test('a checkpoint whose content the home has as well comes back', async () => {
  const { task, bare } = await withCheckpoint();
  const { stream } = await open.services.checkpoints.export(task, 'one', {}, tester);
  for await (const chunk of stream) void chunk;
  await between((at, name) => at.docker('volume', 'rm', name));
  await expect(sh(task, 'cat p')).rejects.toMatchObject({
    code: 'OCT_WORKSPACE_LOST',
    remedy: expect.stringContaining(`restore-checkpoint ${task}`) as string,
  });
  expect(await open.services.checkpoints.check(task)).toMatchObject([{ damage: [] }]);
  const { id: fork } = await open.services.tasks.fork(task, { checkpoint: 'one' }, tester);
  expect(await sh(fork, 'cat p')).toBe('precious\n');
  await open.services.checkpoints.restore(task, 'one', {}, tester);
  expect(await sh(task, 'cat p; echo more >>p')).toBe('precious\n');
  await open.services.checkpoints.create(task, { name: 'two' }, tester);
  expect(await open.services.checkpoints.check(task, 'two')).toMatchObject([{ damage: [] }]);
  await open.services.tasks.delete(bare, { force: true }, tester);
}, 120_000);

/** The directory of one layer of a snapshot, the highest first. */
async function layerOf(checkpoint: Checkpoint, at: number): Promise<string> {
  const record = await readFile(join(home.directory, 'layers', 'snapshots', checkpoint.workspace?.id ?? ''), 'utf8');
  return (JSON.parse(record.split('\n')[1] ?? '') as { layers: readonly string[] }).layers.at(at) ?? '';
}

test('a checkpoint that lost a layer is named, and another one of the same volume is whole', async () => {
  const { task } = await withCheckpoint();
  const one = await open.services.checkpoints.get(task, 'one');
  const layer = await layerOf(one, 0);
  await between((at, name) => inVolume(at, name, `rm -r ${layer}`));
  expect((await open.services.doctor.run(tester)).findings).toContainEqual(
    expect.objectContaining({ severity: 'problem', subject: task }),
  );
  await expect(open.services.tasks.fork(task, { checkpoint: 'one' }, tester)).rejects.toMatchObject(corrupt);
  expect(await sh(task, 'cat p')).toBe('precious\n');
  const two = await open.services.checkpoints.create(task, { name: 'two' }, tester);
  expect(await open.services.checkpoints.check(task, two.id)).toMatchObject([{ damage: [] }]);
  const { id: fork } = await open.services.tasks.fork(task, { checkpoint: two.id }, tester);
  expect(await sh(fork, 'cat p')).toBe('precious\n');
  await open.services.checkpoints.delete(task, one.id, {}, tester);
  expect(await open.services.doctor.run(tester)).toMatchObject({ healthy: true });
}, 120_000);

/** Takes what a task changed since its checkpoint away. */
async function loseChanges(task: TaskId): Promise<void> {
  const { sandbox } = await open.services.tasks.view(task);
  const options = await home.docker('volume', 'inspect', '-f', '{{.Options.o}}', sandbox?.workspaceVolume ?? '');
  const upper = /upperdir=\S+\/_data\/([^/]+)\/d/.exec(options)?.[1] ?? '';
  await between((at, name) => inVolume(at, name, `rm -r ${upper}`));
}

test('the receipt of a task that lost its changes alone says so', async () => {
  const { task } = await withCheckpoint();
  await loseChanges(task);
  const { receipt } = await open.services.tasks.delete(task, { force: true }, tester);
  expect(receipt).toMatchObject({ lost: [expect.stringContaining('lost the workspace') as string] });
  expect(receipt?.finalCheckpointId).not.toBeNull();
}, 120_000);

test('a task that lost its changes alone comes back to its checkpoint, and what is left of the present is saved', async () => {
  const { task } = await withCheckpoint();
  await loseChanges(task);
  await expect(open.services.checkpoints.create(task, {}, tester)).rejects.toMatchObject({
    code: 'OCT_WORKSPACE_LOST',
    remedy: expect.stringContaining(`restore-checkpoint ${task}`) as string,
  });
  await open.services.checkpoints.restore(task, 'one', {}, tester);
  expect(await sh(task, 'cat p')).toBe('precious\n');
  expect(await open.services.doctor.run(tester)).toMatchObject({ healthy: true });
}, 120_000);
