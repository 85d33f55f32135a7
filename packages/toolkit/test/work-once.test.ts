import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type EnginelessHome, callBy, createEnginelessHome } from './support/home-without-engine.ts';

let home: EnginelessHome;
let directory: string;
beforeAll(async () => {
  home = await createEnginelessHome();
  directory = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'oct-work-once-')));
});
afterAll(async () => {
  await home.remove();
  fs.rmSync(directory, { recursive: true, force: true });
});

function git(...args: readonly string[]): string {
  const settings = ['safe.directory=*', 'user.name=t', 'user.email=t@example.org'].flatMap((each) => ['-c', each]);
  return execFileSync('git', ['-C', directory, ...settings, ...args], { encoding: 'utf8', stdio: 'pipe' }).trim();
}

test('a commit is made once per key; one that was refused, or only looked at, is made when it is asked for again', async () => {
  git('init', '-q', '-b', 'main');
  fs.writeFileSync(join(directory, 'file'), 'first\n');
  git('add', 'file');
  git('commit', '-qm', 'first');
  fs.writeFileSync(join(directory, 'file'), 'second\n');
  if (process.getuid?.() === 0) execFileSync('chown', ['-R', '4321:5432', directory]);
  const { id } = await home.create({ title: 'once', workspace: { kind: 'bind', path: directory } });
  const { work } = home.open.services;
  const options = { message: 'second', author: 'Ada <ada@example.org>' };
  const keyed = (idempotencyKey: string) => ({ ...callBy('ada'), idempotencyKey });

  const looked = await work.commit(id, { ...options, dryRun: true }, keyed('one'));
  expect(looked).toMatchObject({ committed: false, branch: 'main' });
  const made = await work.commit(id, options, keyed('one'));
  expect(made).toMatchObject({ committed: true });
  fs.writeFileSync(join(directory, 'file'), 'third\n');
  expect(await work.commit(id, options, keyed('one'))).toEqual(made);
  expect(git('rev-list', '--count', 'HEAD')).toBe('2');
  await expect(work.commit(id, { ...options, message: 'other' }, keyed('one'))).rejects.toMatchObject({
    code: 'OCT_IDEMPOTENCY_MISMATCH',
  });

  fs.writeFileSync(join(directory, 'Makefile'), 'all:\n\tdate\n');
  expect(await work.commit(id, options, keyed('two'))).toMatchObject({ committed: false, refused: [{}] });
  fs.rmSync(join(directory, 'Makefile'));
  expect(await work.commit(id, options, keyed('two'))).toMatchObject({ committed: true });
  expect(git('rev-list', '--count', 'HEAD')).toBe('3');

  for (const name of ['one', 'other']) fs.writeFileSync(join(directory, name), 'x\n');
  const one = { ...options, paths: ['one'] };
  expect(await work.commit(id, one, keyed('paths'))).toMatchObject({ committed: true, changes: [{ path: 'one' }] });
  const others = work.commit(id, { ...one, paths: ['other'] }, keyed('paths'));
  await expect(others).rejects.toMatchObject({ code: 'OCT_IDEMPOTENCY_MISMATCH' });
  for (const paths of [[], ['no such']])
    await expect(work.commit(id, { ...one, paths }, callBy('ada'))).rejects.toMatchObject({
      code: 'OCT_INVALID_ARGUMENT',
      details: { argument: 'paths' },
    });
  expect(git('status', '--porcelain')).toBe('?? other');
});
