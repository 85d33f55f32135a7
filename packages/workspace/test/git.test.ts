import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '@opencode-tools/core';
import { gitPortContract } from '@opencode-tools/testkit';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createGit } from '../src/index.ts';
import { git } from './open-store.ts';

describe('git on the host', () => {
  let base: string;
  let repository: string;
  beforeEach(() => {
    base = realpathSync(mkdtempSync(join(tmpdir(), 'oct-git-')));
    repository = join(base, 'repository');
    mkdirSync(repository);
    run('init', '-q', '-b', 'main');
  });
  afterEach(() => rmSync(base, { recursive: true, force: true }));

  test('describes a repository from any directory in it', async () => {
    writeFileSync(join(repository, 'file'), 'one');
    commit();
    mkdirSync(join(repository, 'inner'));
    writeFileSync(join(repository, 'inner', 'it\'s "new"\n'), '');
    const commitId = run('rev-parse', 'HEAD').trim();
    expect(await git.inspect(join(repository, 'inner'))).toEqual({
      topDirectory: repository,
      commit: commitId,
      branch: 'main',
      dirtyPaths: ['inner/it\'s "new"\n'],
      submodules: [],
      shallow: false,
    });
    run('checkout', '-q', '--detach');
    expect(await git.inspect(repository, 'main')).toMatchObject({ branch: null, commit: commitId });
  });

  test('refuses what is no repository, has no commit, or does not have the ref', async () => {
    await expect(git.inspect(base)).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
    await expect(git.inspect(join(base, 'missing'))).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
    await expect(git.inspect(repository)).rejects.toMatchObject({ message: expect.stringContaining('no commit') });
    commit();
    await expect(git.inspect(repository, 'no-such')).rejects.toMatchObject({ details: { ref: 'no-such' } });
    await expect(git.inspect(repository, '^main')).rejects.toMatchObject({ details: { ref: '^main' } });
    await expect(git.inspect(repository, 'HEAD@{99}')).rejects.toMatchObject({ details: { ref: 'HEAD@{99}' } });
    await expect(git.inspect(repository, '--all')).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
    await expect(git.inspect(join(repository, '.git'))).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
  });

  test('finds the commit of a ref with one process, in a bare repository with two', async () => {
    commit();
    let processes = 0;
    const counting = createGit({
      environment: { PATH: process.env['PATH'] },
      logger: { ...silentLogger, debug: () => (processes += 1) },
      bound: () => Promise.resolve([]),
    });
    const place = join(base, 'with a\nline break');
    for (const [made, most] of [
      [['clone', '-q', '.', place], 1],
      [['clone', '-q', '--bare', '.', `${place}.git`], 2],
    ] as const) {
      run(...made);
      processes = 0;
      const topDirectory = made.at(-1);
      const found = await counting.resolve(topDirectory ?? '', 'main');
      expect(found).toMatchObject({ topDirectory, commit: run('rev-parse', 'HEAD').trim(), bare: most === 2 });
      expect(processes).toBe(most);
      const refused = { details: { directory: topDirectory, ref: 'none' } };
      await expect(counting.resolve(topDirectory ?? '', 'none')).rejects.toMatchObject(refused);
    }
  });

  test('makes and lists branches', async () => {
    commit();
    await git.createBranch(repository, 'task/abc-1');
    expect(await git.listBranches(repository)).toEqual(['main', 'task/abc-1']);
    expect((await git.inspect(repository)).branch).toBe('task/abc-1');
    await expect(git.createBranch(repository, 'main')).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
    await expect(git.createBranch(repository, '--orphan')).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
  });

  test.each([
    ['main', true],
    ['task/a-1', true],
    ['é', true],
    ['-x', false],
    ['a..b', false],
    ['a b', false],
    ['', false],
    ['HEAD', false],
    ['a\0b', false],
    ['x.lock', false],
  ])('says whether %j can be a branch', async (name, answer) => {
    expect(await git.isBranchName(name)).toBe(answer);
  });

  test('says so when there is no git', async () => {
    const without = createGit({ environment: { PATH: base }, logger: silentLogger, bound: () => Promise.resolve([]) });
    await expect(without.inspect(repository)).rejects.toMatchObject({
      code: 'OCT_CAPABILITY_UNSUPPORTED',
      remedy: expect.stringContaining('Install git'),
    });
  });

  function run(...args: readonly string[]): string {
    const identity = ['-c', 'user.name=An Author', '-c', 'user.email=author@example.com'];
    return execFileSync('git', ['-C', repository, ...identity, ...args], { encoding: 'utf8' });
  }

  function commit(): void {
    run('add', '-A');
    run('commit', '-q', '--allow-empty', '-m', 'a commit');
  }
});

gitPortContract('git of this host', git);
