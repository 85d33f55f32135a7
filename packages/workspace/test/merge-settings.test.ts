import * as fs from 'node:fs';
import { join } from 'node:path';
import { silentLogger } from '@opencode-tools/core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createGit, createWork } from '../src/index.ts';
import { type MergeBed, git, openMergeBed, stateOf } from './merge-bed.ts';

let bed: MergeBed;
beforeAll(async () => {
  bed = await openMergeBed();
});
afterAll(async () => bed.close());

const converts = ['-c', 'core.autocrlf=true'] as const;

/** A user whose own settings turn line ends, and a repository that was checked out by them. */
function turned(name: string) {
  const at = bed.repository(name, () => undefined);
  const settings = join(bed.scratch, `${name}.settings`);
  fs.writeFileSync(settings, '[core]\n\tautocrlf = true\n');
  const environment = { PATH: process.env['PATH'], GIT_CONFIG_GLOBAL: settings };
  const bound: string[] = [];
  const host = createGit({ environment, logger: silentLogger, bound: async () => Promise.resolve(bound) });
  const work = createWork({ directory: bed.store, git: host, environment, logger: silentLogger });
  const anew = (): void => {
    for (const file of ['src/a', 'gone/deep/b', 'keep', 'mine']) fs.rmSync(at(file));
    git(at('.'), ...converts, 'checkout', '-q', '.');
  };
  return { at, work, settings, bound, anew };
}

test('what is merged gets the line ends that the user wants everywhere', async () => {
  const { at, work, anew } = turned('everywhere');
  const bundled = await bed.bundled('everywhere', at, (inside) => {
    fs.writeFileSync(inside('src/a'), 'one\ntwo\nthree\nfour\ntheirs\n');
    fs.writeFileSync(inside('new'), 'new\n');
    fs.rmSync(inside('gone'), { recursive: true });
  });
  anew();
  expect(fs.readFileSync(at('src/a'), 'utf8')).toContain('one\r\n');
  // Other times make git look at the content.
  for (const file of ['src/a', 'keep']) fs.utimesSync(at(file), 1, 1);
  const gits = join(bed.scratch, 'everywhere', 'gits');
  fs.cpSync(at('.'), gits, { recursive: true, preserveTimestamps: true });
  git(gits, ...converts, 'pull', '-q', '--no-rebase', '--no-edit', bundled.inside('.'), 'main');

  const operationId = bed.newId();
  await bundled.receive(operationId);
  const target = { repository: at('.'), base: bundled.base, branch: 'main', into: true };
  const request = { ...target, accept: [], message: 'Merge it', operationId, dryRun: false };
  expect(await work.merge(request)).toMatchObject({ merged: true, conflicts: [], workTree: at('.') });
  const [{ files, tree }, ofGit] = [stateOf(at('.')), stateOf(gits)];
  expect({ files, tree }).toEqual({ files: ofGit.files, tree: ofGit.tree });
  expect(fs.readFileSync(at('src/a'), 'utf8')).toBe('one\r\ntwo\r\nthree\r\nfour\r\ntheirs\r\n');
  expect(git(at('.'), ...converts, 'status', '--porcelain')).toBe('');
  await work.forget(operationId);
});

test('settings in a directory that a sandbox can write count for nothing', async () => {
  const { at, work, settings, bound, anew } = turned('elsewhere');
  bound.push(join(settings, '..', 'writable'));
  fs.mkdirSync(join(settings, '..', 'writable'));
  fs.writeFileSync(settings, `[include]\n\tpath = writable/settings\n`);
  fs.writeFileSync(join(settings, '..', 'writable/settings'), '[core]\n\tautocrlf = true\n');
  const bundled = await bed.bundled('elsewhere', at, (inside) => fs.writeFileSync(inside('new'), 'new\n'));
  anew();
  const operationId = bed.newId();
  await bundled.receive(operationId);
  const target = { repository: at('.'), base: bundled.base, branch: 'main', into: true };
  await work.merge({ ...target, accept: [], message: 'Merge it', operationId, dryRun: false });
  expect(fs.readFileSync(at('new'), 'utf8')).toBe('new\n');
  await work.forget(operationId);
});
