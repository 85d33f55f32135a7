import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { silentLogger } from '@opencode-tools/core';
import { randomFrom, testSeed } from '@opencode-tools/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createGit } from '../src/index.ts';

const options = { environment: process.env, bound: () => Promise.resolve([]) };
const seed = testSeed();
const statuses: string[] = [];
const logger = {
  ...silentLogger,
  debug: (_: string, { command }: { readonly command?: unknown } = {}) => void statuses.push(String(command)),
};
let base: string;
let looks: string;
const at = (name: string): string => join(base, 'work', name);
const git = (...args: readonly string[]): string =>
  execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@b', ...args], { cwd: at('.'), encoding: 'utf8' });
const write = (name: string, text: string): void => {
  fs.mkdirSync(dirname(at(name)), { recursive: true });
  fs.writeFileSync(at(name), text);
};

beforeAll(() => {
  base = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'oct-looks-')));
  looks = join(base, 'home', 'looks');
  for (let part = 0; part < 60; part += 1) {
    for (let count = 0; count < 50; count += 1)
      write(`part-${part}/inner/a-rather-long-name-of-a-file-${count}`, `${count}\n`);
  }
  write('.gitignore', 'ignored\n');
  git('init', '-q', '-b', 'main');
  git('add', '.');
  git('commit', '-q', '-m', 'all');
});
afterAll(() => fs.rmSync(base, { recursive: true, force: true }));

const dirty = async (remembering: boolean): Promise<readonly string[]> =>
  (await createGit({ ...options, logger, ...(remembering ? { looks } : {}) }).inspect(at('.'))).dirtyPaths;

test(`a work tree that is looked at again is told as if nothing was known (seed ${seed})`, async () => {
  const random = randomFrom(seed);
  const number = (below: number): number => Math.floor(random() * below);
  const part = (): string => `part-${number(60)}`;
  const file = (): string => `${part()}/inner/a-rather-long-name-of-a-file-${number(50)}`;
  const edits: readonly (() => void)[] = [
    () => write(file(), `${number(10)}\n`),
    () => write(`${part()}/new`, 'new'),
    () => write(`${part()}/inner/ignored`, 'not seen'),
    () => fs.mkdirSync(at(`${part()}/deep/er`), { recursive: true }),
    () => fs.rmSync(at(file()), { force: true }),
    () => fs.rmSync(at(`${part()}/inner`), { recursive: true, force: true }),
    () => fs.appendFileSync(at('.gitignore'), `new\n`),
    () => fs.appendFileSync(at('.git/info/exclude'), `deep\n`),
    () => fs.writeFileSync(at('.git/info/exclude'), ''),
    () => fs.chmodSync(at('.gitignore'), number(2) === 0 ? 0o755 : 0o644),
    () => git('add', '-A'),
    () => git('commit', '-q', '--allow-empty', '-m', 'more'),
    () => git('rm', '-q', '--cached', '--ignore-unmatch', file()),
    () => git('checkout', '-q', '--', '.'),
    () => git('status', '--porcelain'),
  ];
  let clean = 0;
  for (let round = 0; round < 60; round += 1) {
    for (let count = number(3); count >= 0; count -= 1) edits[number(edits.length)]?.();
    if (random() < 0.4) {
      git('add', '-A');
      git('commit', '-q', '--allow-empty', '-m', `round ${round}`);
    }
    const paths = await dirty(false);
    expect(await dirty(true), `round ${round}`).toEqual(paths);
    if (paths.length === 0) clean += 1;
  }
  expect(clean).toBeGreaterThan(5);
}, 120_000);

test('the look at an unchanged work tree is one status, the index of the user stays as it is, and old copies go', async () => {
  git('add', '-A');
  git('commit', '-q', '--allow-empty', '-m', 'clean');
  expect(await dirty(true)).toEqual([]);
  const before = fs.statSync(at('.git/index'), { bigint: true });
  statuses.length = 0;
  expect(await dirty(true)).toEqual([]);
  expect(statuses.filter((command) => command === 'status')).toHaveLength(1);
  expect(fs.statSync(at('.git/index'), { bigint: true })).toMatchObject({ ino: before.ino, mtimeNs: before.mtimeNs });
  expect(fs.readdirSync(looks)).toHaveLength(1);
  expect(fs.readdirSync(at('.git')).filter((name) => /shared|lock/.test(name))).toEqual([]);
});

test('what changes while git takes its notes is later than they are', async () => {
  git('commit', '-q', '--allow-empty', '-m', 'noted');
  write('part-2/inner/noted', 'new');
  git('add', '-A');
  git('commit', '-q', '-m', 'noted');
  const begunMs = Date.now();
  expect(await dirty(true)).toEqual([]);
  const [copy = ''] = fs.readdirSync(looks);
  expect(fs.statSync(join(looks, copy)).mtimeMs).toBeLessThan(begunMs);
  // It has them.
  expect(fs.readFileSync(join(looks, copy), 'latin1')).toContain('UNTR');
});

test('a file that was changed in the moment of the index is seen, however late that is copied', async () => {
  write('part-1/inner/raced', 'one');
  git('add', '-A');
  git('commit', '-q', '-m', 'raced');
  const name = at('part-1/inner/raced');
  const index = fs.statSync(at('.git/index'));
  // As if all of it was within one tick of the clock.
  git('config', 'core.trustctime', 'false');
  fs.utimesSync(name, index.mtime, index.mtime);
  git('update-index', '--refresh');
  fs.utimesSync(at('.git/index'), index.mtime, index.mtime);
  fs.writeFileSync(name, 'two');
  fs.utimesSync(name, index.mtime, index.mtime);
  expect(await dirty(true)).toEqual(['part-1/inner/raced']);
});

test('a copy that is damaged or cannot be made is none', async () => {
  git('add', '-A');
  git('commit', '-q', '--allow-empty', '-m', 'again');
  await dirty(true);
  for (const name of fs.readdirSync(looks)) fs.writeFileSync(join(looks, name), 'no index');
  expect(await dirty(true)).toEqual([]);
  expect(fs.readdirSync(looks)).toEqual([]);
  fs.rmSync(looks, { recursive: true });
  fs.writeFileSync(looks, '');
  expect(await dirty(true)).toEqual([]);
});
