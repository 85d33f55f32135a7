import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync } from 'node:fs';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type CommitWork, type CommittedWork, silentLogger } from '@opencode-tools/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createGit, createWork } from '../src/index.ts';
import { type MergeBed, git, openMergeBed } from './merge-bed.ts';

type At = (file: string) => string;
type Make = (at: At) => unknown;

let bed: MergeBed;
beforeAll(async () => {
  bed = await openMergeBed();
});
afterAll(async () => bed.close());

const author = 'Ada <ada@example.org>';

/** Whoever runs the tests has a name, or none. */
function named(at: At, name: string): void {
  git(at('.'), 'config', 'user.name', name);
  git(at('.'), 'config', 'user.email', 'grace@example.org');
}

async function commit(at: At, more: Partial<CommitWork> = {}): Promise<CommittedWork> {
  const request = { directory: at('.'), message: 'by us', author, accept: [], dryRun: false };
  const operationId = more.operationId ?? bed.newId();
  const done = await bed.work.commit({ ...request, ...more, operationId });
  await bed.work.forget(operationId);
  return done;
}

/** Everything that git says of a work tree. */
const saidOf = (top: string) => ({
  tree: git(top, 'rev-parse', 'HEAD^{tree}'),
  head: git(top, 'rev-parse', '--symbolic-full-name', 'HEAD'),
  parents: git(top, 'log', '-1', '--format=%P %s'),
  index: git(top, 'ls-files', '-t', '--stage', '-z'),
  status: git(top, 'status', '--porcelain', '-z', '--untracked-files=all', '--ignore-submodules=all'),
  fsck: git(top, 'fsck', '--strict', '--no-dangling'),
});

const changes: Readonly<Record<string, Make>> = {
  'edits, and what is new and gone': (at) => {
    fs.writeFileSync(at('src/a'), 'two\n');
    fs.rmSync(at('gone'), { recursive: true });
    fs.mkdirSync(at('new/deep'), { recursive: true });
    fs.writeFileSync(at('new/deep/file'), 'new\n');
  },
  'an edit of the same length within one tick': (at) => {
    const { atimeMs, mtimeMs } = fs.statSync(at('keep'));
    fs.writeFileSync(at('keep'), 'KEEP\n');
    fs.utimesSync(at('keep'), atimeMs / 1_000, mtimeMs / 1_000);
  },
  'what is staged, and changed since': (at) => {
    fs.writeFileSync(at('mine'), 'staged\n');
    fs.writeFileSync(at('added'), 'staged\n');
    fs.writeFileSync(at('not there'), 'staged\n');
    git(at('.'), 'add', '-A');
    fs.writeFileSync(at('mine'), 'mine\n');
    fs.rmSync(at('not there'));
    git(at('.'), 'rm', '-q', '--cached', 'keep');
  },
  'files that are named without content': (at) => {
    for (const name of ['intended', 'empty']) fs.writeFileSync(at(name), name === 'empty' ? '' : 'x\n');
    git(at('.'), 'add', '-N', 'intended', 'empty');
  },
  'what is ignored, at every place that says so': (at) => {
    fs.mkdirSync(at('node_modules/x'), { recursive: true });
    fs.writeFileSync(at('node_modules/x/index'), 'x');
    fs.writeFileSync(at('node_modules/.gitignore'), '!x\n');
    fs.writeFileSync(at('src/.gitignore'), '*.log\n!kept.log\nbuild/\n');
    for (const name of ['ignored', 'src/a.log', 'src/kept.log', 'build', 'by-info', 'by-file'])
      fs.writeFileSync(at(name), 'x');
    fs.mkdirSync(at('src/build'));
    fs.writeFileSync(at('src/build/x'), 'x');
    fs.appendFileSync(at('.gitignore'), 'node_modules\nkeep\n');
    fs.writeFileSync(at('keep'), 'tracked all the same\n');
    fs.writeFileSync(at('.git/info/exclude'), 'by-info\n');
    fs.writeFileSync(at('../excludes'), 'by-file\n');
    git(at('.'), 'config', 'core.excludesFile', at('../excludes'));
  },
  'line ends that git converts': (at) => {
    git(at('.'), 'config', 'core.autocrlf', 'true');
    fs.writeFileSync(at('crlf'), 'a\r\nb\r\n');
    fs.mkdirSync(at('sub'));
    fs.writeFileSync(at('sub/.gitattributes'), '*.bin -text\n*.lf text eol=lf\n');
    for (const name of ['sub/x.bin', 'sub/x.lf']) fs.writeFileSync(at(name), 'a\r\nb\r\n');
  },
  'modes, links and a binary file': (at) => {
    fs.chmodSync(at('keep'), 0o755);
    fs.rmSync(at('src/a'));
    fs.symlinkSync('/etc/passwd', at('src/a'));
    fs.symlinkSync('src', at('link'));
    fs.writeFileSync(at('bin'), Buffer.from([0, 255, 13, 10]));
  },
  'modes that the user does not look at': (at) => {
    git(at('.'), 'config', 'core.fileMode', 'false');
    fs.chmodSync(at('keep'), 0o755);
    fs.chmodSync(at('mine'), 0o755);
    fs.writeFileSync(at('mine'), 'other\n');
  },
  'kinds that change': (at) => {
    fs.rmSync(at('gone'), { recursive: true });
    fs.writeFileSync(at('gone'), 'a file now');
    fs.rmSync(at('keep'));
    fs.mkdirSync(at('keep'));
    fs.writeFileSync(at('keep/in'), 'x');
  },
  'odd names': (at) => {
    for (const name of ['-n', 'a b', "quo'te", 'ünï', 'line\nbreak', '*', '"', 'tab\tbed'])
      fs.writeFileSync(at(name), name);
    fs.writeFileSync(Buffer.from(`${at('')}\xff`, 'latin1'), 'x');
  },
  'an empty directory, a socket and a large file': (at) => {
    fs.mkdirSync(at('empty'));
    fs.writeFileSync(at('large'), Buffer.alloc(5_000_000, 'large '));
  },
  'paths that git is told to leave': (at) => {
    git(at('.'), 'update-index', '--skip-worktree', 'keep');
    git(at('.'), 'update-index', '--assume-unchanged', 'mine');
    fs.rmSync(at('keep'));
    fs.writeFileSync(at('mine'), 'never looked at\n');
    fs.writeFileSync(at('src/a'), 'two\n');
  },
};

const states: Readonly<Record<string, Make>> = {
  'is on a branch': () => undefined,
  'is on a detached commit': (at) => git(at('.'), 'checkout', '-q', '--detach'),
  'is shallow': (at) => {
    fs.writeFileSync(at('mine'), 'second\n');
    git(at('.'), 'commit', '-q', '-a', '-m', 'second');
    git(at('..'), 'clone', '-q', '--depth', '1', `file://${at('.')}`, 'shallow');
    fs.rmSync(at('.'), { recursive: true });
    fs.renameSync(at('../shallow'), at('.'));
  },
  'has packed all': (at) => git(at('.'), 'gc', '-q'),
  'has a split index': (at) => git(at('.'), 'update-index', '--split-index'),
  'names objects by sha256, before its first commit': (at) => {
    fs.rmSync(at('.git'), { recursive: true });
    git(at('.'), 'init', '-q', '-b', 'first', '--object-format=sha256');
    git(at('.'), 'add', '.gitignore', 'src', 'keep', 'mine');
  },
  'names objects by sha256': (at) => {
    fs.rmSync(at('.git'), { recursive: true });
    git(at('.'), 'init', '-q', '-b', 'first', '--object-format=sha256');
    git(at('.'), 'add', '.');
    git(at('.'), 'commit', '-q', '-m', 'base');
  },
};

/** Every change on a branch, and every third one, in turn, elsewhere. */
const every = Object.entries(states).flatMap(([state, prepare], turn) =>
  Object.entries(changes)
    .filter((_, at) => turn === 0 || (at + turn) % 3 === 0)
    .map(([what, change]) => ({ state, what, prepare, change })),
);

describe('a commit is the one that git itself makes', () => {
  test.each(every)('of $what, where the repository $state', async ({ state, what, prepare, change }) => {
    const at = bed.repository(`like-${state}-${what}`.replaceAll(/[^a-z0-9]/g, '-'), prepare);
    change(at);
    named(at, 'Grace');
    const before = fs.readFileSync(at('.git/HEAD'), 'utf8');
    const beside: At = (file) => join(at('..'), 'beside', file);
    cpSync(at('.'), beside('.'), { recursive: true, preserveTimestamps: true, verbatimSymlinks: true });
    git(beside('.'), 'add', '-A');
    const staged = git(beside('.'), 'diff', '--cached', '--name-only', '-z').split('\0').filter(Boolean);
    const done = await commit(at, { accept: staged });
    if (staged.length === 0) return expect(done).toMatchObject({ committed: false, commit: null });
    git(beside('.'), 'commit', '-q', '-m', 'by us');
    expect(done).toMatchObject({ committed: true, commit: git(at('.'), 'rev-parse', 'HEAD').trim(), conflicts: [] });
    expect(saidOf(at('.'))).toEqual(saidOf(beside('.')));
    expect(done.changes.map(({ path }) => path)).toEqual(staged.map((path) => Buffer.from(path).toString()).sort());
    expect(git(at('.'), 'log', '-1', '--format=%an %ae %cn %ce')).toMatch(/^Ada ada@example.org Grace grace@/);
    expect(git(at('.'), 'reflog', '-1', '--format=%gs')).toMatch(/^commit(?: \(initial\))?: by us/);
    expect(fs.readFileSync(at('.git/HEAD'), 'utf8') === before).toBe(!state.includes('detached'));
    expect(await commit(at)).toMatchObject({ committed: false, commit: null, changes: [] });
  });
});

const edited = (at: At): void => fs.writeFileSync(at('src/a'), 'two\n');

test('nothing that a repository or a file in it names is run, and a changed file with a filter is in the way', async () => {
  const at = bed.repository('hostile', () => undefined);
  const plant = `touch '${at('../planted')}'`;
  for (const hook of ['pre-commit', 'commit-msg', 'post-commit', 'post-index-change', 'reference-transaction'])
    fs.writeFileSync(at(`.git/hooks/${hook}`), `#!/bin/sh\n${plant}\n`, { mode: 0o755 });
  for (const [key, value] of [
    ['core.fsmonitor', plant],
    ['filter.evil.clean', `${plant}; cat`],
    ['commit.gpgSign', 'true'],
    ['gpg.program', plant],
    ['core.alternateRefsCommand', plant],
    ['diff.evil.textconv', plant],
  ] as const)
    git(at('.'), 'config', key, value);
  edited(at);
  fs.writeFileSync(at('by filter'), 'x\n');
  fs.writeFileSync(at('.gitattributes'), '* diff=evil\nby* filter=evil\nsrc/a filter=unknown\n');
  const old = git(at('.'), 'rev-parse', 'HEAD');
  expect(await commit(at, { accept: ['.gitattributes'] })).toMatchObject({
    committed: false,
    commit: null,
    conflicts: [{ path: 'by filter' }],
  });
  expect(git(at('.'), 'rev-parse', 'HEAD')).toBe(old);
  fs.rmSync(at('by filter'));
  expect(await commit(at, { accept: ['.gitattributes'] })).toMatchObject({ committed: true });
  expect(fs.existsSync(at('../planted'))).toBe(false);
});

test('tripwires wait to be accepted, and a dry run changes nothing', async () => {
  const at = bed.repository('tripwires', () => undefined);
  edited(at);
  fs.writeFileSync(at('Makefile'), 'all:\n');
  const old = saidOf(at('.'));
  const refused = [{ path: 'Makefile', rule: 'build' }];
  expect(await commit(at)).toMatchObject({ committed: false, refused, tripwires: refused });
  expect(await commit(at, { accept: ['Makefile'], dryRun: true })).toMatchObject({ committed: false, refused: [] });
  expect(saidOf(at('.'))).toEqual(old);
  expect(await commit(at, { accept: ['Makefile'] })).toMatchObject({ committed: true, tripwires: refused });
});

test('repositories below are not entered, and a submodule stays where it is', async () => {
  const at = bed.repository('submodules', () => undefined);
  const inner = bed.repository('inner', () => undefined);
  git(at('.'), 'submodule', '--quiet', 'add', inner('.'), 'module');
  git(at('.'), 'commit', '-q', '-m', 'with a module');
  const module = git(at('.'), 'rev-parse', 'HEAD:module');
  git(at('module'), 'commit', '-q', '--allow-empty', '-m', 'gone on');
  git(at('..'), 'clone', '-q', inner('.'), at('nested'));
  edited(at);
  const done = await commit(at);
  expect(done).toMatchObject({ committed: true, changes: [{ path: 'src/a' }], leftOut: ['nested'] });
  expect(git(at('.'), 'rev-parse', 'HEAD:module')).toBe(module);
  expect(git(at('.'), 'status', '--porcelain')).toBe(' M module\n?? nested/\n');
});

test('names that git takes for its own are in no commit, and are told', async () => {
  const at = bed.repository('own-names', () => undefined);
  for (const name of ['.GIT/x', 'src/.Git/config', 'git~1/x', 'deep/GIT~1', 'back\\.git\\x']) {
    fs.mkdirSync(join(at(name), '..'), { recursive: true });
    fs.writeFileSync(at(name), 'x\n');
  }
  edited(at);
  const done = await commit(at);
  expect(done).toMatchObject({ committed: true, changes: [{ path: 'src/a' }] });
  expect(done.leftOut.toSorted()).toEqual(['.GIT', 'back\\.git\\x', 'deep/GIT~1', 'git~1', 'src/.Git']);
});

test('a directory of a work tree is committed alone, by the rules above it; what is staged elsewhere stays so', async () => {
  const at = bed.repository('part', () => undefined);
  fs.writeFileSync(at('mine'), 'staged\n');
  git(at('.'), 'add', 'mine');
  fs.writeFileSync(at('keep'), 'not staged\n');
  edited(at);
  for (const name of ['ignored', 'new']) fs.writeFileSync(at(`src/${name}`), 'x\n');
  const done = await commit(at, { directory: at('src') });
  expect(done).toMatchObject({ committed: true, repository: at('.').replace(/\/\.$/, '') });
  expect(done.changes.map(({ path }) => path)).toEqual(['src/a', 'src/new']);
  expect(git(at('.'), 'status', '--porcelain')).toBe(' M keep\nM  mine\n');
});

describe('of paths that are named, a commit has', () => {
  const prepared: Make = (at) => {
    for (const name of ['*', 'a b', '-n', ':(top)x', 'ünï', 'src/b', 'dir/in', 'dir/sub/deep'])
      fs.mkdirSync(join(at(name), '..'), { recursive: true });
    for (const name of ['*', 'a b', '-n', ':(top)x', 'ünï', 'src/b', 'dir/in', 'dir/sub/deep'])
      fs.writeFileSync(at(name), 'before\n');
    git(at('.'), 'add', '.');
    git(at('.'), 'commit', '-q', '-m', 'more');
    for (const name of ['*', 'a b', '-n', ':(top)x', 'ünï', 'src/b', 'dir/in', 'keep', 'new', 'dir/new', 'ignored'])
      fs.writeFileSync(at(name), 'after\n');
    fs.rmSync(at('gone'), { recursive: true });
    fs.rmSync(at('dir/sub/deep'));
    fs.writeFileSync(at('mine'), 'staged\n');
    git(at('.'), 'add', 'mine', 'src/b');
    fs.writeFileSync(at('src/b'), 'after\n');
  };
  test.each([
    ['files alone', ['keep', 'new'], ['keep', 'new']],
    ['a directory, with what is new and gone in it', ['dir'], ['dir/in', 'dir/new', 'dir/sub/deep']],
    ['a directory that is gone', ['gone'], ['gone/deep/b']],
    ['a file that is gone', ['dir/sub/deep', './gone/deep/b'], ['dir/sub/deep', 'gone/deep/b']],
    ['names that are no patterns', ['*', ':(top)x', '-n'], ['*', '-n', ':(top)x']],
    ['names of all kinds', ['a b', 'ünï', 'dir/'], ['a b', 'dir/in', 'dir/new', 'dir/sub/deep', 'ünï']],
    ['what is named twice once', ['dir', 'dir/in', 'dir'], ['dir/in', 'dir/new', 'dir/sub/deep']],
    ['what is staged', ['src'], ['src/b']],
    [
      'all',
      ['.'],
      [
        '*',
        '-n',
        ':(top)x',
        'a b',
        'dir/in',
        'dir/new',
        'dir/sub/deep',
        'gone/deep/b',
        'keep',
        'mine',
        'new',
        'src/b',
        'ünï',
      ],
    ],
  ])('%s, as git has', async (what, paths, expected) => {
    const at = bed.repository(`paths-${what.replaceAll(/[^a-z]/g, '-')}`, prepared);
    named(at, 'Grace');
    const beside: At = (file) => join(at('..'), 'beside', file);
    cpSync(at('.'), beside('.'), { recursive: true, preserveTimestamps: true, verbatimSymlinks: true });
    const literal = paths.map((path) => `:(literal)${path}`);
    git(beside('.'), 'add', '-A', '--', ...literal);
    git(beside('.'), 'commit', '-q', '-m', 'by us', '--only', '--', ...literal);
    const done = await commit(at, { paths });
    expect(done).toMatchObject({ committed: true, conflicts: [] });
    expect(done.changes.map(({ path }) => path)).toEqual(expected);
    expect(saidOf(at('.'))).toEqual(saidOf(beside('.')));
  });

  test.each([
    ['is not there', ['keep', 'no such'], ['no such']],
    ['is a pattern', ['k*'], ['k*']],
    ['is ignored', ['ignored'], ['ignored']],
    ['lies behind a link', ['link/passwd'], ['link/passwd']],
    ['is another repository', ['nested'], ['nested']],
    ['is in another repository', ['nested/x'], ['nested/x']],
    ['is in .git', ['.git/HEAD'], ['.git/HEAD']],
    ['is an empty directory', ['empty'], ['empty']],
  ])('nothing where one %s', async (what, paths, nothing) => {
    const at = bed.repository(`nothing-${what.replaceAll(/[^a-z]/g, '-')}`, prepared);
    fs.symlinkSync('/etc', at('link'));
    fs.mkdirSync(at('empty'));
    git(at('.'), 'init', '-q', 'nested');
    fs.writeFileSync(at('nested/x'), 'x\n');
    const old = saidOf(at('.'));
    const refused = { code: 'OCT_INVALID_ARGUMENT', details: { argument: 'paths', paths: nothing } };
    await expect(commit(at, { paths })).rejects.toMatchObject(refused);
    for (const out of ['../x', '/etc/passwd', 'a/../../x'])
      await expect(commit(at, { paths: [out] })).rejects.toMatchObject({ code: 'OCT_PATH_OUTSIDE_WORKSPACE' });
    expect(saidOf(at('.'))).toEqual(old);
  });

  test('what they are in the directory that is the workspace', async () => {
    const at = bed.repository('paths-below', prepared);
    const done = await commit(at, { directory: at('dir'), paths: ['in', 'sub'] });
    expect(done.changes.map(({ path }) => path)).toEqual(['dir/in', 'dir/sub/deep']);
    const refused = { details: { paths: ['keep'] } };
    await expect(commit(at, { directory: at('dir'), paths: ['keep'] })).rejects.toMatchObject(refused);
  });
});

test('a linked work tree commits to its own branch', async () => {
  const at = bed.repository('linked', () => undefined);
  git(at('.'), 'worktree', 'add', '-q', '-b', 'other', at('../tree'));
  const tree: At = (file) => join(at('..'), 'tree', file);
  edited(tree);
  expect(await commit(tree)).toMatchObject({ committed: true, branch: 'other' });
  expect(git(tree('.'), 'status', '--porcelain')).toBe('');
  expect(git(at('.'), 'rev-parse', 'main')).toBe(git(at('.'), 'rev-parse', 'other^'));
});

test('the author is whom the repository or the user names, never whom a file of the workspace does', async () => {
  const at = bed.repository('author', () => undefined);
  edited(at);
  named(at, '');
  const nobody = { code: 'OCT_INVALID_ARGUMENT', details: { argument: 'author' } };
  await expect(commit(at, { author: null })).rejects.toMatchObject(nobody);
  await expect(commit(at, { author: 'Ada' })).rejects.toMatchObject(nobody);
  fs.writeFileSync(at('planted'), '[user]\nname = Eve\nemail = eve@example.org\n');
  git(at('.'), 'config', 'include.path', at('planted'));
  await expect(commit(at, { author: null })).rejects.toMatchObject(nobody);
  named(at, 'Grace');
  expect(await commit(at, { author: null, message: 'first\n\nmore' })).toMatchObject({ committed: true });
  expect(git(at('.'), 'log', '-1', '--format=%an <%ae>%n%B')).toBe('Grace <grace@example.org>\nfirst\n\nmore\n\n');
  edited(at);
  fs.appendFileSync(at('src/a'), 'three\n');
  await commit(at);
  expect(git(at('.'), 'log', '-1', '--format=%an, %cn')).toBe('Ada, Grace\n');
});

test('who commits is found where git would look', async () => {
  const at = bed.repository('places', () => undefined);
  const settings = at('../settings');
  fs.writeFileSync(settings, '[user]\nname = Grace\nemail = grace@example.org\n[committer]\nname = Robot\n');
  const by = async (more: Readonly<Record<string, string>>): Promise<string> => {
    const environment = { ...process.env, HOME: '/nonexistent', ...more };
    const port = createWork({
      environment: process.env,
      directory: bed.store,
      git: createGit({ environment, logger: silentLogger, bound: () => Promise.resolve([at('.')]) }),
      logger: silentLogger,
    });
    fs.appendFileSync(at('src/a'), 'more\n');
    const request = { directory: at('.'), message: 'found', author: null, accept: [], dryRun: false };
    await port.commit({ ...request, operationId: bed.newId() });
    return git(at('.'), 'log', '-1', '--format=%an <%ae>, %cn <%ce>').trim();
  };
  const place = { GIT_CONFIG_GLOBAL: settings };
  expect(await by(place)).toBe('Grace <grace@example.org>, Robot <grace@example.org>');
  expect(await by({ ...place, GIT_AUTHOR_NAME: 'Ada', GIT_COMMITTER_EMAIL: 'robot@example.org' })).toBe(
    'Ada <grace@example.org>, Robot <robot@example.org>',
  );
});

test.each([
  ['in the middle of a merge', 'MERGE_HEAD'],
  ['in the middle of a rebase', 'rebase-merge'],
])('is refused %s', async (_, name) => {
  const at = bed.repository(`busy-${name}`, () => undefined);
  git(at('.'), 'checkout', '-q', '-b', 'side');
  edited(at);
  git(at('.'), 'commit', '-q', '-a', '-m', 'side');
  git(at('.'), 'checkout', '-q', 'main');
  fs.writeFileSync(at('src/a'), 'other\n');
  git(at('.'), 'commit', '-q', '-a', '-m', 'other');
  expect(() => git(at('.'), name === 'MERGE_HEAD' ? 'merge' : 'rebase', 'side')).toThrow('Command failed');
  const message = expect.stringContaining(name) as string;
  await expect(commit(at)).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT', message });
  for (const marker of ['MERGE_HEAD', 'rebase-merge', 'REBASE_HEAD', 'AUTO_MERGE'])
    fs.rmSync(at(`.git/${marker}`), { recursive: true, force: true });
  const unmerged = expect.stringContaining('not merged: src/a') as string;
  await expect(commit(at)).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT', message: unmerged });
});

test('is refused outside of a work tree, and while another git has the index', async () => {
  const at = bed.repository('locked', () => undefined);
  edited(at);
  fs.writeFileSync(at('.git/index.lock'), '');
  const old = git(at('.'), 'rev-parse', 'main');
  await expect(commit(at)).rejects.toMatchObject({ message: expect.stringContaining('Another git') as string });
  expect(git(at('.'), 'rev-parse', 'main')).toBe(old);
  // Nothing was put into the repository either.
  expect(git(at('.'), 'fsck', '--no-reflogs', '--unreachable')).toBe('');
  fs.rmSync(at('.git'), { recursive: true });
  fs.mkdirSync(at('.git'));
  await expect(commit(at)).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
});

test('is refused where git looks elsewhere for the files than in the directory', async () => {
  const [at, other] = [bed.repository('turned', () => undefined), bed.repository('elsewhere', () => undefined)];
  edited(other);
  git(at('.'), 'config', 'core.worktree', other('.'));
  const elsewhere = { code: 'OCT_INVALID_ARGUMENT', message: expect.stringContaining('work tree of') as string };
  await expect(commit(at)).rejects.toMatchObject(elsewhere);
});

const again = { code: 'OCT_VERSION_CONFLICT', remedy: expect.stringContaining('ry again') as string };

test.each<[string, Make, string]>([
  ['has a commit of the user', (at) => git(at('.'), 'commit', '-q', '--allow-empty', '-m', 'of the user'), 'main'],
  ['is not checked out any more', (at) => git(at('.'), 'checkout', '-q', '-b', 'other'), 'other'],
  ['is detached', (at) => git(at('.'), 'checkout', '-q', '--detach'), 'HEAD'],
])('a branch that %s meanwhile is left as it is, and the commit can be tried again', async (what, change, head) => {
  const at = bed.repository(`raced-${what.replaceAll(' ', '-')}`, () => undefined);
  edited(at);
  const confirm = (): Promise<void> => Promise.resolve(change(at)).then(() => undefined);
  await expect(commit(at, { confirm })).rejects.toMatchObject(again);
  expect(git(at('.'), 'rev-parse', '--abbrev-ref', 'HEAD')).toBe(`${head}\n`);
  expect(git(at('.'), 'log', '--all', '--format=%s')).not.toContain('by us');
  expect(git(at('.'), 'status', '--porcelain')).toBe(' M src/a\n');
  expect(await commit(at)).toMatchObject({ committed: true, branch: head === 'HEAD' ? null : head });
});

test('a detached commit moves no branch that is checked out meanwhile', async () => {
  const at = bed.repository('attached', (file) => git(file('.'), 'checkout', '-q', '--detach'));
  edited(at);
  const confirm = (): Promise<void> => Promise.resolve(git(at('.'), 'checkout', '-q', 'main')).then(() => undefined);
  await expect(commit(at, { confirm })).rejects.toMatchObject(again);
  expect(git(at('.'), 'log', '--all', '--format=%s')).toBe('base\n');
  expect(git(at('.'), 'rev-parse', '--abbrev-ref', 'HEAD')).toBe('main\n');
});

test('an index that another git has is waited for, and the branch goes back when it keeps it', async () => {
  const at = bed.repository('kept-lock', () => undefined);
  edited(at);
  const lock = at('.git/index.lock');
  const taking = (forMs: number) => () => {
    fs.writeFileSync(lock, '');
    if (forMs > 0) setTimeout(() => fs.rmSync(lock), forMs);
    return Promise.resolve();
  };
  await expect(commit(at, { confirm: taking(0) })).rejects.toMatchObject(again);
  expect(git(at('.'), 'log', '-1', '--format=%s')).toBe('base\n');
  await expect(commit(at)).rejects.toMatchObject(again);
  fs.rmSync(lock);
  expect(await commit(at, { confirm: taking(400) })).toMatchObject({ committed: true });
  expect(git(at('.'), 'status', '--porcelain')).toBe('');
});

test.runIf(process.getuid?.() === 0)('what root makes in the repository of a user belongs to that user', async () => {
  const at = bed.repository('owned', () => undefined);
  const owner = { uid: 4_321, gid: 5_432 };
  for (const path of ['.', ...(fs.readdirSync(at('.'), { recursive: true }) as string[])])
    fs.lchownSync(at(path), owner.uid, owner.gid);
  edited(at);
  expect(await commit(at)).toMatchObject({ committed: true });
  const left = fs.readdirSync(at('.git'), { recursive: true }) as string[];
  expect(left.filter((path) => fs.lstatSync(at(`.git/${path}`)).uid !== owner.uid)).toEqual([]);
});

test('a directory that is exchanged for a link while it is read gives nothing of what lies behind the link', async () => {
  const at = bed.repository('swapped', () => undefined);
  const [part, away, secrets] = [at('src'), at('../away'), at('../secrets')];
  fs.mkdirSync(secrets);
  fs.writeFileSync(join(secrets, 'a'), 'of the host');
  edited(at);
  const swap = `const fs = require('node:fs'); const [part, away, secrets] = process.argv.slice(1);
    for (let end = Date.now() + 4000; Date.now() < end;) {
      fs.renameSync(part, away); fs.symlinkSync(secrets, part); fs.unlinkSync(part); fs.renameSync(away, part);
    }`;
  const child = spawn(process.execPath, ['-e', swap, part, away, secrets], { stdio: 'inherit' });
  const ended = once(child, 'exit');
  while (child.exitCode === null) {
    fs.appendFileSync(at('mine'), 'more\n');
    await commit(at, { accept: ['src'] }).catch(() => undefined);
    await delay(1);
  }
  expect(await ended).toEqual([0, null]);
  expect(git(at('.'), 'rev-list', '--count', 'HEAD')).not.toBe('1\n');
  const objects = git(at('.'), 'cat-file', '--batch-all-objects', '--batch', '--unordered');
  expect(objects).not.toContain('of the host');
});
