import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { CreateTask, OpenHome, TaskId } from '@opencode-tools/core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { callBy } from './support/home-without-engine.ts';
import { type TestHome, createTestHome } from './support/test-home.ts';

const ada = callBy('ada');
let home: TestHome;
let open: OpenHome;
beforeAll(async () => {
  home = await createTestHome();
  const configFile = path.join(home.directory, 'caches.yaml');
  await mkdir(home.directory, { recursive: true });
  await writeFile(configFile, 'caches: {npm: default, pip: default, data: /var/cache/data}\n');
  open = await home.open({ configFile });
});
afterAll(async () => {
  await open.close();
  await home.remove();
});

const create = async (more: Partial<CreateTask> = {}): Promise<TaskId> =>
  (await open.services.tasks.create({ title: 'cached', image: home.image, ...more }, ada)).id;
const run = async (id: TaskId, script: string): Promise<string> => {
  const done = await open.services.executions.run(id, { command: { kind: 'script', script } }, ada);
  expect(done.stderr.text).toBe('');
  return done.stdout.text;
};
const remove = async (id: TaskId) => open.services.tasks.delete(id, {}, ada);

it('what one task puts into a cache another has, no task without it, and no checkpoint', async () => {
  const caches = ['npm', 'pip', 'data'];
  const [one, other, third] = [await create({ caches }), await create({ caches: ['pip'] }), await create()];
  await run(one, 'touch ~/.npm/package ~/.cache/pip/wheel /var/cache/data/row ~/.cache/own ~/note');
  expect(await run(other, 'ls ~/.cache/pip; touch ~/.cache/pip/second ~/.cache/own; ls -A ~')).toBe('wheel\n.cache\n');
  expect(await run(third, 'ls -A ~; ls -A ~/.cache 2>/dev/null || true')).toBe('');

  const checkpoint = await open.services.checkpoints.create(one, {}, ada);
  await run(one, 'touch ~/.npm/more; rm ~/note');
  const later = await open.services.checkpoints.create(one, {}, ada);
  const { home: changes } = await open.services.checkpoints.compare(one, checkpoint.id, later.id);
  expect(changes.filter(({ path: at }) => at !== '.').map(({ path: at }) => at)).toEqual(['note']);
  await open.services.checkpoints.restore(one, checkpoint.id, {}, ada);
  expect(await run(one, 'ls ~/note ~/.npm ~/.cache')).toMatch(
    /note\n.*\.cache:\nown\npip\n.*\.npm:\nmore\npackage\n$/s,
  );

  for (const id of [one, other, third]) await remove(id);
});

it('with a read-only root, and in a fork, the directories above a cache are the user’s', async () => {
  const id = await create({ caches: ['pip'], readOnlyRoot: true });
  expect(await run(id, 'touch ~/.cache/own ~/.cache/pip/third; ls ~/.cache/pip')).toContain('third');
  await open.services.checkpoints.create(id, { name: 'here' }, ada);
  const fork = await open.services.tasks.fork(id, { title: 'fork' }, ada);
  expect(await run(fork.id, 'ls ~/.cache/pip ~/.cache/own')).toContain('third');
  for (const each of [id, fork.id]) await remove(each);
});

it('a cache is the home’s: it outlives its tasks, is no leftover, and goes when nobody has it', async () => {
  const { services } = open;
  await expect(create({ caches: ['other'] })).rejects.toMatchObject({
    code: 'OCT_INVALID_ARGUMENT',
    remedy: expect.stringContaining('npm, pip, data') as string,
  });
  const id = await create({ caches: ['npm'] });
  await run(id, 'touch ~/.npm/kept');
  const named = async () => (await services.caches.list()).map(({ name }) => name);
  expect(await named()).toContain('npm');
  await expect(services.caches.remove('npm', ada)).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
  await remove(id);
  expect(await named()).toContain('npm');
  const { reaping, findings } = await services.doctor.run(ada, { reap: true });
  expect(reaping).toMatchObject({ unknown: [] });
  expect(findings.filter(({ subject }) => subject === 'caches').map(({ severity }) => severity)).toContain('ok');
  expect(await named()).toContain('npm');

  const [removed] = await services.caches.remove('npm', ada);
  expect(removed).toMatchObject({ name: 'npm', path: '/home/agent/.npm', uid: 1000 });
  expect(await named()).not.toContain('npm');
  const next = await create({ caches: ['npm'] });
  expect(await run(next, 'ls -A ~/.npm')).toBe('');
  await remove(next);
});

it('a cache that is not configured any more is left out, and told by doctor with the way to remove it', async () => {
  const id = await create({ caches: ['data'] });
  await run(id, 'touch /var/cache/data/x');
  await open.services.sandboxes.destroy(id, {}, ada);
  const bare = await home.open();
  const script = { kind: 'script', script: 'ls /var/cache/data 2>/dev/null || echo none' } as const;
  const ran = await bare.services.executions.run(id, { command: script }, ada);
  expect(ran.stdout.text).not.toContain('x');
  const { findings } = await bare.services.doctor.run(ada);
  expect(findings).toContainEqual(
    expect.objectContaining({ severity: 'warning', remedy: 'Remove it: opencode-tools caches remove data' }),
  );
  await bare.services.tasks.delete(id, {}, ada);
  await bare.close();
});
