import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TaskId } from '@opencode-tools/core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tester as call, useTestHome } from './support/test-home.ts';

const bed = useTestHome();
let project: string;
let file: string;
beforeAll(() => {
  project = realpathSync(mkdtempSync(join(tmpdir(), 'oct-shared-')));
  file = join(project, 'part/file');
  mkdirSync(join(project, 'part'));
  writeFileSync(file, 'before\n');
  if (process.getuid?.() === 0) execFileSync('chown', ['-R', '4321:5432', project]);
});
afterAll(() => rmSync(project, { recursive: true, force: true }));

const denied = { code: 'OCT_POLICY_DENIED', remedy: expect.stringContaining('stop') as string };

async function bound(path: string): Promise<TaskId> {
  const workspace = { kind: 'bind', path } as const;
  return (await bed.open.services.tasks.create({ title: path, image: bed.home.image, workspace }, call)).id;
}

async function sh(task: TaskId, script: string): Promise<void> {
  const { execution } = await bed.open.services.executions.run(task, { command: { kind: 'script', script } }, call);
  expect(execution.exitCode).toBe(0);
}

test('a directory is restored once no sandbox of another task runs in it, or in a part of it', async () => {
  const { tasks, checkpoints, sandboxes } = bed.open.services;
  const own = await bound(project);
  await sh(own, 'true');
  const { id } = await checkpoints.create(own, {}, call);
  for (const other of [await bound(project), await bound(join(project, 'part'))]) {
    await sh(other, `echo after >${file}`);
    await expect(checkpoints.restore(own, id, {}, call)).rejects.toMatchObject(denied);
    await sandboxes.pause(other, call);
    await expect(checkpoints.restore(own, id, {}, call)).rejects.toMatchObject(denied);
    expect(readFileSync(file, 'utf8')).toBe('after\n');
    await tasks.stop(other, {}, call);
    await checkpoints.restore(own, id, {}, call);
    expect(readFileSync(file, 'utf8')).toBe('before\n');
    await sh(other, `cat ${file}`);
    await tasks.stop(other, {}, call);
  }
});

test('work is merged into a branch once no sandbox of another task runs in the work tree that goes along', async () => {
  const { tasks, files, work } = bed.open.services;
  const repository = realpathSync(mkdtempSync(join(tmpdir(), 'oct-shared-')));
  try {
    const git = (...args: readonly string[]): string =>
      execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.org', ...args], {
        cwd: repository,
        encoding: 'utf8',
      });
    git('init', '-q', '-b', 'main');
    git('commit', '-q', '--allow-empty', '-m', 'base');
    const old = git('rev-parse', 'main');
    const part = join(repository, 'part');
    mkdirSync(part);
    if (process.getuid?.() === 0) execFileSync('chown', ['4321:5432', part]);
    const source = { kind: 'git', path: repository } as const;
    const { id } = await tasks.create(
      { title: 'work', image: await bed.home.engine.gnuImage(), workspace: source },
      call,
    );
    await files.write(id, { path: 'new', content: Buffer.from('merged\n') }, call);
    const there = await bound(part);
    await sh(there, 'true');
    await expect(work.merge(id, { into: 'main' }, call)).rejects.toMatchObject(denied);
    expect(git('rev-parse', 'main')).toBe(old);
    await tasks.stop(there, {}, call);
    expect(await work.merge(id, { into: 'main' }, call)).toMatchObject({ merged: true });
    expect(readFileSync(join(repository, 'new'), 'utf8')).toBe('merged\n');
  } finally {
    rmSync(repository, { recursive: true, force: true });
  }
});

test('work is applied to a directory once no sandbox runs in it', async () => {
  const { tasks, files, work } = bed.open.services;
  const { id } = await tasks.create({ title: 'work', image: bed.home.image }, call);
  await files.write(id, { path: 'new', content: Buffer.from('applied\n') }, call);
  const there = await bound(project);
  await sh(there, 'true');
  const { checkpoint } = await work.review(id, {}, call);
  const at = { checkpoint: checkpoint.id, directory: project };
  await expect(work.apply(id, at, call)).rejects.toMatchObject(denied);
  expect(existsSync(join(project, 'new'))).toBe(false);
  await tasks.stop(there, {}, call);
  expect(await work.apply(id, at, call)).toMatchObject({ applied: true });
  expect(readFileSync(join(project, 'new'), 'utf8')).toBe('applied\n');
});
