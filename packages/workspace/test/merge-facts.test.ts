import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type MergeWork, type OperationId, createIds, silentLogger, systemClock } from '@opencode-tools/core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createGit, createWork } from '../src/index.ts';
import { WorkJournals } from '../src/work-journal.ts';
import { layoutOf } from '../src/store-files.ts';

const environment = { PATH: process.env['PATH'] };
const ids = createIds(systemClock);
let place: string;
let store: string;
beforeAll(() => {
  place = realpathSync(mkdtempSync(join(tmpdir(), 'oct-merge-work-')));
  store = join(place, 'home', 'store');
  mkdirSync(join(place, 'home'));
});
afterAll(() => rmSync(place, { recursive: true, force: true }));

const openWork = () =>
  createWork({
    environment: process.env,
    directory: store,
    git: createGit({ environment, logger: silentLogger, bound: () => Promise.resolve([]) }),
    logger: silentLogger,
  });

function git(cwd: string, ...args: readonly string[]): string {
  const env = { ...environment, HOME: place, GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1' };
  const settings = ['-c', 'user.name=t', '-c', 'user.email=t@example.org'];
  return execFileSync('git', [...settings, ...args], { cwd, env, stdio: 'pipe' })
    .toString()
    .trim();
}

function repositoryNamed(name: string): string {
  const directory = join(place, name);
  mkdirSync(directory);
  git(directory, 'init', '-q', '-b', 'main');
  commitFile(directory, 'a', 'a\n');
  return directory;
}

function commitFile(directory: string, name: string, text: string): string {
  writeFileSync(join(directory, name), text);
  git(directory, 'add', '.');
  git(directory, 'commit', '-q', '-m', name);
  return git(directory, 'rev-parse', 'HEAD');
}

function mergeOf(repository: string, operationId: OperationId): MergeWork {
  const base = git(repository, 'rev-parse', 'HEAD');
  return { repository, base, branch: 'work', into: false, accept: [], message: 'm', operationId, dryRun: false };
}

test('what a sandbox gives as a bundle leads git to no other repository', async () => {
  const repository = repositoryNamed('user');
  const other = repositoryNamed('private');
  commitFile(other, 'secret', 's3cret\n');
  git(other, 'update-ref', 'refs/opencode-tools/out', 'HEAD');
  const work = openWork();
  const operationId = ids.next('operation');
  const sink = await work.receive(operationId);
  await sink.write(Buffer.from(`gitdir: ${join(other, '.git')}\n`));
  await sink.close();
  await expect(work.merge(mergeOf(repository, operationId))).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
  expect(git(repository, 'branch', '--list', 'work')).toBe('');
  await work.forget(operationId);
});

test('a merge that broke off leaves a work tree alone that has another branch meanwhile', async () => {
  const repository = repositoryNamed('switched');
  const old = git(repository, 'rev-parse', 'HEAD');
  git(repository, 'branch', 'other');
  const commit = commitFile(repository, 'b', 'b\n');
  git(repository, 'checkout', '-q', 'other');
  const operationId = ids.next('operation');
  const journal = { operationId, repository, ref: 'refs/heads/main', old, commit, workTree: repository };
  await new WorkJournals(layoutOf(store)).write(journal);
  const work = openWork();
  expect(await work.settle(operationId)).toMatchObject({ outcome: 'finished' });
  expect(git(repository, 'status', '--porcelain')).toBe('');
  expect(existsSync(join(repository, 'b'))).toBe(false);
  await work.forget(operationId);
});

test('a merge that broke off brings the work tree along that still has the branch', async () => {
  const repository = repositoryNamed('stayed');
  const old = git(repository, 'rev-parse', 'HEAD');
  const commit = commitFile(repository, 'b', 'b\n');
  git(repository, 'read-tree', '-m', '-u', 'HEAD', old);
  expect(existsSync(join(repository, 'b'))).toBe(false);
  const operationId = ids.next('operation');
  const journal = { operationId, repository, ref: 'refs/heads/main', old, commit, workTree: repository };
  await new WorkJournals(layoutOf(store)).write(journal);
  const work = openWork();
  expect(await work.settle(operationId)).toEqual({ outcome: 'finished', left: [], saved: null });
  expect(readFileSync(join(repository, 'b'), 'utf8')).toBe('b\n');
  await work.forget(operationId);
});

test.each([
  ['beside it', (at: string) => git(at, 'commit', '-q', '--only', '-m', 'beside', 'a'), [], 'b\n'],
  ['of everything, which takes it back', (at: string) => git(at, 'commit', '-q', '-a', '-m', 'all'), ['left'], null],
])(
  'a merge that broke off is in the branch also after a commit of the user %s',
  async (what, commitMore, left, text) => {
    const repository = repositoryNamed(`gone-on-${what.length}`);
    const old = git(repository, 'rev-parse', 'HEAD');
    const commit = commitFile(repository, 'b', 'b\n');
    git(repository, 'read-tree', '-m', '-u', 'HEAD', old);
    writeFileSync(join(repository, 'a'), 'of the user\n');
    commitMore(repository);
    const operationId = ids.next('operation');
    const journal = { operationId, repository, ref: 'refs/heads/main', old, commit, workTree: repository };
    await new WorkJournals(layoutOf(store)).write(journal);
    const work = openWork();
    for (const _ of ['once', 'again'])
      expect(await work.settle(operationId)).toEqual({
        outcome: 'finished',
        left: left.map(() => repository),
        saved: null,
      });
    expect(existsSync(join(repository, 'b')) ? readFileSync(join(repository, 'b'), 'utf8') : null).toBe(text);
    expect(readFileSync(join(repository, 'a'), 'utf8')).toBe('of the user\n');
    expect(git(repository, 'status', '--porcelain')).toBe('');
    await work.forget(operationId);
  },
);

test('a merge that broke off is settled although its repository is gone', async () => {
  const repository = repositoryNamed('removed');
  const operationId = ids.next('operation');
  const commit = git(repository, 'rev-parse', 'HEAD');
  const journal = { operationId, repository, ref: 'refs/heads/main', old: null, commit, workTree: null };
  await new WorkJournals(layoutOf(store)).write(journal);
  rmSync(repository, { recursive: true });
  const work = openWork();
  expect(await work.settle(operationId)).toEqual({ outcome: 'none', left: [], saved: null });
  await work.forget(operationId);
});
