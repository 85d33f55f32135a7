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

/** Work by a git beside which the user commits a file of his as soon as a branch has moved. */
function besideUser(name: string, top: string): WorkPort {
  const bin = join(bed.scratch, `${name}-bin`);
  fs.mkdirSync(bin);
  const real = execFileSync('which', ['git'], { encoding: 'utf8' }).trim();
  const user = `echo theirs > theirs && ${real} add theirs && ${real} -c user.name=u -c user.email=u commit -qm user`;
  const script = `#!/bin/sh
"${real}" "$@"; code=$?
case "$*" in *update-ref*refs/heads/main*)
  unset $(env | sed -n 's/^\\(GIT_[A-Z_]*\\)=.*/\\1/p'); cd '${top}' && [ ! -e theirs ] && ${user} >&2;;
esac
exit $code
`;
  fs.writeFileSync(join(bin, 'git'), script, { mode: 0o755 });
  const environment = { ...process.env, PATH: `${bin}:${process.env['PATH']}` };
  const host = createGit({ environment, logger: silentLogger, bound: () => Promise.resolve([]) });
  return createWork({ environment, directory: bed.store, git: host, logger: silentLogger });
}

test('a commit that a user takes back between the branch and the index is said to be, and is staged', async () => {
  const at = bed.repository('commit', () => undefined);
  fs.writeFileSync(at('src/a'), 'ours\n');
  const work = besideUser('commit', at('.'));
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
  const merging = besideUser('merge', at('.')).merge({ ...request, operationId, dryRun: false });
  await expect(merging).rejects.toMatchObject(takenBack);
  expect(git(at('.'), 'log', '-1', '--format=%s')).toBe('user\n');
  expect(git(at('.'), 'status', '--porcelain')).toBe('M  src/a\n');
  expect(fs.readFileSync(at('src/a'), 'utf8')).toBe('ours\n');
});
