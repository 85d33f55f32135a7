import { execFileSync, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type BytePath, toBytePath } from '../src/byte-path.ts';
import { copyFound } from '../src/carry-changes.ts';
import { nodeAt } from '../src/scan-directory.ts';
import { openStore } from './open-store.ts';

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
  await expect((async () => copyFound(from, to, node))()).rejects.toMatchObject(changed);
  expect(fs.existsSync(`${to}/part/file`)).toBe(false);
});

test('a pipe in the place of a file is not waited for', async () => {
  const node = nodeAt(from, 'part/file');
  fs.rmSync(`${from}/part/file`);
  execFileSync('mkfifo', [`${from}/part/file`]);
  // Whoever waits is let go on, to tell it.
  const writer = spawn('sh', ['-c', 'sleep 3; exec echo planted > "$0"', `${from}/part/file`], { stdio: 'ignore' });
  try {
    await expect((async () => copyFound(from, to, node))()).rejects.toMatchObject(changed);
    expect(fs.existsSync(`${to}/part/file`)).toBe(false);
  } finally {
    writer.kill();
  }
});
