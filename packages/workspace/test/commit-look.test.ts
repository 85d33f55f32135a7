import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { silentLogger } from '@opencode-tools/core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { toBytePath } from '../src/byte-path.ts';
import { createGit, createWork } from '../src/index.ts';
import { lookAtWorkTree } from '../src/look-at-work-tree.ts';
import { type MergeBed, git, openMergeBed } from './merge-bed.ts';

type At = (file: string) => string;

const author = 'Ada <ada@example.org>';

let bed: MergeBed;
beforeAll(async () => {
  bed = await openMergeBed();
});
afterAll(async () => bed.close());

async function commit(at: At) {
  const [directory, operationId] = [at('.'), bed.newId()];
  try {
    const request = { directory, message: 'by us', author, accept: [], dryRun: false };
    return await bed.work.commit({ ...request, operationId });
  } finally {
    await bed.work.forget(operationId);
  }
}

/** What may stand as `.git` in a directory. */
const kinds: Readonly<Record<string, (at: At, directory: string) => unknown>> = {
  'an empty one': (at, directory) => fs.mkdirSync(at(`${directory}/.git`)),
  'an empty file': (at, directory) => fs.writeFileSync(at(`${directory}/.git`), ''),
  'one that lacks what git needs': (at, directory) => {
    fs.mkdirSync(at(`${directory}/.git`));
    fs.writeFileSync(at(`${directory}/.git/HEAD`), 'ref: refs/heads/main\n');
  },
  'a repository without a commit': (at, directory) => git(at(directory), 'init', '-q'),
  'a repository': (at, directory) => {
    git(at(directory), 'init', '-q');
    git(at(directory), 'commit', '-q', '--allow-empty', '-m', 'inner');
  },
  'a file that leads to one': (at, directory) =>
    git(at(directory), 'init', '-q', `--separate-git-dir=${at(`../${directory}-away`)}`),
  'a link': (at, directory) => fs.symlinkSync('/nowhere', at(`${directory}/.git`)),
};
const repositories = new Set(['a repository without a commit', 'a repository', 'a file that leads to one', 'a link']);

test.each(Object.entries(kinds))('tracked files beside a `.git` that is %s stay, edited or not', async (what, make) => {
  const at = bed.repository(`beside-${what}`.replaceAll(' ', '-'), () => undefined);
  fs.mkdirSync(at('src/deep'));
  fs.writeFileSync(at('src/deep/same'), 'same\n');
  git(at('.'), 'add', '.');
  git(at('.'), 'commit', '-q', '-m', 'deep');
  make(at, 'src');
  fs.writeFileSync(at('src/a'), 'two\n');
  fs.writeFileSync(at('src/deep/new'), 'new\n');
  fs.mkdirSync(at('other'));
  make(at, 'other');
  fs.writeFileSync(at('other/file'), 'file\n');
  const done = await commit(at);
  const ofOther = repositories.has(what) ? [] : ['other/file'];
  expect(done).toMatchObject({ committed: true, conflicts: [], leftOut: repositories.has(what) ? ['other'] : [] });
  expect(done.changes.map(({ path }) => path)).toEqual([...ofOther, 'src/a', 'src/deep/new']);
  const all = ['.gitignore', 'gone/deep/b', 'keep', 'mine', ...ofOther, 'src/a', 'src/deep/new', 'src/deep/same'];
  expect(git(at('.'), 'ls-tree', '-r', '--name-only', 'HEAD').split('\n').filter(Boolean)).toEqual(all);
});

test('a pipe where a tracked file was is in the way; elsewhere it is left out', async () => {
  const at = bed.repository('pipe', () => undefined);
  const old = git(at('.'), 'rev-parse', 'HEAD');
  fs.writeFileSync(at('src/a'), 'two\n');
  fs.rmSync(at('keep'));
  for (const name of ['keep', 'pipe']) execFileSync('mkfifo', [at(name)]);
  expect(await commit(at)).toMatchObject({
    committed: false,
    commit: null,
    conflicts: [{ path: 'keep', reason: expect.stringContaining('neither a file nor a link') as string }],
    leftOut: ['pipe'],
  });
  expect(git(at('.'), 'rev-parse', 'HEAD')).toBe(old);
  fs.rmSync(at('keep'));
  expect(await commit(at)).toMatchObject({ committed: true, conflicts: [], leftOut: ['pipe'] });
  expect(git(at('.'), 'diff', '--name-status', 'HEAD^', 'HEAD')).toBe('D\tkeep\nM\tsrc/a\n');
});

test('more than a commit may take is refused before it is copied', async () => {
  const at = bed.repository('huge', () => undefined);
  fs.writeFileSync(at('src/a'), 'two\n');
  fs.writeFileSync(at('huge'), '');
  fs.truncateSync(at('huge'), 5 * 1024 ** 3);
  const limited = { code: 'OCT_RESOURCE_LIMIT', message: expect.stringContaining('huge') as string };
  await expect(commit(at)).rejects.toMatchObject({ ...limited, details: { limit: 'commit', path: 'huge' } });
  fs.appendFileSync(at('.gitignore'), 'huge\n');
  expect(await commit(at)).toMatchObject({ committed: true, changes: [{ path: '.gitignore' }, { path: 'src/a' }] });
});

test('a directory that is exchanged for a link before it is listed is not listed', async () => {
  const at: At = (name) => `${bed.scratch}/listed/${name}`;
  for (const name of ['tree/part', 'secrets']) fs.mkdirSync(at(name), { recursive: true });
  fs.symlinkSync('../of/the/host', at('secrets/link'));
  let looks = 0;
  const exchanging = {
    // Asked for once a name was looked at: of the top, then of the directory in it.
    due: () => {
      looks += 1;
      if (looks !== 2) return false;
      fs.renameSync(at('tree/part'), at('away'));
      fs.symlinkSync(at('secrets'), at('tree/part'));
      return false;
    },
    rest: () => Promise.resolve(),
  };
  const look = lookAtWorkTree(
    toBytePath(at('tree')),
    { prefix: '', scope: [''] },
    { entries: [], indexedNs: 0n },
    exchanging,
  );
  await expect(look).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
});

test('a commit takes few processes, however much changed, and the same as ever when the index is looked at meanwhile', async () => {
  const at = bed.repository('few', (file) => {
    for (let count = 0; count < 300; count += 1) fs.writeFileSync(file(`f${count}`), `${count}\n`);
    git(file('.'), 'add', '.');
    git(file('.'), 'commit', '-q', '-m', 'many');
  });
  let processes: string[] = [];
  const logger = {
    ...silentLogger,
    debug: (_: string, { command }: { readonly command?: unknown } = {}) => void processes.push(String(command)),
  };
  const environment = { PATH: process.env['PATH'], HOME: bed.scratch };
  const counting = createGit({ environment, logger, bound: () => Promise.resolve([]) });
  const work = createWork({ environment: process.env, directory: bed.store, git: counting, logger: silentLogger });
  for (const turn of ['first', 'second']) {
    for (let count = 0; count < 300; count += 2) fs.writeFileSync(at(`f${count}`), `${turn} ${count}\n`);
    processes = [];
    const operationId = bed.newId();
    const request = { directory: at('.'), message: turn, author, accept: [], dryRun: false };
    // Git notes in the index what it saw, so that it is another file than the one that was read.
    const confirm = async () => void (turn === 'second' && git(at('.'), 'update-index', '--index-version', '4'));
    const done = await work.commit({ ...request, operationId, confirm });
    await work.forget(operationId);
    expect(done).toMatchObject({ committed: true, changes: { length: 150 } });
    expect(processes.slice(turn === 'first' ? 12 : 13)).toEqual([]);
    expect(git(at('.'), 'status', '--porcelain')).toBe('');
    expect(git(at('.'), 'fsck', '--strict', '--no-dangling')).toBe('');
  }
});
