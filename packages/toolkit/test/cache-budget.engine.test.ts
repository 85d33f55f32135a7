import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import {
  type CreateTask,
  type OpenHome,
  OpencodeToolsError,
  type ServiceDependencies,
  type TaskId,
} from '@opencode-tools/core';
import { until } from '@opencode-tools/testkit';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { callBy } from './support/home-without-engine.ts';
import { type TestHome, createTestHome } from './support/test-home.ts';
import { withMembers } from './support/with-members.ts';

const ada = callBy('ada');
let home: TestHome;
let open: OpenHome;
let configFile: string;
let ports: ServiceDependencies;
let aheadMs = 0;
beforeAll(async () => {
  home = await createTestHome();
  configFile = path.join(home.directory, 'caches.yaml');
  await mkdir(home.directory, { recursive: true });
  await writeFile(configFile, 'caches: {npm: default, pip: default}\ncacheBudget: 1m\n');
  open = await home.open({
    configFile,
    clock: { nowMs: () => Date.now() + aheadMs },
    decorate: (given) => (ports = given),
  });
});
afterAll(async () => {
  await open.close();
  await home.remove();
});

const create = async (more: Partial<CreateTask> = {}): Promise<TaskId> =>
  (await open.services.tasks.create({ title: 'cached', image: home.image, ...more }, ada)).id;
const run = async (id: TaskId, script: string, at = open): Promise<string> => {
  const done = await at.services.executions.run(id, { command: { kind: 'script', script } }, ada);
  expect(done.stderr.text).toBe('');
  return done.stdout.text;
};
const remove = async (id: TaskId) => open.services.tasks.delete(id, {}, ada);
const large =
  'head -c 2000000 /dev/zero >~/.npm/large; ln ~/.npm/large ~/.npm/again; head -c 900000 /dev/zero >~/.cache/pip/w';
const named = async () => (await open.services.caches.list()).map(({ name }) => name);

it('a cache over its budget goes once no sandbox has it, and never before; doctor tells of it till then', async () => {
  const { caches, doctor, housekeeper, sandboxes } = open.services;
  const id = await create({ caches: ['npm', 'pip'] });
  await run(id, large);
  expect(await caches.list({ sizes: true })).toMatchObject([
    { name: 'npm', bytes: 2_000_000, budgetBytes: 1_048_576 },
    { name: 'pip', bytes: 900_000 },
  ]);
  aheadMs += 61 * 60_000;
  expect(await housekeeper.turn()).toMatchObject({ held: true, trimmed: [] });
  expect(await run(id, 'ls ~/.npm')).toBe('again\nlarge\n');
  await sandboxes.stop(id, {}, ada);
  const { findings } = await doctor.run(ada, { reap: true });
  const told = findings.filter(({ message }) => message.includes('2 MB of 1 MB'));
  expect(told).toMatchObject([{ severity: 'warning', remedy: expect.stringContaining('caches remove npm') as string }]);
  expect(await named()).toEqual(['npm', 'pip']);

  await remove(id);
  aheadMs += 61 * 60_000;
  expect((await housekeeper.turn()).trimmed).toMatchObject([{ name: 'npm', bytes: 2_000_000 }]);
  expect((await housekeeper.turn()).trimmed).toEqual([]);
  expect(await named()).toEqual(['pip']);
  const [record] = await ports.ledger.read('home', { types: ['object.removed'], newestFirst: true, limit: 1 });
  const { detail } = JSON.parse(record?.payload ?? '{}') as { detail: object };
  expect(detail).toMatchObject({ kind: 'cache', name: 'npm', bytes: 2_000_000, budgetBytes: 1_048_576 });
  const next = await create({ caches: ['npm'] });
  expect(await run(next, 'ls -A ~/.npm')).toBe('');
  await remove(next);
});

it('a cache that cannot be measured is listed and stays, and holds up no other housekeeping', async () => {
  const id = await create({ caches: ['npm'] });
  await run(id, 'head -c 2000000 /dev/zero >~/.npm/large');
  await remove(id);
  const listTree = async (): Promise<never> => {
    throw new OpencodeToolsError('OCT_INTERNAL', 'A file went while it was listed');
  };
  const unable = await home.open({
    configFile,
    clock: { nowMs: () => Date.now() + aheadMs },
    decorate: (given) => {
      const volumes = withMembers(given.runtime.volumes, { listTree });
      return { ...given, runtime: withMembers(given.runtime, { volumes }) };
    },
  });
  const [npm] = await unable.services.caches.list({ sizes: true });
  expect(npm).toMatchObject({ name: 'npm', bytes: null });
  aheadMs += 61 * 60_000;
  expect(await unable.services.housekeeper.turn()).toMatchObject({ held: true, trimmed: [], pruned: {} });
  await unable.close();
  expect(await open.services.caches.trim(ada)).toMatchObject([{ name: 'npm' }]);
});

it('while a cache is taken away a sandbox that has it starts with all of it or with none', async () => {
  const first = await create({ caches: ['npm'] });
  await run(first, 'head -c 2000000 /dev/zero >~/.npm/large');
  await remove(first);
  const id = await create({ caches: ['npm'] });
  const [trimmed, listed] = await Promise.all([
    open.services.caches.trim(ada),
    run(id, 'ls ~/.npm; touch ~/.npm/mine'),
  ]);
  expect(listed).toBe(trimmed.length === 1 ? '' : 'large\n');
  expect(await open.services.caches.trim(ada)).toEqual([]);
  expect(await run(id, 'ls ~/.npm')).toContain('mine');
  await remove(id);
});

it('a ready sandbox of the pool has the caches of the tasks that it is for, and serves no other', async () => {
  const environment = { ...process.env, OPENCODE_TOOLS_POOL_SIZE: '2', OPENCODE_TOOLS_DEFAULT_IMAGE: home.image };
  const pooled = await home.open({ configFile, environment });
  const { housekeeper, caches } = pooled.services;
  housekeeper.start();
  await housekeeper.turn();
  const first = await create({ caches: ['pip'] });
  await run(first, 'echo kept >~/.cache/pip/row', pooled);
  const hasPip = async (ref: string | null): Promise<boolean> =>
    ref !== null && (await home.docker('inspect', '--format', '{{json .Mounts}}', ref)).includes('-pip-1000');
  let ready: string | undefined;
  await until(async () => {
    await housekeeper.turn();
    for (const { id, ref, state } of (await housekeeper.status()).pooled)
      if (state === 'ready' && (await hasPip(ref))) ready = id;
    return ready !== undefined;
  }, 60_000);
  const plain = await create();
  expect(await run(plain, 'ls -A ~/.cache/pip 2>/dev/null || true', pooled)).toBe('');
  const isReady = async () => (await housekeeper.status()).pooled.some(({ id, claim }) => id === ready && !claim);
  expect(await isReady()).toBe(true);
  // What is ready has it, so that it is not taken away.
  await remove(first);
  await expect(caches.remove('pip', ada)).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
  const task = await create({ caches: ['pip'] });
  expect(await run(task, 'cat ~/.cache/pip/row; echo more >>~/.cache/pip/row; touch ~/.cache/own', pooled)).toBe(
    'kept\n',
  );
  expect(await isReady()).toBe(false);
  await pooled.close();
  for (const id of [plain, task]) await remove(id);
});
