import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type GuardedPath, silentLogger } from '@opencode-tools/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createDirectoryVolumes } from '@opencode-tools/testkit';
import { createContentStore, createGit } from '../src/index.ts';

let base: string;
let home: string;
let project: string;
beforeEach(() => {
  base = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'oct-configured-')));
  home = join(base, 'home');
  project = join(base, 'project');
  for (const directory of [home, project]) fs.mkdirSync(directory);
  fs.writeFileSync(join(home, '.gitconfig'), '');
});
afterEach(() => fs.rmSync(base, { recursive: true, force: true }));

const put = (path: string, text = ''): string => {
  fs.mkdirSync(dirname(join(base, path)), { recursive: true });
  fs.writeFileSync(join(base, path), text);
  return join(base, path);
};
const configure = (file: string, key: string, value: string): void => {
  execFileSync('git', ['config', '--file', join(base, file), key, value], { stdio: 'pipe' });
};
const init = (): void => {
  const environment = { PATH: process.env['PATH'], HOME: home };
  execFileSync('git', ['init', '-q'], { cwd: project, env: environment, stdio: 'pipe' });
};
async function guards(more: Readonly<Record<string, string>> = {}): Promise<readonly string[]> {
  const environment = { PATH: process.env['PATH'], HOME: home, GIT_CONFIG_NOSYSTEM: '1', ...more };
  const git = createGit({ environment, logger: silentLogger, bound: () => Promise.resolve([]) });
  const volumes = createDirectoryVolumes(join(base, 'volumes'));
  const store = createContentStore({ directory: join(base, 'store'), volumes, git, environment, logger: silentLogger });
  const told = ({ path, readOnly }: GuardedPath): string => (readOnly ? path.slice(project.length + 1) : '');
  return (await store.guardDirectory(project)).map(told).filter((path) => path !== '');
}

describe.each(['with a repository', 'without one'])('in a directory %s', (kind) => {
  beforeEach(() => {
    if (kind === 'with a repository') init();
  });

  test('what the configuration of the user includes is read-only, whatever its condition and however deep', async () => {
    configure('home/.gitconfig', 'include.path', put('project/git/shared'));
    configure('home/.gitconfig', 'includeIf.gitdir:/nowhere/.path', put('project/git/work'));
    configure('project/git/work', 'include.path', 'deeper');
    put('project/git/deeper');
    put('project/git/other');
    expect(await guards()).toEqual(['.git', 'git/deeper', 'git/shared', 'git/work']);
  });

  test('its hooks, templates and attributes are read-only, also where a link leads to them', async () => {
    put('project/hooks/pre-commit');
    put('project/template/hooks/pre-commit');
    fs.symlinkSync(join(project, 'hooks'), join(home, 'hooks'));
    configure('home/.gitconfig', 'core.hooksPath', '~/hooks');
    configure('home/.gitconfig', 'init.templateDir', join(project, 'template'));
    configure('home/.gitconfig', 'core.attributesFile', put('project/attributes'));
    configure('home/.gitconfig', 'core.excludesFile', put('project/ignored'));
    expect(await guards()).toEqual(['.git', 'attributes', 'hooks', 'template']);
  });

  test.each([
    ['core.fsmonitor', 'PATH'],
    ['credential.helper', '!PATH --quiet'],
    ['credential.https://example.org.helper', 'PATH'],
    ['gpg.program', 'PATH'],
    ['gpg.ssh.program', 'PATH'],
    ['diff.external', 'PATH'],
    ['diff.x.textconv', 'sh -c "PATH"'],
    ['filter.x.clean', "'PATH' %f"],
    ['alias.x', '!cd DIRECTORY && PATH'],
    ['pager.log', 'env X=PATH less'],
  ])('a program of %s is read-only, and the rest is not', async (key, value) => {
    const path = put('project/tools/run');
    put('project/tools/other');
    configure('home/.gitconfig', key, value.replace('PATH', path).replace('DIRECTORY', dirname(path)));
    expect(await guards()).toEqual(['.git', 'tools/run']);
  });

  test('a program that is not there, or is a link that could be turned, ends it', async () => {
    configure('home/.gitconfig', 'diff.external', `${join(project, 'later')} --fast`);
    await expect(guards()).rejects.toMatchObject({
      code: 'OCT_POLICY_DENIED',
      message: expect.stringContaining('later'),
    });
    put('project/there');
    fs.symlinkSync('there', join(project, 'later'));
    await expect(guards()).rejects.toMatchObject({ code: 'OCT_POLICY_DENIED' });
  });

  test("the files of the user's and the host's own configuration are read-only", async () => {
    const environment = { GIT_CONFIG_GLOBAL: put('project/mine'), GIT_CONFIG_SYSTEM: put('project/all') };
    for (const name of ['mine', 'all']) configure(`project/${name}`, 'user.name', name);
    const read = { ...environment, GIT_CONFIG_NOSYSTEM: '0' };
    expect(await guards(read)).toEqual(['.git', 'all', 'mine']);
  });
});

test('a program that the configuration of the repository names by where it is in the work tree is read-only', async () => {
  init();
  put('project/tools/clean');
  configure('project/.git/config', 'filter.x.clean', 'tools/clean %f');
  expect(await guards()).toEqual(['.git', 'tools/clean']);
});
