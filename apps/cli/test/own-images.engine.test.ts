import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ImageFacts, ImageVersion, Task } from '@opencode-tools/core';
import { type TestEngine, openTestEngine, removeMadeImages } from '@opencode-tools/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Cli, openCli } from './run-bin.ts';

let engine: TestEngine;
let cli: Cli;
let directory: string;
let name: string;

beforeAll(async () => {
  engine = await openTestEngine();
  cli = await openCli();
  directory = await mkdtemp(join(tmpdir(), 'oct-context-'));
  name = `oct-test/cli-${engine.homeId.slice(-12)}`;
});
afterAll(async () => {
  await removeMadeImages(engine, name);
  await cli[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
  await engine.close();
});

test('an image is made from a directory, used by a task, made anew, gone back to and pruned', async () => {
  await mkdir(join(directory, 'files'));
  await writeFile(join(directory, 'files', 'tool'), '#!/bin/sh\necho tool\n', { mode: 0o755 });
  await writeFile(join(directory, 'Dockerfile'), `FROM ${engine.imageId}\nCOPY files/ /usr/local/bin/\n`);
  await writeFile(join(directory, '.dockerignore'), 'files/*\n!files/tool\n');
  await writeFile(join(directory, 'files', 'sh'), '', { mode: 0o755 });
  const make = async (step: string): Promise<ImageFacts> => {
    const argv = ['images', 'make', name, '--context', directory, '--setup', step];
    return (await cli.json<{ image: ImageFacts }>(argv)).image;
  };
  const first = await make('tool >/opt/made; test ! -e /usr/local/bin/sh');
  const { task } = await cli.json<{ task: Task }>(['create-task', 'Own image', '--image', name]);
  expect(task.sandboxSpec.imageId).toBe(first.id);
  const second = await make('echo other >/opt/made');
  const versions = async (): Promise<readonly ImageVersion[]> =>
    (await cli.json<{ versions: ImageVersion[] }>(['images', 'versions', name])).versions;
  expect((await versions()).map(({ id }) => id)).toEqual([second.id, first.id]);
  expect((await cli.run(['images', 'rollback', name, first.id.slice(7, 19)])).stdout).toContain('current');
  await cli.run(['images', 'rollback', name, second.id.slice(7, 19)]);
  expect((await cli.run(['images', 'prune', name, '--keep', '0'])).stdout).toContain(
    `kept ${first.id.slice(7, 19)}: of a task`,
  );
  expect(await cli.run(['cleanup-task', task.id, '--force'])).toMatchObject({ code: 0 });
  expect((await cli.run(['images', 'prune', name, '--keep', '0'])).stdout).toContain(
    `removed ${first.id.slice(7, 19)}`,
  );
  expect((await versions()).map(({ id, current }) => [id, current])).toEqual([[second.id, true]]);
});
