import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { LayerFiles } from './layer-files.ts';

let directory: string;
let files: LayerFiles;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'oct-marks-'));
  files = new LayerFiles(directory);
});
afterEach(() => rm(directory, { recursive: true, force: true }));

test('of many who want a spare each gets another one, and some none', async () => {
  await files.spares.add('g', ['a', 'b', 'c']);
  const others = Array.from({ length: 8 }, () => new LayerFiles(directory).spares.take('g'));
  const taken = (await Promise.all(others)).map(({ name }) => name).filter((name) => name !== undefined);
  expect(taken.toSorted()).toEqual(['a', 'b', 'c']);
  expect(await files.spares.list()).toEqual([]);
  expect(await files.marks.listUnderWay()).toEqual(['a', 'b', 'c']);
});

test('a spare that somebody took and is done with is not given again', async () => {
  await files.spares.add('g', ['a']);
  await files.marks.done([(await files.spares.take('g')).name ?? '']);
  expect(await files.spares.take('g')).toEqual({ name: undefined, left: 0 });
  expect(await files.marks.list()).toEqual([]);
});

test('what a dead process was at work on is known, and not under way', async () => {
  await files.marks.begin(['mine']);
  const { pid } = spawnSync('true');
  await writeFile(join(directory, 'making', 'left'), String(pid));
  expect(await files.marks.list()).toEqual([
    { name: 'left', pid },
    { name: 'mine', pid: process.pid },
  ]);
  expect(await files.marks.listUnderWay()).toEqual(['mine']);
});

test('who wants to work waits for the one who is alone, and is seen by the next', async () => {
  const order: string[] = [];
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  const alone = files.marks.alone(async () => {
    begin();
    await ended;
    order.push('alone');
    return true;
  });
  await begun;
  const working = new LayerFiles(directory).marks.atWork(async () => {
    order.push('at work');
    return files.marks.alone(async () => (await files.marks.listUnderWay()).length === 0);
  });
  expect(await new LayerFiles(directory).marks.alone(async () => true)).toBe(false);
  end();
  expect(await alone).toBe(true);
  expect(await working).toBe(false);
  expect(order).toEqual(['alone', 'at work']);
  expect(await files.marks.listUnderWay()).toEqual([]);
});

test('who died while it was alone stands in nobody’s way', async () => {
  await files.marks.begin([]);
  await writeFile(join(directory, 'only'), String(spawnSync('true').pid));
  expect(await files.marks.atWork(async () => 'worked')).toBe('worked');
  expect(await files.marks.alone(async () => true)).toBe(true);
});
