import { execFileSync } from 'node:child_process';
import {
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '@opencode-tools/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createContentStore } from '../src/index.ts';
import { bound, git, openStore } from './open-store.ts';

describe('a directory that a sandbox shares', () => {
  let base: string;
  let repository: string;
  let opened: Awaited<ReturnType<typeof openStore>>;
  beforeEach(async () => {
    opened = await openStore();
    base = realpathSync(mkdtempSync(join(tmpdir(), 'oct-guard-')));
    repository = join(base, 'repository');
    mkdirSync(repository);
  });
  afterEach(async () => {
    rmSync(base, { recursive: true, force: true });
    await opened.close();
  });

  const at = (...names: readonly string[]): string => join(repository, ...names);
  const guards = (directory = repository) => opened.store.guardDirectory(directory);
  const readOnly = (...names: readonly string[]) => ({ path: at(...names), readOnly: true });
  const kept = (...names: readonly string[]) => ({ path: at(...names), readOnly: false });

  test('has the whole of .git read-only, and the configuration of the agents', async () => {
    run('init', '-q');
    mkdirSync(at('.opencode'));
    expect(await guards()).toEqual([readOnly('.git'), readOnly('.opencode')]);
  });

  test('is refused when its repository lies elsewhere in it, where nothing keeps a sandbox from it', async () => {
    run('init', '-q', '--separate-git-dir', at('kept'));
    const denied = { code: 'OCT_POLICY_DENIED', message: expect.stringContaining(at('kept')) as string };
    await expect(guards()).rejects.toMatchObject(denied);
  });

  test('obeys no repository above it that the sandbox of another task could have written', async () => {
    run('init', '-q');
    run('config', 'core.hooksPath', at('deep/hooks'));
    mkdirSync(at('deep/hooks'), { recursive: true });
    expect(await guards(at('deep'))).toContainEqual(readOnly('deep', 'hooks'));
    bound.push(base);
    expect(await guards(at('deep'))).toEqual([readOnly('deep', '.git')]);
    bound.length = 0;
  });

  test('gets an empty .git that git does not see, in and outside of a repository', async () => {
    expect(await guards()).toEqual([readOnly('.git')]);
    expect(() => run('rev-parse', '--git-dir')).toThrow('not a git repository');
    rmSync(at('.git'), { recursive: true });
    run('init', '-q');
    mkdirSync(at('below'));
    writeFileSync(at('below/file'), '');
    expect(await guards(at('below'))).toEqual([readOnly('below/.git')].map(({ path }) => ({ path, readOnly: true })));
    run('add', '-A');
    expect(run('-C', at('below'), 'status', '--short')).toBe('A  file\n');
  });

  test('is refused in words where no .git can be made', async () => {
    await expect(guards('/sys/kernel')).rejects.toMatchObject({
      code: 'OCT_INVALID_ARGUMENT',
      remedy: expect.stringContaining('volume workspace') as string,
    });
  });

  test('has submodules kept in their place, filled or not, from above too', async () => {
    run('init', '-q');
    commitIn(repository);
    for (const name of ['empty', 'deep/filled']) {
      mkdirSync(at(name), { recursive: true });
      run('update-index', '--add', '--cacheinfo', `160000,${run('rev-parse', 'HEAD').trim()},${name}`);
    }
    mkdirSync(at('.git/modules'));
    execFileSync('git', ['init', '-q', '--separate-git-dir', at('.git/modules/filled'), at('deep/filled')]);
    const expected = [kept('deep'), kept('deep/filled'), readOnly('deep/filled/.git'), readOnly('empty')];
    expect(await guards()).toEqual([readOnly('.git'), ...expected]);
    expect(await guards(at('deep'))).toEqual([readOnly('deep/.git'), kept('deep/filled'), expected[2]]);
    rmSync(at('empty'), { recursive: true });
    await expect(guards()).rejects.toMatchObject({ code: 'OCT_POLICY_DENIED' });
  });

  test('has linked work trees, included configuration and hooks of its own read-only', async () => {
    run('init', '-q');
    commitIn(repository);
    run('worktree', 'add', '-q', at('trees/linked'));
    mkdirSync(at('.husky'));
    writeFileSync(at('.gitconfig'), '');
    run('config', 'core.hooksPath', '.husky');
    run('config', 'include.path', '../.gitconfig');
    run('config', 'includeIf.onbranch:other.path', '../.gitconfig');
    const expected = ['.git', '.gitconfig', '.husky'].map((name) => readOnly(name));
    expect(await guards()).toEqual([...expected, kept('trees'), kept('trees/linked'), readOnly('trees/linked/.git')]);
    await expect(guards(at('trees/linked'))).rejects.toMatchObject({ message: expect.stringContaining('.husky') });
    mkdirSync(at('trees/linked/.husky'));
    expect(await guards(at('trees/linked'))).toContainEqual(readOnly('trees/linked/.git'));
    rmSync(at('.gitconfig'));
    await expect(guards()).rejects.toMatchObject({ message: expect.stringContaining('.gitconfig') });
  });

  test('is refused when its .git is a link, which a sandbox could turn', async () => {
    mkdirSync(join(base, 'elsewhere'));
    symlinkSync(join(base, 'elsewhere'), at('.git'));
    await expect(guards()).rejects.toMatchObject({ code: 'OCT_POLICY_DENIED' });
  });

  test('is looked at without running what its configuration names', async () => {
    run('init', '-q');
    run('config', 'core.fsmonitor', `touch ${join(base, 'ran')}; false`);
    await guards();
    expect(existsSync(join(base, 'ran'))).toBe(false);
  });

  test("is refused by what of it is root's, the user or the group", async () => {
    if (process.getuid?.() !== 0) return;
    for (const [uid, gid, who] of [
      [0, 0, 'belongs to root (0:0)'],
      [0, 1001, 'belongs to root (0:1001)'],
      [1001, 0, 'has the group of root (1001:0)'],
    ] as const) {
      chownSync(repository, uid, gid);
      await expect(opened.store.checkDirectory(repository)).rejects.toMatchObject({
        code: 'OCT_POLICY_DENIED',
        message: expect.stringContaining(who),
        remedy: expect.stringContaining(uid === 0 ? 'chown' : 'chgrp'),
      });
    }
  });

  test('never has secrets, as a source neither, whatever link leads there', async () => {
    mkdirSync(join(base, 'person/.ssh'), { recursive: true });
    mkdirSync(join(base, 'person/work'));
    symlinkSync(join(base, 'person'), join(base, 'home'));
    const environment = { PATH: process.env['PATH'], HOME: join(base, 'home') };
    const { volumes, directory } = opened;
    const store = createContentStore({ directory, volumes, git, environment, logger: silentLogger });
    const owner = { uid: 1000, gid: 1000 };
    for (const path of [join(base, 'person'), join(base, 'home'), join(base, 'home/.ssh'), base]) {
      const denied = { code: 'OCT_POLICY_DENIED' };
      await expect(store.checkDirectory(path)).rejects.toMatchObject(denied);
      await expect(store.seed({ source: { kind: 'directory', path }, owner })).rejects.toMatchObject(denied);
      const source = { kind: 'git', repository: path, ref: null, commit: 'HEAD', dirty: 'leave' } as const;
      await expect(store.seed({ source, owner })).rejects.toMatchObject(denied);
    }
    await store.seed({ source: { kind: 'directory', path: join(base, 'home/work') }, owner });
  });

  function run(...args: readonly string[]): string {
    return execFileSync('git', ['-C', repository, ...args], { encoding: 'utf8', stdio: 'pipe' });
  }

  function commitIn(directory: string): void {
    const identity = ['-c', 'user.name=An Author', '-c', 'user.email=author@example.com'];
    execFileSync('git', ['-C', directory, ...identity, 'commit', '-q', '--allow-empty', '-m', 'a commit']);
  }
});
