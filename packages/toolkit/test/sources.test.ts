import { execFileSync } from 'node:child_process';
import {
  chownSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { workspaceNotices } from '@opencode-tools/core';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type EnginelessHome, callBy, createEnginelessHome } from './support/home-without-engine.ts';

let home: EnginelessHome;
let base: string;
beforeEach(async () => {
  home = await createEnginelessHome();
  base = realpathSync(mkdtempSync(join(tmpdir(), 'oct-sources-')));
  git('init', '-q', '-b', 'main', 'whole');
  for (const message of ['first', 'second']) git('-C', 'whole', 'commit', '-q', '--allow-empty', '-m', message);
});
afterEach(async () => {
  await home.remove();
  rmSync(base, { recursive: true, force: true });
});

function git(...args: readonly string[]): void {
  const settings = ['-c', 'user.name=t', '-c', 'user.email=t@example.org', '-c', 'protocol.file.allow=always'];
  execFileSync('git', [...settings, ...args], { cwd: base, stdio: 'pipe' });
}
const from = (name: string) => ({ workspace: { kind: 'git', path: join(base, name) } }) as const;

test('a task from a shallow clone says so, where it is kept and to whoever makes it', async () => {
  git('clone', '-q', '--depth', '1', `file://${join(base, 'whole')}`, 'cut');
  const { id, workspace } = await home.create(from('cut'));
  expect(workspace).toMatchObject({ source: { kind: 'git', shallow: true } });
  expect(workspaceNotices(workspace)).toEqual([expect.stringContaining('is a shallow clone')]);
  expect((await home.open.services.tasks.get(id)).workspace).toEqual(workspace);

  const whole = (await home.create(from('whole'))).workspace;
  expect(whole.mode === 'volume' && whole.source).not.toHaveProperty('shallow');
  expect(workspaceNotices(whole)).toEqual([]);
});

test('a task from a repository with submodules is refused, naming them, and nothing is left of it', async () => {
  git('-C', 'whole', 'submodule', '--quiet', 'add', join(base, 'whole', '.git'), 'vendor/lib');
  git('-C', 'whole', 'commit', '-q', '-m', 'module');
  await expect(home.create(from('whole'))).rejects.toMatchObject({
    code: 'OCT_INVALID_ARGUMENT',
    message: expect.stringContaining('vendor/lib') as string,
    remedy: expect.stringContaining('bind workspace') as string,
  });
  expect((await home.open.services.tasks.list({})).items).toEqual([]);
});

test('a task from a repository that the sandbox of another could have written is refused, and one at its top is not', async () => {
  const project = join(base, 'project');
  for (const directory of [project, join(project, 'deep')]) {
    mkdirSync(directory);
    git('-C', directory, 'init', '-q', '-b', 'main');
    git('-C', directory, 'commit', '-q', '--allow-empty', '-m', 'first');
  }
  const before = await home.create(from('project/deep'));
  if (process.getuid?.() === 0) chownSync(project, 1_000, 1_000);
  await home.create({ workspace: { kind: 'bind', path: project } });
  if (process.getuid?.() === 0) chownSync(project, 0, 0);
  const denied = { code: 'OCT_POLICY_DENIED', remedy: expect.stringContaining('clone') as string };
  await expect(home.create(from('project/deep'))).rejects.toMatchObject(denied);
  const merging = home.open.services.work.merge(before.id, { dryRun: true }, callBy('ada'));
  await expect(merging).rejects.toMatchObject(denied);
  const { workspace } = await home.create({ workspace: { kind: 'git', path: project, dirty: 'leave' } });
  expect(workspace).toMatchObject({ source: { repository: project } });
});

test('a task from a submodule of a directory that another task has is made, but not from what only says to be one', async () => {
  const project = join(base, 'project');
  git('init', '-q', '-b', 'main', project);
  git('-C', project, 'submodule', '--quiet', 'add', join(base, 'whole', '.git'), 'vendor/lib');
  const all = [
    project,
    ...readdirSync(project, { recursive: true, encoding: 'utf8' }).map((name) => join(project, name)),
  ];
  const give = (id: number): void => all.forEach((path) => lchownSync(path, id, id));
  if (process.getuid?.() === 0) give(1_000);
  await home.create({ workspace: { kind: 'bind', path: project } });
  if (process.getuid?.() === 0) give(0);
  const lib = join(project, 'vendor/lib');
  expect((await home.create(from('project/vendor/lib'))).workspace).toMatchObject({ source: { repository: lib } });
  const planted = join(project, 'planted');
  mkdirSync(planted);
  writeFileSync(join(planted, '.git'), readFileSync(join(lib, '.git'), 'utf8').replace('../../', '../'));
  await expect(home.create(from('project/planted'))).rejects.toMatchObject({ code: 'OCT_POLICY_DENIED' });
});
