import { execFileSync } from 'node:child_process';
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { GitPort } from '@opencode-tools/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

/** Says what every `GitPort` does. Called at the top level of a test file. */
export function gitPortContract(name: string, git: GitPort): void {
  describe(`${name} as a git port`, () => {
    let directory: string;
    const run = (...argv: readonly string[]): string =>
      execFileSync('git', ['-C', directory, '-c', 'user.name=a', '-c', 'user.email=a@b', ...argv], {
        encoding: 'utf8',
      });
    beforeEach(() => {
      directory = realpathSync(mkdtempSync(join(tmpdir(), 'oct-git-port-')));
    });
    afterEach(() => rmSync(directory, { recursive: true, force: true }));
    const repository = (): void => {
      run('init', '-q', '-b', 'main');
      run('commit', '-q', '--allow-empty', '-m', 'first');
    };

    test('says where a repository stands and what differs from it', async () => {
      repository();
      expect(await git.inspect(directory)).toMatchObject({ topDirectory: directory, branch: 'main', dirtyPaths: [] });
      writeFileSync(join(directory, 'new'), '');
      expect(await git.resolve(directory)).toEqual({
        topDirectory: directory,
        commit: run('rev-parse', 'HEAD').trim(),
        shallow: false,
        bare: false,
      });
      expect(await git.inspect(directory)).toMatchObject({
        commit: run('rev-parse', 'HEAD').trim(),
        dirtyPaths: ['new'],
        submodules: [],
        shallow: false,
      });
    });

    test('says of a clone that was cut off that it is shallow, with a work tree or without', async () => {
      repository();
      run('commit', '-q', '--allow-empty', '-m', 'second');
      for (const kind of [[], ['--bare']]) {
        const clone = join(directory, `clone${kind.length}`);
        run('clone', '-q', ...kind, '--depth', '1', `file://${directory}`, clone);
        expect(await git.resolve(clone)).toMatchObject({ shallow: true, bare: kind.length > 0 });
        expect(await git.inspect(clone)).toMatchObject({ shallow: true });
      }
    });

    test('refuses what is no repository, and a ref that is not there', async () => {
      await expect(git.inspect(directory)).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
      repository();
      await expect(git.resolve(directory, 'no-such')).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
      await expect(git.inspect(directory, 'no-such')).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
    });

    test('makes a branch, stands on it, and runs no hook of the repository', async () => {
      repository();
      const mark = join(directory, 'ran');
      writeFileSync(join(directory, '.git', 'hooks', 'post-checkout'), `#!/bin/sh\ntouch ${mark}\n`, { mode: 0o755 });
      await git.createBranch(directory, 'task/one');
      expect(await git.listBranches(directory)).toEqual(['main', 'task/one']);
      expect(await git.inspect(directory)).toMatchObject({ branch: 'task/one', dirtyPaths: [] });
      await expect(git.createBranch(directory, 'main')).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
    });

    test.each([
      ['task/one', true],
      ['-x', false],
      ['a..b', false],
      ['', false],
    ])('tells whether %j can be a branch', async (branch, expected) => {
      expect(await git.isBranchName(branch)).toBe(expected);
    });
  });
}
