import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { plainHead, plainTags } from '../src/plain-repository.ts';

const identity = ['user.name=An Author', 'user.email=author@example.com'].flatMap((setting) => ['-c', setting]);

describe('references that are read without git', () => {
  let directory: string;
  beforeEach(() => {
    directory = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'oct-plain-')));
    git('init', '-q', '-b', 'main');
    commit();
    git('tag', 'v1');
  });
  afterEach(() => fs.rmSync(directory, { recursive: true, force: true }));

  const states: Readonly<Record<string, () => unknown>> = {
    'lie in files': () => git('tag', 'other'),
    'are packed': () => git('pack-refs', '--all'),
    'are packed, and some newer': () => {
      git('pack-refs', '--all');
      commit();
      git('tag', '-f', 'v1');
      git('tag', 'a/b/c-1.0_x');
      git('tag', 'Z');
    },
    'were packed and deleted': () => {
      git('tag', 'gone');
      git('pack-refs', '--all');
      git('tag', '-d', 'gone');
    },
    'are on tags of tags': () => {
      git('tag', '-a', '-m', 'words', 'v2');
      git('tag', '-a', '-m', 'words', 'v3', 'v2');
      git('pack-refs', '--all');
    },
    'are of a branch with a long name': () => git('checkout', '-q', '-b', 'feature/one/two@three'),
    'are of no branch': () => git('checkout', '-q', '--detach'),
    'are none but the branch': () => git('tag', '-d', 'v1'),
    'have a place that is empty': () => fs.mkdirSync(join(directory, '.git/refs/tags/empty')),
  };
  for (const [state, make] of Object.entries(states))
    test(`are what git says where they ${state}`, async () => {
      make();
      const branch = git('branch', '--show-current').trimEnd();
      const head = { commit: git('rev-parse', 'HEAD').trimEnd(), branch: branch === '' ? null : branch };
      expect(await plainHead(directory)).toEqual(head);
      const tags = git('for-each-ref', '--format=%(objectname) %(refname)', 'refs/tags').split('\n').slice(0, -1);
      expect(await plainTags(directory)).toEqual(tags);
    });

  const left: Readonly<Record<string, () => unknown>> = {
    'a configuration that leads elsewhere': () => git('config', 'include.path', 'more'),
    'another work tree': () => git('config', 'core.worktree', '/'),
    extensions: () => git('config', 'extensions.worktreeConfig', 'true'),
    'no work tree': () => git('config', 'core.bare', 'true'),
    'another form of repository': () => git('config', 'core.repositoryFormatVersion', '1'),
    'history that is cut off': () => fs.writeFileSync(join(directory, '.git/shallow'), git('rev-parse', 'HEAD')),
    'no repository of its own': () => (directory = fs.mkdtempSync(join(directory, 'inner-'))),
  };
  for (const [what, make] of Object.entries(left))
    test(`are left to git where there is ${what}`, async () => {
      make();
      expect([await plainHead(directory), await plainTags(directory)]).toEqual([undefined, undefined]);
    });

  test('are left to git where HEAD is on what is no commit of a branch yet', async () => {
    git('checkout', '-q', '--orphan', 'unborn');
    expect(await plainHead(directory)).toBeUndefined();
    git('symbolic-ref', 'HEAD', 'refs/elsewhere/main');
    expect(await plainHead(directory)).toBeUndefined();
    fs.writeFileSync(join(directory, '.git/HEAD'), 'ref: refs/heads/../../HEAD\n');
    expect(await plainHead(directory)).toBeUndefined();
  });

  const oddTags: Readonly<Record<string, () => unknown>> = {
    'a link': () => fs.symlinkSync('v1', join(directory, '.git/refs/tags/link')),
    symbolic: () => git('symbolic-ref', 'refs/tags/symbolic', 'refs/tags/v1'),
    'cut off': () => fs.writeFileSync(join(directory, '.git/refs/tags/cut'), '0123'),
    'of a name beyond ASCII': () => git('tag', 'größer'),
    'packed with a name beyond ASCII': () => (git('tag', 'größer'), git('pack-refs', '--all')),
    'being written': () => fs.writeFileSync(join(directory, '.git/refs/tags/v2.lock'), ''),
  };
  for (const [what, make] of Object.entries(oddTags))
    test(`are left to git where a tag is ${what}`, async () => {
      make();
      expect(await plainTags(directory)).toBeUndefined();
    });

  test.skipIf(process.geteuid?.() !== 0)('are left to git where the repository belongs to another', async () => {
    fs.chownSync(join(directory, '.git'), 12_345, 12_345);
    expect([await plainHead(directory), await plainTags(directory)]).toEqual([undefined, undefined]);
  });

  function commit(): void {
    git(...identity, 'commit', '-q', '--allow-empty', '-m', 'words');
  }

  function git(...args: readonly string[]): string {
    const environment = { ...process.env, GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1' };
    return execFileSync('git', [...identity, ...args], { cwd: directory, encoding: 'utf8', env: environment });
  }
});
