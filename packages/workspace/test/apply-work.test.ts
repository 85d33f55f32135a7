import { execFileSync } from 'node:child_process';
import {
  chmod,
  chown,
  cp,
  lstat,
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import {
  type OperationId,
  type WorkPort,
  type WorkspaceStore,
  createIds,
  silentLogger,
  systemClock,
} from '@opencode-tools/core';
import { createDirectoryVolumes, describeTree } from '@opencode-tools/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createContentStore, createGit, createWork } from '../src/index.ts';

const environment = process.env;
let place: string;
let store: WorkspaceStore;
let work: WorkPort;
beforeAll(async () => {
  place = await mkdtemp(path.join(os.tmpdir(), 'oct-apply-'));
  await mkdir(path.join(place, 'home'));
  const volumes = createDirectoryVolumes(path.join(place, 'volumes'));
  const git = createGit({ environment, logger: silentLogger, bound: () => Promise.resolve([]) });
  const directory = path.join(place, 'home', 'content');
  store = createContentStore({ directory, volumes, git, environment, logger: silentLogger });
  work = createWork({ environment: process.env, directory, git, logger: silentLogger });
});
afterAll(async () => rm(place, { recursive: true, force: true }));

const newId = (): OperationId => createIds(systemClock).next('operation');

function git(cwd: string, ...args: readonly string[]): string {
  const env = { PATH: process.env.PATH, HOME: place, GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1' };
  const settings = ['user.name=t', 'user.email=t@example.org', 'protocol.file.allow=always', 'core.safecrlf=false'];
  return execFileSync('git', [...settings.flatMap((each) => ['-c', each]), ...args], {
    cwd,
    env,
    stdio: 'pipe',
  }).toString();
}

type Make = (at: (name: string) => string) => Promise<unknown>;

/** What a user's repository is like beside its files. `planted` is run by git when anything lets it. */
const states: Readonly<Record<string, Make>> = {
  clean: async () => undefined,
  dirty: async (at) => writeFile(at('mine'), 'not committed\n'),
  staged: async (at) => {
    await writeFile(at('staged'), 'staged\n');
    git(at('.'), 'add', 'staged');
  },
  'hook-laden': async (at) => {
    for (const hook of ['post-checkout', 'pre-commit', 'post-merge', 'post-index-change', 'pre-applypatch'])
      await writeFile(at(`.git/hooks/${hook}`), `#!/bin/sh\ntouch ${at('../planted')}\n`, { mode: 0o755 });
    git(at('.'), 'config', 'core.fsmonitor', `touch ${at('../planted')}`);
    git(at('.'), 'config', 'filter.evil.clean', `touch ${at('../planted')}; cat`);
    await writeFile(at('.git/info/attributes'), '* filter=evil\n');
  },
  detached: async (at) => git(at('.'), 'checkout', '-q', '--detach'),
  'mid-merge': async (at) => writeFile(at('.git/MERGE_HEAD'), git(at('.'), 'rev-parse', 'HEAD')),
  'with a worktree': async (at) => git(at('.'), 'worktree', 'add', '-q', '-b', 'side', at('../side')),
  shallow: async (at) => {
    git(at('..'), 'clone', '-q', '--depth', '1', `file://${at('.')}`, 'shallow');
    await rm(at('.'), { recursive: true });
    await rename(at('../shallow'), at('.'));
  },
};

const kinds: Readonly<Record<string, Make>> = {
  edits: async (at) => writeFile(at('src/a'), 'one\nchanged\nthree\n'),
  'a binary file': async (at) => writeFile(at('bin.dat'), Buffer.from([0, 255, 1, 13, 10, 0])),
  'a rename': async (at) => rename(at('src/a'), at('src/renamed')),
  'a deletion and its directory': async (at) => rm(at('gone'), { recursive: true }),
  'line ends': async (at) => writeFile(at('crlf'), 'a\r\nb\r\n'),
  'odd names': async (at) => {
    for (const name of ['-n', 'a b', "quo'te", 'ünï', 'line\nbreak', '*']) await writeFile(at(name), name);
    await writeFile(Buffer.concat([Buffer.from(at('bad')), Buffer.from([0xff])]), 'odd');
  },
  'kinds that change': async (at) => {
    await rm(at('src/a'));
    await symlink('../keep', at('src/a'));
    await rm(at('gone'), { recursive: true });
    await writeFile(at('gone'), 'a file now');
    await rm(at('keep'));
    await mkdir(at('keep'));
    await writeFile(at('keep/in'), 'x');
  },
};

async function userRepository(name: string, state: Make): Promise<(file: string) => string> {
  const directory = path.join(place, name, 'repo');
  const at = (file: string): string => path.join(directory, file);
  for (const folder of ['src', 'gone/deep']) await mkdir(at(folder), { recursive: true });
  await writeFile(at('src/a'), 'one\ntwo\nthree\n');
  await writeFile(at('gone/deep/b'), 'b\n');
  await writeFile(at('keep'), 'keep\n');
  await writeFile(at('run'), '#!/bin/sh\n', { mode: 0o755 });
  git(directory, 'init', '-q', '-b', 'main');
  git(directory, 'add', '.');
  git(directory, 'commit', '-q', '-m', 'base');
  await state(at);
  return at;
}

/** Seeds from a repository, makes the change where a sandbox would, and freezes both. */
async function changed(at: (file: string) => string, name: string, kind: Make) {
  const [repository, commit] = [at('.'), git(at('.'), 'rev-parse', 'HEAD').trim()];
  const source = { kind: 'git', repository, ref: null, commit, dirty: 'leave' } as const;
  const from = await store.seed({ source, owner: { uid: 1000, gid: 1000 } });
  const inside = path.join(place, `${name}-inside`);
  await store.restoreDirectory(inside, from.id);
  await kind((file) => path.join(inside, file));
  const to = await store.freeze({ kind: 'directory', path: inside });
  return { fromId: from.id, toId: to.id, inside, directory: repository };
}

/** Kinds, names, modes and contents; `.git` and the top left out, owners and times too. */
const filesOf = (directory: string): readonly string[] =>
  describeTree(directory)
    .filter((line) => !/^[a-z]+ "(\.git[/"]|")/.test(line))
    .map((line) => line.replace(/ \d+:\d+ \d+/, ''));

describe.each(Object.entries(states))('work brought into a repository that is %s', (state, makeState) => {
  test.each(Object.entries(kinds))(
    'with %s is the tree that git makes of it, and nothing else changes',
    async (kind, make) => {
      const name = `${state}-${kind}`.replaceAll(/\W/g, '-');
      const at = await userRepository(name, makeState);
      const { inside, ...ids } = await changed(at, name, make);
      const gits = path.join(place, name, 'gits');
      await cp(at('.'), gits, { recursive: true, verbatimSymlinks: true });
      const patch = path.join(place, `${name}.patch`);
      git(inside, '-c', 'safe.directory=*', 'add', '-A');
      await writeFile(
        patch,
        execFileSync('git', ['-c', 'safe.directory=*', 'diff', '--cached', '--binary', '--no-renames'], {
          cwd: inside,
        }),
      );
      git(gits, '-c', 'core.fsmonitor=false', '-c', 'filter.evil.clean=', 'apply', '--whitespace=nowarn', patch);
      await rm(path.join(place, name, 'planted'), { force: true });
      const index = await readFile(at('.git/index'));
      const result = await work.apply({ ...ids, accept: [], threeWay: false, operationId: newId() });
      expect(result).toMatchObject({ applied: true, conflicts: [], refused: [] });
      expect(filesOf(at('.'))).toEqual(filesOf(gits));
      expect(await readFile(at('.git/index'))).toEqual(index);
      expect(await readdir(path.join(place, name))).not.toContain('planted');
      expect(await work.apply({ ...ids, accept: [], threeWay: false, operationId: newId() })).toMatchObject({
        applied: true,
        changed: [],
      });
    },
  );
});

describe('a link that becomes a directory', () => {
  test('has in it what was found through the link before', async () => {
    const at = await userRepository('link-to-directory', async (file) => {
      await symlink('src', file('link'));
      git(file('.'), 'add', '.');
      git(file('.'), 'commit', '-q', '-m', 'link');
    });
    const { inside, ...ids } = await changed(at, 'link-to-directory', async (file) => {
      await rm(file('link'));
      await cp(file('src'), file('link'), { recursive: true });
    });
    const result = await work.apply({ ...ids, accept: [], threeWay: false, operationId: newId() });
    expect(result).toMatchObject({ applied: true, changed: ['link', 'link/a'] });
    expect(filesOf(at('.'))).toEqual(filesOf(inside));
  });
});

test('work comes into a repository that has no commit yet, and a large file comes whole', async () => {
  const directory = path.join(place, 'unborn');
  const at = (file: string): string => path.join(directory, file);
  await mkdir(directory);
  git(directory, 'init', '-q', '-b', 'main');
  const large = Buffer.alloc(20_000_000, 'a large file\n');
  if (process.getuid?.() === 0) await chown(directory, 1000, 1000);
  await writeFile(at('large'), large);
  await writeFile(at('mine'), 'mine\n');
  const from = await store.seed({ source: { kind: 'directory', path: directory }, owner: { uid: 1000, gid: 1000 } });
  const inside = path.join(place, 'unborn-inside');
  await store.restoreDirectory(inside, from.id);
  large.write('changed', 19_000_000);
  await writeFile(path.join(inside, 'large'), large);
  await writeFile(path.join(inside, 'new'), 'new\n');
  await symlink('new', path.join(inside, 'link'));
  const to = await store.freeze({ kind: 'directory', path: inside });
  await writeFile(at('mine'), 'mine, since then\n');
  const request = { directory, fromId: from.id, toId: to.id, accept: [], threeWay: false, operationId: newId() };
  expect(await work.apply(request)).toMatchObject({ applied: true, changed: ['large', 'link', 'new'] });
  expect((await readFile(at('large'))).equals(large)).toBe(true);
  expect(await readFile(at('mine'), 'utf8')).toBe('mine, since then\n');
  const { uid, gid } = await lstat(directory);
  expect(uid).not.toBe(0);
  for (const name of ['large', 'link', 'new']) expect(await lstat(at(name))).toMatchObject({ uid, gid });
  expect(git(directory, '-c', 'safe.directory=*', 'status', '--porcelain')).toBe(
    '?? large\n?? link\n?? mine\n?? new\n',
  );
});

test('work makes no file readable for more than could read it before, or where it was made', async () => {
  const at = await userRepository('private', async (file) => writeFile(file('mine'), 'a secret\n', { mode: 0o600 }));
  git(at('.'), 'add', '.');
  git(at('.'), 'commit', '-q', '-m', 'secret');
  const ids = await changed(at, 'private', async (inside) => {
    await writeFile(inside('mine'), 'another secret\n');
    await writeFile(inside('theirs'), 'a new secret\n', { mode: 0o600 });
    await writeFile(inside('plain'), 'plain\n', { mode: 0o444 });
    await writeFile(inside('tool'), '#!/bin/sh\n', { mode: 0o700 });
  });
  const result = await work.apply({ ...ids, accept: ['tool'], threeWay: false, operationId: newId() });
  expect(result).toMatchObject({ applied: true, changed: ['mine', 'plain', 'theirs', 'tool'] });
  const modeOf = async (name: string) => (await stat(at(name))).mode & 0o777;
  for (const name of ['mine', 'theirs']) expect(await modeOf(name)).toBe(0o600);
  expect([await modeOf('plain'), await modeOf('tool')]).toEqual([0o644, 0o700]);
});

describe('work that cannot be brought in', () => {
  test('for the user changed the same is merged line by line when that is asked for, and never a binary file or a link', async () => {
    const at = await userRepository('merge', async () => undefined);
    const lines = (...changed: readonly string[]): string =>
      ['one', 'two', 'three', 'four', 'five', 'six', 'seven']
        .map((line, index) => `${changed[index] || line}\n`)
        .join('');
    await writeFile(at('src/a'), lines());
    await writeFile(at('crlf'), lines().replaceAll('\n', '\r\n'));
    await writeFile(at('bin.dat'), Buffer.from([0, 1, 2]));
    git(at('.'), 'add', '.');
    git(at('.'), 'commit', '-q', '-m', 'more');
    const { fromId, toId } = await changed(at, 'merge', async (inside) => {
      await writeFile(inside('src/a'), lines('theirs'));
      await chmod(inside('src/a'), 0o755);
      await writeFile(inside('crlf'), lines('theirs').replaceAll('\n', '\r\n'));
      await writeFile(inside('bin.dat'), Buffer.from([0, 1, 3]));
      await writeFile(inside('keep'), 'theirs\n');
    });
    await writeFile(at('src/a'), lines('', '', '', '', '', '', 'mine'));
    await writeFile(at('crlf'), lines('', '', '', '', '', '', 'mine').replaceAll('\n', '\r\n'));
    const request = { directory: at('.'), fromId, toId, accept: ['src/a'], threeWay: true, operationId: newId() };
    expect(await work.apply({ ...request, threeWay: false })).toMatchObject({
      applied: false,
      merged: [],
      conflicts: [{ path: 'crlf' }, { path: 'src/a' }],
    });
    await writeFile(at('bin.dat'), Buffer.from([0, 2, 2]));
    await writeFile(at('keep'), 'mine\n');
    const before = filesOf(at('.'));
    expect(await work.apply(request)).toMatchObject({
      applied: false,
      conflicts: [{ path: 'bin.dat' }, { path: 'keep' }],
    });
    expect(filesOf(at('.'))).toEqual(before);
    git(at('.'), 'checkout', '-q', 'bin.dat', 'keep');
    expect(await work.apply(request)).toMatchObject({ applied: true, merged: ['crlf', 'src/a'] });
    expect(await readFile(at('src/a'), 'utf8')).toBe(lines('theirs', '', '', '', '', '', 'mine'));
    expect((await stat(at('src/a'))).mode & 0o777).toBe(0o755);
    expect(await readFile(at('crlf'), 'utf8')).toBe(
      lines('theirs', '', '', '', '', '', 'mine').replaceAll('\n', '\r\n'),
    );
  });

  test.each<readonly [string, Make, string]>([
    [
      'an ignored file is where a new one comes',
      async (at) => {
        await writeFile(at('.git/info/exclude'), 'new\n');
        await writeFile(at('new'), 'mine\n');
      },
      'new',
    ],
    [
      'git converted the line ends of a file',
      async (at) => {
        git(at('.'), 'config', 'core.autocrlf', 'true');
        await rm(at('src/a'));
        git(at('.'), 'checkout', '-q', 'src/a');
      },
      'src/a',
    ],
    ['the user removed a file', async (at) => rm(at('src/a')), 'src/a'],
  ])('since %s changes nothing', async (name, prepare, conflict) => {
    const at = await userRepository(name, async () => undefined);
    const ids = await changed(at, name, async (inside) => {
      await writeFile(inside('src/a'), 'theirs\n');
      await writeFile(inside('new'), 'new\n');
    });
    await prepare(at);
    const before = filesOf(at('.'));
    const result = await work.apply({ ...ids, accept: [], threeWay: true, operationId: newId() });
    expect(result).toMatchObject({ applied: false, conflicts: [{ path: conflict }] });
    expect(filesOf(at('.'))).toEqual(before);
  });
});

test('a path in the way says how it differs: line ends and modes are no changes of the user', async () => {
  const at = await userRepository('differing', async (file) => {
    for (const name of [
      'ends',
      'mode',
      'both',
      'ends-gone',
      'mode-gone',
      'gone-here',
      'text',
      'binary',
      'same-but-ends',
    ])
      await writeFile(file(name), name === 'binary' ? 'a\0\n' : 'a\nb\n');
    git(file('.'), 'add', '.');
    git(file('.'), 'commit', '-q', '-m', 'more');
  });
  const ids = await changed(at, 'differing', async (inside) => {
    for (const name of [
      'ends',
      'mode',
      'both',
      'gone-here',
      'text',
      'binary',
      'same-but-ends',
      'new-ends',
      'new-mode',
      'new-text',
    ])
      await writeFile(inside(name), name === 'binary' ? 'a\0theirs\n' : 'a\ntheirs\n');
    for (const name of ['ends-gone', 'mode-gone', 'gone/deep/b']) await rm(inside(name));
  });
  git(at('.'), 'config', 'core.autocrlf', 'true');
  git(at('.'), 'config', 'core.fileMode', 'false');
  for (const name of ['ends', 'both', 'ends-gone']) {
    await rm(at(name));
    git(at('.'), 'checkout', '-q', name);
  }
  for (const name of ['mode', 'both', 'mode-gone']) await chmod(at(name), 0o755);
  expect(git(at('.'), 'status', '--porcelain')).toBe('');
  await rm(at('gone-here'));
  await writeFile(at('text'), 'mine\r\n');
  await writeFile(at('binary'), 'a\0\r\n');
  await writeFile(at('gone/deep/b'), 'mine\n');
  for (const name of ['same-but-ends', 'new-ends']) await writeFile(at(name), 'a\r\ntheirs\r\n');
  await writeFile(at('new-mode'), 'a\ntheirs\n', { mode: 0o755 });
  await writeFile(at('new-text'), 'mine\n');
  const before = filesOf(at('.'));
  const result = await work.apply({ ...ids, accept: [], threeWay: false, operationId: newId() });
  expect(result.applied).toBe(false);
  expect(Object.fromEntries(result.conflicts.map(({ path: name, reason }) => [name, reason]))).toEqual({
    binary: 'changed in the task and here',
    both: 'changed in the task; has other line ends and another mode here, and no other change',
    ends: 'changed in the task; has other line ends here, and no other change',
    'ends-gone': 'removed in the task; has other line ends here, and no other change',
    'gone-here': 'changed in the task, removed here',
    'gone/deep/b': 'removed in the task, changed here',
    mode: 'changed in the task; has another mode here, and no other change',
    'mode-gone': 'removed in the task; has another mode here, and no other change',
    'new-ends': 'exists here with other line ends',
    'new-mode': 'exists here with another mode',
    'new-text': 'exists here with other content',
    'same-but-ends': 'is here as the task left it, but for other line ends',
    text: 'changed in the task and here',
  });
  expect(filesOf(at('.'))).toEqual(before);
});

test('while one change of a directory is under way no other begins, or leaves anything behind', async () => {
  const at = await userRepository('two-at-once', async () => undefined);
  const one = await changed(at, 'two-at-once-a', async (inside) => writeFile(inside('one'), '1\n'));
  const other = await changed(at, 'two-at-once-b', async (inside) => writeFile(inside('other'), '2\n'));
  const settings = { accept: [], threeWay: false };
  const confirm = async (): Promise<void> => {
    await expect(work.apply({ ...other, ...settings, operationId: newId() })).rejects.toMatchObject({
      code: 'OCT_INVALID_ARGUMENT',
      message: expect.stringContaining('Another change') as string,
    });
  };
  await work.apply({ ...one, ...settings, operationId: newId(), confirm });
  const names = await readdir(at('.'));
  expect(names).toContain('one');
  expect(names.filter((name) => name.startsWith('.opencode-tools') || name === 'other')).toEqual([]);
});

test('whoever may not go on any more is stopped before the first file', async () => {
  const at = await userRepository('not-confirmed', async () => undefined);
  const ids = await changed(at, 'not-confirmed', async (inside) => writeFile(inside('new'), 'new\n'));
  const before = filesOf(at('.'));
  const confirm = async (): Promise<void> => Promise.reject(new Error('the lease is lost'));
  const operationId = newId();
  await expect(work.apply({ ...ids, accept: [], threeWay: false, operationId, confirm })).rejects.toThrow('lease');
  expect(filesOf(at('.'))).toEqual(before);
  expect(await work.settle(operationId)).toMatchObject({ outcome: 'none', left: [] });
  await work.forget(operationId);
});
