import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import type { CommitWork, CommittedWork } from '@opencode-tools/core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type MergeBed, git, openMergeBed } from './merge-bed.ts';
import { bound as shared } from './open-store.ts';

type At = (file: string) => string;

let bed: MergeBed;
beforeAll(async () => {
  bed = await openMergeBed();
});
afterAll(async () => bed.close());

interface More extends Partial<CommitWork> {
  /** What sandboxes have. */
  readonly bound?: readonly string[];
}

async function commit(directory: string, { bound = [], ...more }: More = {}): Promise<CommittedWork> {
  shared.splice(0, Infinity, ...bound);
  const request = { directory, message: 'by us', author: 'Ada <ada@example.org>', accept: [] };
  const operationId = bed.newId();
  const done = await bed.work.commit({ ...request, operationId, dryRun: false, ...more });
  await bed.work.forget(operationId);
  return done;
}

const top = (at: At): string => at('.').replace(/\/\.$/, '');
const edited = (at: At): void => fs.writeFileSync(at('src/a'), 'two\n');

/** What a command can write into a directory that it has: a repository that git obeys, and a log that leads elsewhere. */
function plant(repository: string, workTree: string, victim: string): void {
  for (const part of ['objects', 'refs/heads', 'logs/refs/heads'])
    fs.mkdirSync(join(repository, part), { recursive: true });
  fs.writeFileSync(join(repository, 'HEAD'), 'ref: refs/heads/main\n');
  const core = `[core]\nrepositoryformatversion = 0\nbare = false\nworktree = ${workTree}\nlogAllRefUpdates = always\n`;
  fs.writeFileSync(join(repository, 'config'), core);
  fs.writeFileSync(victim, 'of the host\n');
  fs.symlinkSync(victim, join(repository, 'logs/refs/heads/main'));
}

test('a directory whose files look like a repository is committed to the one above it', async () => {
  const at = bed.repository('bare', () => undefined);
  edited(at);
  fs.mkdirSync(at('src/.git'));
  plant(at('src'), at('src'), at('../victim'));
  const accept = ['src/HEAD', 'src/config', 'src/logs/refs/heads/main'];
  const done = await commit(at('src'), { accept });
  expect(fs.readFileSync(at('../victim'), 'utf8')).toBe('of the host\n');
  expect(done).toMatchObject({ committed: true, repository: top(at), branch: 'main' });
  expect(git(at('.'), 'log', '-1', '--format=%s')).toBe('by us\n');
});

test.each([
  ['a sandbox with the directory above could write', 'x', 'x/.git'],
  ['lies elsewhere in the directory', 'x', 'x/kept'],
])('a repository that %s is not opened', async (what, directory, repository) => {
  const at = bed.repository(`written-${repository.replace('/', '-')}`, () => undefined);
  fs.mkdirSync(at(directory));
  plant(at(repository), at(directory), at('../victim'));
  if (!repository.endsWith('.git')) fs.writeFileSync(at('x/.git'), 'gitdir: kept\n');
  fs.writeFileSync(at('x/file'), 'x\n');
  const bound = what.includes('above') ? [at('x'), top(at)] : [at('x')];
  const denied = { code: 'OCT_POLICY_DENIED', message: expect.stringContaining(at(repository)) as string };
  await expect(commit(at('x'), { bound })).rejects.toMatchObject(denied);
  expect(fs.readFileSync(at('../victim'), 'utf8')).toBe('of the host\n');
});

test('a file that names the repository of another work tree is not followed where a sandbox could write it', async () => {
  const at = bed.repository('pointed', () => undefined);
  const other = bed.repository('other', () => undefined);
  fs.mkdirSync(at('x'));
  fs.writeFileSync(at('x/.git'), `gitdir: ${other('.git')}\n`);
  const denied = { code: 'OCT_POLICY_DENIED', message: expect.stringContaining(at('x/.git')) as string };
  await expect(commit(at('x'), { bound: [at('x'), top(at)] })).rejects.toMatchObject(denied);
  expect(git(other('.'), 'log', '-1', '--format=%s')).toBe('base\n');
});

test('linked work trees in a directory that other tasks have, and directories below it, are committed', async () => {
  const at = bed.repository('linked', () => undefined);
  git(at('.'), 'worktree', 'add', '-q', '-b', 'other', at('tree'));
  edited((file) => at(`tree/${file}`));
  const bound = [top(at), at('tree'), at('src')];
  expect(await commit(at('tree'), { bound })).toMatchObject({ committed: true, branch: 'other' });
  edited(at);
  expect(await commit(at('src'), { bound })).toMatchObject({ committed: true, branch: 'main' });
});

test('what is ignored and what has attributes is not said by a file that a setting names and a sandbox can write', async () => {
  const at = bed.repository('patterns', () => undefined);
  fs.writeFileSync(at('../kept'), 'by-kept\n');
  fs.symlinkSync(at('../kept'), at('link'));
  fs.writeFileSync(at('patterns'), 'new\n');
  for (const name of ['new', 'by-kept']) fs.writeFileSync(at(name), 'x\n');
  for (const file of ['patterns', at('patterns'), 'link', 'pipe']) {
    if (file === 'pipe') execFileSync('mkfifo', [at(file)]);
    git(at('.'), 'config', 'core.excludesFile', file);
    git(at('.'), 'config', 'core.attributesFile', file);
    const { changes } = await commit(at('.'), { dryRun: true });
    expect(changes.map(({ path }) => path)).toEqual(['by-kept', 'link', 'new', 'patterns']);
  }
  git(at('.'), 'config', '--unset', 'core.attributesFile');
  fs.symlinkSync(at('../kept'), at('../led'));
  for (const file of ['../kept', at('../led')]) {
    git(at('.'), 'config', 'core.excludesFile', file);
    const { changes } = await commit(at('.'), { dryRun: true });
    expect(changes.map(({ path }) => path)).toEqual(['link', 'new', 'patterns']);
  }
}, 60_000);
