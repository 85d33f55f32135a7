import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type OperationId, createIds, silentLogger, systemClock } from '@opencode-tools/core';
import { describeTree, testSeed } from '@opencode-tools/testkit';
import { expect, test } from 'vitest';
import { createWork } from '../src/index.ts';
import { git, openStore } from './open-store.ts';

const child = fileURLToPath(new URL('apply-child.ts', import.meta.url));
const soak = process.env['OPENCODE_TOOLS_SOAK'] === '1';
/** Every step in a soak; otherwise some, by the seed. */
const stride = soak ? 1 : 9;
const seed = testSeed();
console.info(`crash tests of apply: OPENCODE_TOOLS_SEED=${seed}`);

function plant(root: string): void {
  for (const directory of ['src/deep', 'gone/deep', 'becomes-file/in'])
    fs.mkdirSync(join(root, directory), { recursive: true });
  for (const name of ['src/a', 'src/deep/b', 'gone/deep/c', 'becomes-file/in/d', 'becomes-directory', 'both', 'stays'])
    fs.writeFileSync(join(root, name), `${name}\n`);
  fs.writeFileSync(join(root, 'both'), Array.from({ length: 20 }, (_, line) => `${line}\n`).join(''));
  fs.symlinkSync('stays', join(root, 'link'));
}

function change(root: string): void {
  fs.writeFileSync(join(root, 'src/a'), 'theirs\n');
  fs.chmodSync(join(root, 'src/deep/b'), 0o644);
  for (const name of ['gone', 'becomes-file', 'becomes-directory', 'link'])
    fs.rmSync(join(root, name), { recursive: true });
  fs.writeFileSync(join(root, 'becomes-file'), 'a file now\n');
  fs.mkdirSync(join(root, 'becomes-directory/new/deep'), { recursive: true });
  fs.writeFileSync(join(root, 'becomes-directory/new/deep/e'), 'e\n');
  fs.symlinkSync('src', join(root, 'link'));
  fs.writeFileSync(join(root, 'both'), fs.readFileSync(join(root, 'both'), 'utf8').replace('18\n', 'theirs\n'));
}

/** What the user did meanwhile and has not committed. */
function own(root: string): void {
  fs.writeFileSync(join(root, 'stays'), 'mine\n');
  fs.writeFileSync(join(root, 'src/untracked'), 'mine\n');
  fs.writeFileSync(join(root, 'both'), fs.readFileSync(join(root, 'both'), 'utf8').replace('2\n', 'mine\n'));
}

const filesOf = (directory: string): readonly string[] =>
  describeTree(directory)
    .filter((line) => !line.includes(' "" ') && !line.endsWith(' ""'))
    .map((line) => line.replace(/ \d+:\d+ \d+/, ''));

async function openBed() {
  const { store, directory, scratch, close } = await openStore();
  const [base, theirs, before, after] = ['base', 'theirs', 'before', 'after'].map((name) => join(scratch, name)) as [
    string,
    string,
    string,
    string,
  ];
  for (const root of [base, theirs, before]) plant(root);
  change(theirs);
  own(before);
  const [from, to] = [
    await store.freeze({ kind: 'directory', path: base }),
    await store.freeze({ kind: 'directory', path: theirs }),
  ];
  const work = createWork({ environment: process.env, directory, git, logger: silentLogger });
  const ids = createIds(systemClock);
  const fresh = (name: string): string => {
    const root = join(scratch, name);
    fs.cpSync(before, root, { recursive: true, verbatimSymlinks: true });
    return root;
  };
  const apply = async (root: string) =>
    work.apply({
      directory: root,
      fromId: from.id,
      toId: to.id,
      accept: [],
      threeWay: true,
      operationId: ids.next('operation'),
    });
  fresh('after');
  expect(filesOf(before).length).toBeGreaterThan(12);
  expect(await apply(after)).toMatchObject({ applied: true, merged: ['both'] });
  /** @returns how many steps there were, or undefined when it was killed before its end */
  const inChild = (root: string, operation: OperationId, verb: string, step: number): number | undefined => {
    const argv = ['--conditions=@opencode-tools/source', child, directory, root, from.id, to.id];
    const ended = spawnSync(process.execPath, [...argv, operation, verb, String(step)], { encoding: 'utf8' });
    if (ended.signal === 'SIGKILL') return undefined;
    expect(ended).toMatchObject({ status: 0 });
    return Number(ended.stdout);
  };
  return {
    work,
    scratch,
    fresh,
    apply,
    inChild,
    close,
    old: filesOf(before),
    new: filesOf(after),
    next: () => ids.next('operation'),
  };
}

test(`work that a kill broke off is in the directory whole or not at all, once it is settled (seed ${seed})`, async () => {
  const bed = await openBed();
  try {
    expect(fs.readFileSync(join(bed.scratch, 'after/both'), 'utf8')).toMatch(/mine\n[^]*theirs\n/);
    const steps = bed.inChild(bed.fresh('counted'), bed.next(), 'apply', 0) ?? 0;
    expect(steps).toBeGreaterThan(60);
    const seen = new Set<string>();
    for (let step = 1 + (seed % stride); step <= steps; step += stride) {
      const root = bed.fresh(`killed-${step}`);
      const operation = bed.next();
      expect(bed.inChild(root, operation, 'apply', step)).toBeUndefined();
      // Whoever settles it may be killed as well.
      bed.inChild(root, operation, 'settle', 1 + ((seed + step * 7) % 12));
      const { outcome, left } = await bed.work.settle(operation);
      seen.add(outcome);
      expect(left).toEqual([]);
      const now = filesOf(root);
      if (outcome === 'finished') expect(now).toEqual(bed.new);
      else expect(now).toEqual(bed.old);
      await bed.work.settle(operation);
      expect(filesOf(root)).toEqual(now);
      await bed.work.forget(operation);
      expect(await bed.apply(root)).toMatchObject({ applied: true });
      expect(filesOf(root)).toEqual(bed.new);
    }
    expect(seen.size).toBeGreaterThan(1);
  } finally {
    await bed.close();
  }
}, 600_000);

test('what somebody changed after the kill stays, and what was there before is kept beside it', async () => {
  const bed = await openBed();
  try {
    const [root, operation] = [join(bed.scratch, 'killed'), bed.next()];
    almostDone(bed, root, operation);
    fs.writeFileSync(join(root, 'src/a'), 'since then\n');
    const { outcome, left, saved } = await bed.work.settle(operation);
    expect({ outcome, left }).toEqual({ outcome: 'undone', left: ['src/a'] });
    expect(fs.readdirSync(saved ?? '').map((name) => fs.readFileSync(join(saved ?? '', name), 'utf8'))).toEqual([
      'src/a\n',
    ]);
    expect(await bed.work.settle(operation)).toEqual({ outcome, left, saved });
    expect(fs.readFileSync(join(root, 'src/a'), 'utf8')).toBe('since then\n');
    expect(fs.existsSync(join(root, 'gone/deep/c'))).toBe(true);
  } finally {
    await bed.close();
  }
}, 60_000);

/** Kills at the last step that leaves all to be undone. */
function almostDone(bed: Awaited<ReturnType<typeof openBed>>, root: string, operation: OperationId): void {
  const steps = bed.inChild(bed.fresh('counted'), bed.next(), 'apply', 0) ?? 0;
  for (let step = steps; ; step -= 1) {
    fs.rmSync(root, { recursive: true, force: true });
    bed.fresh('killed');
    bed.inChild(root, operation, 'apply', step);
    const { done } = JSON.parse(fs.readFileSync(journalIn(bed.scratch, operation), 'utf8')) as { done: boolean };
    if (!done) return;
  }
}

test('a directory that somebody removed after the kill stays removed, and what was in it is kept beside it', async () => {
  const bed = await openBed();
  try {
    const [root, operation] = [join(bed.scratch, 'killed'), bed.next()];
    almostDone(bed, root, operation);
    fs.rmSync(join(root, 'src'), { recursive: true });
    const { outcome, left, saved } = await bed.work.settle(operation);
    expect({ outcome, left }).toEqual({ outcome: 'undone', left: ['src/a'] });
    expect(fs.readdirSync(saved ?? '').map((name) => fs.readFileSync(join(saved ?? '', name), 'utf8'))).toEqual([
      'src/a\n',
    ]);
    expect(fs.existsSync(join(root, 'gone/deep/c'))).toBe(true);
    fs.rmSync(root, { recursive: true });
    expect(await bed.work.settle(operation)).toMatchObject({ outcome: 'none' });
  } finally {
    await bed.close();
  }
}, 60_000);

function journalIn(scratch: string, operation: OperationId): string {
  return join(scratch, '..', 'home', 'store', 'works', `${operation}.json`);
}
