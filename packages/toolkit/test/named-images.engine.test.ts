import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { OpenHome, Task } from '@opencode-tools/core';
import { removeMadeImages } from '@opencode-tools/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type TestHome, createTestHome, tester as call } from './support/test-home.ts';

let home: TestHome;
let open: OpenHome;
let directory: string;
let name: string;

beforeAll(async () => {
  home = await createTestHome();
  directory = await mkdtemp(join(tmpdir(), 'oct-named-'));
  name = `oct-test/named-${home.engine.homeId.slice(-12)}`;
  const images = {
    [name]: { context: directory, setup: ['cat /opt/file >/opt/copy'] },
    [`${name}-based`]: { base: home.image, setup: ['echo based >/opt/copy'] },
  };
  open = await home.open({ environment: { ...process.env, OPENCODE_TOOLS_IMAGES: JSON.stringify(images) } });
  await writeFile(join(directory, 'Dockerfile'), `FROM ${home.image}\nCOPY . /opt/\n`);
  await writeFile(join(directory, '.dockerignore'), 'unseen\n');
});
afterAll(async () => {
  for (const one of [name, `${name}-based`]) await removeMadeImages(home.engine, one);
  await open.close();
  await home.remove();
  await rm(directory, { recursive: true, force: true });
});

const create = async (image: string): Promise<Task> => open.services.tasks.create({ title: 'named', image }, call);
const sh = async (task: Task, script: string): Promise<string> =>
  (await open.services.executions.run(task.id, { command: { kind: 'script', script } }, call)).stdout.text;

test('an image that the configuration names is made when a task asks for it, and anew when its files changed', async () => {
  await writeFile(join(directory, 'file'), 'one\n');
  await writeFile(join(directory, 'unseen'), 'one\n');
  const first = await create(name);
  expect(await sh(first, 'cat /opt/copy; ls /opt')).toBe('one\nDockerfile\ncopy\nfile\n');
  await writeFile(join(directory, 'unseen'), 'two\n');
  expect((await create(`${name}:latest`)).sandboxSpec.imageId).toBe(first.sandboxSpec.imageId);
  expect(await open.images.make({ name, setup: [] })).toMatchObject({ id: first.sandboxSpec.imageId });

  await writeFile(join(directory, 'file'), 'two\n');
  const second = await create(name);
  expect(await sh(second, 'cat /opt/copy')).toBe('two\n');
  expect(await sh(first, 'cat /opt/copy')).toBe('one\n');
  expect((await open.images.versions(name)).map(({ id, current }) => [id, current])).toEqual([
    [second.sandboxSpec.imageId, true],
    [first.sandboxSpec.imageId, false],
  ]);
  const based = await create(`${name}-based`);
  expect(await sh(based, 'cat /opt/copy')).toBe('based\n');
  for (const task of [first, second, based]) await open.services.tasks.delete(task.id, { force: true }, call);
});

test('a task is not created when a step of its image fails, nor of a directory that is gone', async () => {
  const images = { [name]: { base: home.image, setup: ['exit 3'] }, gone: { context: join(directory, 'gone') } };
  const other = await home.open({ environment: { ...process.env, OPENCODE_TOOLS_IMAGES: JSON.stringify(images) } });
  for (const image of [name, 'gone']) {
    await expect(other.services.tasks.create({ title: 'x', image }, call)).rejects.toMatchObject({
      code: 'OCT_INVALID_ARGUMENT',
    });
  }
  await other.close();
});
