import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { silentLogger } from '@opencode-tools/core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDirectoryWatch, createWork } from '../src/index.ts';
import { type MergeBed, git, openMergeBed } from './merge-bed.ts';
import { git as hostGit, openStore } from './open-store.ts';

let bed: MergeBed;
let opened: Awaited<ReturnType<typeof openStore>>;
beforeAll(async () => {
  bed = await openMergeBed();
  opened = await openStore();
});
afterAll(async () => {
  await bed.close();
  await opened.close();
});

/** What git takes for a repository when it is asked for the status there; no part of it has a name that begins with a dot. */
function plant(directory: string, mark: string): void {
  for (const name of ['objects', 'refs']) fs.mkdirSync(join(directory, name), { recursive: true });
  fs.writeFileSync(join(directory, 'HEAD'), 'ref: refs/heads/main\n');
  const core = ['repositoryformatversion=0', 'bare=false', 'worktree=.', `fsmonitor=touch ${mark}`];
  fs.writeFileSync(join(directory, 'config'), `[core]\n\t${core.join('\n\t')}\n`);
  for (const name of ['objects/k', 'refs/k']) fs.writeFileSync(join(directory, name), '');
}
const planted = ['sub/HEAD', 'sub/config', 'sub/objects/k', 'sub/refs/k'];
const only = (files: readonly { readonly path: string; readonly rule: string }[]): readonly string[] =>
  files.filter(({ rule }) => rule === 'git').map(({ path }) => path);

test('git obeys what is planted here, so this is worth telling', () => {
  const directory = join(bed.scratch, 'obeyed');
  plant(directory, join(bed.scratch, 'ran'));
  execFileSync('git', ['status'], { cwd: directory, stdio: 'pipe' });
  expect(fs.existsSync(join(bed.scratch, 'ran'))).toBe(true);
});

test('work that has the files of a repository below waits to be accepted, as does what completes or changes one', async () => {
  const work = createWork({
    environment: process.env,
    directory: opened.directory,
    git: hostGit,
    logger: silentLogger,
  });
  const tree = join(opened.scratch, 'tree');
  const freeze = async (): Promise<string> => (await opened.store.freeze({ kind: 'directory', path: tree })).id;
  fs.mkdirSync(join(tree, 'src'), { recursive: true });
  fs.writeFileSync(join(tree, 'src/config'), 'mine\n');
  const before = await freeze();
  plant(join(tree, 'sub'), '/nowhere');
  fs.rmSync(join(tree, 'sub/refs'), { recursive: true });
  fs.writeFileSync(join(tree, 'src/config'), 'theirs\n');
  const incomplete = await freeze();
  expect(only((await work.review(before, incomplete)).tripwires)).toEqual(['sub/HEAD']);
  fs.mkdirSync(join(tree, 'sub/refs'));
  const complete = await freeze();
  expect(only((await work.review(incomplete, complete)).tripwires)).toEqual(['sub/refs']);
  fs.writeFileSync(join(tree, 'sub/refs/k'), '');
  fs.appendFileSync(join(tree, 'sub/config'), '\n');
  const changed = await freeze();
  expect(only((await work.review(complete, changed)).tripwires)).toEqual(['sub/config', 'sub/refs/k']);
  const all = only((await work.review(before, changed)).tripwires);
  expect(all).toEqual(expect.arrayContaining(planted));
  expect(all).not.toContain('src/config');
});

test('commits that have them wait as well', async () => {
  const at = bed.repository('merged', () => undefined);
  const bundled = await bed.bundled('merged', at, (inside) => plant(inside('sub'), '/nowhere'));
  const id = bed.newId();
  await bundled.receive(id);
  const request = {
    repository: at('.'),
    base: bundled.base,
    branch: 'main',
    into: true,
    accept: [],
    message: 'x',
    dryRun: false,
  };
  const result = await bed.work.merge({ ...request, operationId: id });
  await bed.work.forget(id);
  expect(result).toMatchObject({ merged: false });
  expect(only(result.refused)).toEqual(planted);

  plant(at('sub'), '/nowhere');
  const author = 'Ada <ada@example.org>';
  const commit = { directory: at('.'), message: 'x', author, accept: [], dryRun: false, operationId: bed.newId() };
  const made = await bed.work.commit(commit);
  await bed.work.forget(commit.operationId);
  expect(made).toMatchObject({ committed: false });
  expect(only(made.refused)).toEqual(planted);
});

test('a command that writes them tells', async () => {
  const directory = join(bed.scratch, 'watched');
  fs.mkdirSync(directory);
  plant(join(directory, 'sub'), '/nowhere');
  const watch = createDirectoryWatch({ directory: join(bed.scratch, 'watching') });
  await watch.note(bed.newId(), directory, { durable: false });
  const id = bed.newId();
  await watch.note(id, directory, { durable: false });
  fs.writeFileSync(join(directory, 'sub/config'), 'changed, and longer\n');
  fs.writeFileSync(join(directory, 'config'), 'of no repository\n');
  expect(only((await watch.compare(id)) ?? [])).toEqual(['sub/config']);
});

test('an executable that only has another name is not told, in work and in commits', async () => {
  const work = createWork({
    environment: process.env,
    directory: opened.directory,
    git: hostGit,
    logger: silentLogger,
  });
  const tree = join(opened.scratch, 'moved');
  const freeze = async (): Promise<string> => (await opened.store.freeze({ kind: 'directory', path: tree })).id;
  fs.mkdirSync(join(tree, 'bin'), { recursive: true });
  fs.writeFileSync(join(tree, 'bin/run'), 'run\n', { mode: 0o755 });
  fs.writeFileSync(join(tree, 'notes'), 'notes\n');
  const before = await freeze();
  fs.renameSync(join(tree, 'bin/run'), join(tree, 'bin/start'));
  expect((await work.review(before, await freeze())).tripwires).toEqual([]);
  fs.writeFileSync(join(tree, 'bin/other'), 'notes\n', { mode: 0o755 });
  expect((await work.review(before, await freeze())).tripwires).toMatchObject([{ path: 'bin/other', rule: 'mode' }]);

  const at = bed.repository('moves', (here) => {
    fs.writeFileSync(here('run'), 'run\n', { mode: 0o755 });
    git(here('.'), 'add', '.');
    git(here('.'), 'commit', '-q', '-m', 'run');
  });
  fs.renameSync(at('run'), at('start'));
  fs.writeFileSync(at('other'), 'keep\n', { mode: 0o755 });
  const author = 'Ada <ada@example.org>';
  const commit = { directory: at('.'), message: 'x', author, accept: [], dryRun: true, operationId: bed.newId() };
  expect((await bed.work.commit(commit)).tripwires).toMatchObject([{ path: 'other', rule: 'mode' }]);
  await bed.work.forget(commit.operationId);
});
