import { execFileSync } from 'node:child_process';
import { chmod, cp, mkdir, mkdtemp, readFile, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { type WorkPort, type WorkspaceStore, silentLogger } from '@opencode-tools/core';
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
  const git = createGit({ environment, logger: silentLogger });
  const directory = path.join(place, 'home', 'content');
  store = createContentStore({ directory, volumes, git, environment, logger: silentLogger });
  work = createWork({ directory, logger: silentLogger });
});
afterAll(async () => rm(place, { recursive: true, force: true }));

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
      const result = await work.apply({ ...ids, accept: [], dryRun: false });
      expect(result).toMatchObject({ applied: true, conflicts: [], refused: [] });
      expect(filesOf(at('.'))).toEqual(filesOf(gits));
      expect(await readFile(at('.git/index'))).toEqual(index);
      expect(await readdir(path.join(place, name))).not.toContain('planted');
      expect(await work.apply({ ...ids, accept: [], dryRun: false })).toMatchObject({ applied: true, changed: [] });
    },
  );
});

describe('work that cannot be brought in', () => {
  const edit: Make = async (at) => {
    await writeFile(at('src/a'), 'theirs\n');
    await writeFile(at('new'), 'new\n');
    await chmod(at('keep'), 0o755);
  };
  test('for the user changed the same changes nothing, and names each path', async () => {
    const at = await userRepository('conflict', async () => undefined);
    const { fromId, toId } = await changed(at, 'conflict', edit);
    await writeFile(at('src/a'), 'mine\n');
    await writeFile(at('new'), 'mine as well\n');
    const before = filesOf(at('.'));
    const result = await work.apply({ directory: at('.'), fromId, toId, accept: ['keep'], dryRun: false });
    expect(result.applied).toBe(false);
    expect(result.conflicts.map((each) => each.path)).toEqual(['new', 'src/a']);
    expect(filesOf(at('.'))).toEqual(before);
  });

  test('for a tripwire changes nothing until it is accepted by name', async () => {
    const at = await userRepository('tripwire', async () => undefined);
    const plant: Make = async (inside) => {
      await writeFile(inside('Makefile'), 'all:\n');
      await writeFile(inside('src/a'), 'theirs\n');
    };
    const ids = await changed(at, 'tripwire', plant);
    const refused = await work.apply({ ...ids, accept: [], dryRun: false });
    expect(refused).toMatchObject({ applied: false, refused: [{ path: 'Makefile', rule: 'build' }] });
    expect(await readdir(at('.'))).not.toContain('Makefile');
    expect(await work.apply({ ...ids, accept: ['Makefile'], dryRun: true })).toMatchObject({
      applied: false,
      refused: [],
    });
    expect(await work.apply({ ...ids, accept: ['Makefile'], dryRun: false })).toMatchObject({ applied: true });
    expect(await readFile(at('Makefile'), 'utf8')).toBe('all:\n');
  });

  test('for a link in the way, or a .git inside, writes nothing through it', async () => {
    const at = await userRepository('escape', async () => undefined);
    const outside = path.join(place, 'outside');
    await mkdir(outside);
    const ids = await changed(at, 'escape', async (inside) => {
      await mkdir(inside('there'));
      await writeFile(inside('there/planted'), 'x');
      await mkdir(inside('sub/.git'), { recursive: true });
      await writeFile(inside('sub/.git/config'), '[core]\n\tfsmonitor = evil\n');
    });
    await symlink(outside, at('there'));
    const accept = ['sub/.git/config', 'sub/.git'];
    const result = await work.apply({ ...ids, accept, dryRun: false });
    expect(result.applied).toBe(false);
    expect(result.conflicts.map((each) => each.path)).toEqual(expect.arrayContaining(['there', 'sub/.git/config']));
    expect(await readdir(outside)).toEqual([]);
  });
});
