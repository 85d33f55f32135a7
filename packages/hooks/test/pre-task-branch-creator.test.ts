import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type HookContext, silentLogger, systemClock } from '@opencode-tools/core';
import { expect, test } from 'vitest';
import { createHooks, preTaskBranchCreator } from '../src/index.ts';
import { commit, context, git, gitProgram, repository, task, temporaryDirectory } from './fixtures.ts';

async function seed(directory: string, overrides: Partial<HookContext> = {}, port = gitProgram) {
  const hooks = createHooks({ hooks: [preTaskBranchCreator()], git: port, clock: systemClock, logger: silentLogger });
  const [outcome] = await hooks.run(context({ directory, ...overrides }));
  return outcome;
}

const branches = (directory: string) => gitProgram.listBranches(directory);
const current = (directory: string) => git(directory, 'symbolic-ref', '--short', 'HEAD');

test('a task from a repository gets a branch of its own at HEAD', async () => {
  const directory = await repository();
  const head = await git(directory, 'rev-parse', 'HEAD');
  const outcome = await seed(directory);
  expect(outcome).toMatchObject({
    result: 'passed',
    message: `created branch build-claude-sonnet-4-5/add-a-login-page at ${head.slice(0, 12)}`,
  });
  expect(await current(directory)).toBe('build-claude-sonnet-4-5/add-a-login-page');
  expect(await git(directory, 'rev-parse', 'HEAD')).toBe(head);
});

test.each([
  ['no model', { model: null }, 'build/add-a-login-page'],
  ['a model with its provider', { model: 'anthropic/claude-opus-4' }, 'build-claude-opus-4/add-a-login-page'],
  ['an agent with odd letters', { agent: 'Mein Agént ~^:', model: null }, 'mein-agent/add-a-login-page'],
  ['an agent without letters', { agent: '../..', model: null }, 'agent/add-a-login-page'],
  ['a title of other scripts', { model: null, task: task({ title: '登录 страница' }) }, 'build/登录-страница'],
  [
    'a title full of traps',
    { model: null, task: task({ title: '-x @{u}..\\ [*?] HEAD.lock/' }) },
    'build/x-u-head-lock',
  ],
])('with %s the branch has a valid name', async (_what, overrides, expected) => {
  const directory = await repository();
  expect(await seed(directory, overrides)).toMatchObject({ result: 'passed' });
  expect(await current(directory)).toBe(expected);
});

test('a title without a letter gives the name of the task', async () => {
  const directory = await repository();
  const nameless = task({ title: '!!!' });
  await seed(directory, { model: null, task: nameless });
  expect(await current(directory)).toBe(`build/task-${nameless.id.slice(-8)}`);
});

test('a very long title is cut at a dash', async () => {
  const directory = await repository();
  await seed(directory, { model: null, task: task({ title: 'word '.repeat(40).trim() }) });
  expect(await current(directory)).toBe(`build/${'word-'.repeat(11)}word`);
});

test('taken names are counted up and no other branch moves', async () => {
  const directory = await repository();
  await git(directory, 'branch', 'BUILD/Add-A-Login-Page');
  const before = await git(directory, 'for-each-ref');
  await commit(directory, 'second');
  await seed(directory, { model: null });
  await seed(directory, { model: null });
  expect(await branches(directory)).toEqual([
    'BUILD/Add-A-Login-Page',
    'build/add-a-login-page-2',
    'build/add-a-login-page-3',
    'main',
  ]);
  expect(await git(directory, 'rev-parse', 'BUILD/Add-A-Login-Page')).toBe(before.split(' ')[0]);
});

test('a branch that is in the way of the folder is gone around', async () => {
  const directory = await repository();
  await git(directory, 'branch', 'build');
  await seed(directory, { model: null });
  expect(await current(directory)).toBe('build-2/add-a-login-page');
});

test('uncommitted changes stay as they are', async () => {
  const directory = await repository();
  await writeFile(join(directory, 'draft.txt'), 'draft');
  await seed(directory);
  expect(await readFile(join(directory, 'draft.txt'), 'utf8')).toBe('draft');
});

test('a name that another process takes meanwhile is counted up', async () => {
  const directory = await repository();
  let raced = false;
  const outcome = await seed(
    directory,
    { model: null },
    {
      ...gitProgram,
      async createBranch(where, branch) {
        if (!raced) await git(where, 'branch', branch);
        raced = true;
        await gitProgram.createBranch(where, branch);
      },
    },
  );
  expect(outcome?.message).toContain('build/add-a-login-page-2');
});

test('a plain directory, an empty repository and a folder of a repository are left alone', async () => {
  expect((await seed(await temporaryDirectory()))?.message).toMatch(
    /^skipped: no git repository to branch in \(.*is no repository\)$/,
  );
  const empty = await temporaryDirectory();
  await git(empty, 'init', '--quiet');
  expect((await seed(empty))?.message).toMatch(/^skipped: no git repository to branch in \(.*is no repository\)$/);
  const top = await repository();
  await mkdir(join(top, 'folder'));
  expect((await seed(join(top, 'folder')))?.message).toBe(
    'skipped: the directory is not the top of its git repository',
  );
  expect(await branches(top)).toEqual(['main']);
});

test('without a directory or without git nothing happens', async () => {
  const hooks = createHooks({ hooks: [preTaskBranchCreator()], clock: systemClock, logger: silentLogger });
  expect(await hooks.run(context())).toMatchObject([{ result: 'passed', message: 'skipped: no directory to seed' }]);
  const directory = await repository();
  expect(await hooks.run(context({ directory }))).toMatchObject([{ message: 'skipped: git is not available' }]);
});
