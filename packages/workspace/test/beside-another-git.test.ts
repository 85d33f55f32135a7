import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { type WorkPort, silentLogger } from '@opencode-tools/core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createGit, createWork } from '../src/index.ts';
import { type MergeBed, git, openMergeBed } from './merge-bed.ts';

let bed: MergeBed;
beforeAll(async () => {
  bed = await openMergeBed();
});
afterAll(async () => bed.close());

const takenBack = { code: 'OCT_VERSION_CONFLICT', message: expect.stringContaining('took back') as string };

/** Work by a git beside which the user does something as soon as that has done something once. */
function beside(name: string, top: string, [after, does]: readonly [after: string, does: string]): WorkPort {
  const bin = join(bed.scratch, `${name}-bin`);
  fs.mkdirSync(bin);
  const real = execFileSync('which', ['git'], { encoding: 'utf8' }).trim();
  const script = `#!/bin/sh
"${real}" "$@"; code=$?
case "$*" in ${after})
  unset $(env | sed -n 's/^\\(GIT_[A-Z_]*\\)=.*/\\1/p'); git() { "${real}" -c user.name=u -c user.email=u "$@"; }
  cd '${top}' && mkdir '${bin}/done' 2>/dev/null && { ${does}; } >&2;;
esac
exit $code
`;
  fs.writeFileSync(join(bin, 'git'), script, { mode: 0o755 });
  const environment = { ...process.env, PATH: `${bin}:${process.env['PATH']}` };
  const host = createGit({ environment, logger: silentLogger, bound: () => Promise.resolve([]) });
  return createWork({ environment, directory: bed.store, git: host, logger: silentLogger });
}

const commits = [
  '*update-ref*refs/heads/main*',
  'echo theirs > theirs && git add theirs && git commit -qm user',
] as const;

test('a commit that a user takes back between the branch and the index is said to be, and is staged', async () => {
  const at = bed.repository('commit', () => undefined);
  fs.writeFileSync(at('src/a'), 'ours\n');
  const work = beside('commit', at('.'), commits);
  const request = { directory: at('.'), message: 'by us', author: 'Ada <ada@example.org>', accept: [], dryRun: false };
  await expect(work.commit({ ...request, operationId: bed.newId() })).rejects.toMatchObject(takenBack);
  expect(git(at('.'), 'log', '--format=%s')).toBe('user\nby us\nbase\n');
  expect(git(at('.'), 'status', '--porcelain')).toBe('M  src/a\n');
});

test('a merge that a user takes back between the branch and the work tree is said to be, and is staged', async () => {
  const at = bed.repository('merge', () => undefined);
  const bundled = await bed.bundled('merge', at, (inside) => fs.writeFileSync(inside('src/a'), 'ours\n'));
  const operationId = bed.newId();
  await bundled.receive(operationId);
  const request = {
    repository: at('.'),
    base: bundled.base,
    branch: 'main',
    into: true,
    accept: [],
    message: 'Merge it',
  };
  const merging = beside('merge', at('.'), commits).merge({ ...request, operationId, dryRun: false });
  await expect(merging).rejects.toMatchObject(takenBack);
  expect(git(at('.'), 'log', '-1', '--format=%s')).toBe('user\n');
  expect(git(at('.'), 'status', '--porcelain')).toBe('M  src/a\n');
  expect(fs.readFileSync(at('src/a'), 'utf8')).toBe('ours\n');
});

test('what comes is not removed by who tidies the repository up before a branch leads to it', async () => {
  const at = bed.repository('tidied', () => undefined);
  const bundled = await bed.bundled('tidied', at, (inside) => fs.writeFileSync(inside('src/a'), 'ours\n'));
  const operationId = bed.newId();
  await bundled.receive(operationId);
  const request = {
    repository: at('.'),
    base: bundled.base,
    branch: 'ours',
    into: false,
    accept: [],
    message: 'Merge it',
  };
  const work = beside('tidied', at('.'), ['*?fetch?--quiet?*refs/heads/result*', 'git gc --quiet --prune=now']);
  expect(await work.merge({ ...request, operationId, dryRun: false })).toMatchObject({ merged: true });
  expect(git(at('.'), 'log', '--format=%s', 'ours')).toBe('of the task\nbase\n');
  expect(git(at('.'), 'for-each-ref', '--format=%(refname)')).toBe('refs/heads/main\nrefs/heads/ours\n');
});
