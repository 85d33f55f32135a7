import { execFileSync, spawn, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type BytePath, toBytePath } from '../src/byte-path.ts';
import { copyFound } from '../src/carry-changes.ts';
import { nodeAt } from '../src/scan-directory.ts';
import { openStore } from './open-store.ts';

const mebibyte = 1024 ** 2;

let bed: Awaited<ReturnType<typeof openStore>>;
let from: BytePath;
let to: BytePath;

beforeEach(async () => {
  bed = await openStore();
  [from, to] = [toBytePath(join(bed.scratch, 'from')), toBytePath(join(bed.scratch, 'to'))];
  for (const directory of [`${from}/part`, to]) fs.mkdirSync(directory, { recursive: true });
  fs.writeFileSync(`${from}/part/file`, 'found', { mode: 0o751 });
});
afterEach(async () => {
  await bed.close();
});

const changed = { code: 'OCT_INVALID_ARGUMENT', message: expect.stringContaining('Changed while') as string };

/** What is put in the place of a file between the look and the copy. */
const exchanges: Readonly<Record<string, (path: string) => void>> = {
  'another file of the same size': (path) => {
    fs.writeFileSync(`${path}-other`, 'other');
    fs.renameSync(`${path}-other`, path);
  },
  'more in it': (path) => fs.appendFileSync(path, ' more'),
  'less in it': (path) => fs.truncateSync(path, 2),
  'a directory': (path) => {
    fs.rmSync(path);
    fs.mkdirSync(path);
  },
};

test('a file is copied as it was found', async () => {
  await copyFound(from, to, nodeAt(from, 'part/file'));
  expect(fs.readFileSync(`${to}/part/file`, 'utf8')).toBe('found');
  const facts = ({ mode, mtimeMs }: fs.Stats) => [mode & 0o777, Math.round(mtimeMs)];
  expect(facts(fs.statSync(`${to}/part/file`))).toEqual(facts(fs.statSync(`${from}/part/file`)));
});

test.each(Object.entries(exchanges))('a file is not copied once it is, or has, %s', async (_, exchange) => {
  const node = nodeAt(from, 'part/file');
  exchange(`${from}/part/file`);
  await expect(copyFound(from, to, node)).rejects.toMatchObject(changed);
  expect(fs.existsSync(`${to}/part/file`)).toBe(false);
});

test('a pipe in the place of a file is not waited for', async () => {
  const node = nodeAt(from, 'part/file');
  fs.rmSync(`${from}/part/file`);
  execFileSync('mkfifo', [`${from}/part/file`]);
  // Whoever waits is let go on, to tell it.
  const writer = spawn('sh', ['-c', 'sleep 3; exec echo planted > "$0"', `${from}/part/file`], { stdio: 'ignore' });
  try {
    await expect(copyFound(from, to, node)).rejects.toMatchObject(changed);
    expect(fs.existsSync(`${to}/part/file`)).toBe(false);
  } finally {
    writer.kill();
  }
});

test('a link is copied as it was found, and never from behind a link in the place of its directory', async () => {
  fs.symlinkSync('own', `${from}/part/link`);
  await copyFound(from, to, nodeAt(from, 'part/link'));
  expect(fs.readlinkSync(`${to}/part/link`)).toBe('own');
  fs.rmSync(`${to}/part`, { recursive: true });
  fs.mkdirSync(`${bed.scratch}/secrets`);
  fs.symlinkSync('of/the/host', `${bed.scratch}/secrets/link`);
  fs.renameSync(`${from}/part`, `${from}/away`);
  fs.symlinkSync(`${bed.scratch}/secrets`, `${from}/part`);
  const found = nodeAt(from, 'part/link');
  await expect(copyFound(from, to, found)).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
  fs.unlinkSync(`${from}/part`);
  fs.renameSync(`${from}/away`, `${from}/part`);
  await expect(copyFound(from, to, found)).rejects.toMatchObject(changed);
  expect(fs.readdirSync(`${to}/part`)).toEqual([]);
});

test('a large file is copied whole, in pieces between which other work goes on and the copy can be cancelled', async () => {
  const bytes = Buffer.from(Array.from({ length: 7 * mebibyte }, (_, at) => at % 251));
  fs.writeFileSync(`${from}/part/file`, bytes);
  await copyFound(from, to, nodeAt(from, 'part/file'));
  expect(fs.readFileSync(`${to}/part/file`).equals(bytes)).toBe(true);
  fs.truncateSync(`${from}/part/file`, 256 * mebibyte);
  const cancelling = new AbortController();
  setImmediate(() => cancelling.abort());
  const another = `${to}/another`;
  fs.mkdirSync(another);
  const copying = copyFound(from, another, nodeAt(from, 'part/file'), cancelling.signal);
  await expect(copying).rejects.toMatchObject({ code: 'OCT_CANCELLED' });
  expect(fs.statSync(`${another}/part/file`).size).toBeLessThan(256 * mebibyte);
});

test('where the copy cannot be made, the store is told of, not the file', async () => {
  const node = nodeAt(from, 'part/file');
  fs.writeFileSync(`${to}/a file`, '');
  const unavailable = { code: 'OCT_STORE_UNAVAILABLE', details: { errno: 'ENOTDIR' } };
  await expect(copyFound(from, `${to}/a file`, node)).rejects.toMatchObject(unavailable);
  fs.mkdirSync(`${to}/part/file`, { recursive: true });
  await expect(copyFound(from, to, node)).rejects.toMatchObject({ code: 'OCT_STORE_UNAVAILABLE' });
});

test('a full disk of the store is told as that', () => {
  const child = fileURLToPath(new URL('full-copy-child.ts', import.meta.url));
  const mount =
    'mount -t tmpfs -o size=1000k,nr_inodes=10 tmpfs "$1" && exec "$2" --conditions=@opencode-tools/source "$3" "$4" "$1"';
  const argv = ['--user', '--map-root-user', '--mount', 'sh', '-c', mount, 'sh', to, process.execPath, child, from];
  const { stdout, stderr } = spawnSync('unshare', argv, { encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(JSON.parse(stdout)).toEqual(Array.from({ length: 3 }, () => 'OCT_RESOURCE_LIMIT'));
});
