import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { isOpencodeToolsError } from '@opencode-tools/core';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createPacer } from '../src/pacer.ts';
import { toBytePath } from '../src/byte-path.ts';
import { emptyStatCache, loadStatCache, type StatCache } from '../src/stat-cache.ts';
import { layoutOf } from '../src/store-files.ts';
import { isKnown } from '../src/known-lines.ts';
import { scanKnown } from '../src/scan-known.ts';
import { openStore } from './open-store.ts';

const usualMs = 6_000;
/** For the first whole scan on a busy machine. */
const longestMs = 45_000;
/** From so few known names on two threads look, as they do at a large directory. */
const few = 1;
let bed: Awaited<ReturnType<typeof openStore>>;
let tree: string;
let swapper: ChildProcess;

/** Exchanges a directory for a link, and back, until it is ended. */
const swapping = `
  const { renameSync, symlinkSync, unlinkSync } = require('node:fs');
  const [part, away, secrets] = process.argv.slice(1);
  for (let round = 0; ; round += 1) {
    renameSync(part, away); symlinkSync(secrets, part);
    for (const end = performance.now() + Math.random(); performance.now() < end;);
    unlinkSync(part); renameSync(away, part);
    for (const end = performance.now() + Math.random(); performance.now() < end;);
    if (round === 0) process.stdout.write('swapping');
  }`;

beforeEach(async () => {
  bed = await openStore();
  tree = join(bed.scratch, 'tree');
  const secrets = join(bed.scratch, 'secrets');
  mkdirSync(join(secrets, 'of-the-host-directory'), { recursive: true });
  mkdirSync(join(tree, 'part/inner'), { recursive: true });
  for (let number = 0; number < 30; number += 1) {
    // Of regular files the content is compared, so that none can be read.
    symlinkSync(`of the host ${number}`, join(secrets, `link-${number}`));
    symlinkSync(`decoy ${number}`, join(tree, `part/link-${number}`));
    mkdirSync(join(secrets, `of-the-host-${number}`));
    mkdirSync(join(tree, `part/inner/${number}`));
  }
  for (let number = 0; number < 20; number += 1) writeFileSync(join(tree, `file-${number}`), '');
  const names = [join(tree, 'part'), join(bed.scratch, 'away'), secrets];
  await bed.store.freeze({ kind: 'directory', path: tree });
  swapper = spawn(process.execPath, ['-e', swapping, ...names], { stdio: ['ignore', 'pipe', 'inherit'] });
  if (swapper.stdout !== null) await once(swapper.stdout, 'data');
});
afterEach(async () => {
  const over = once(swapper, 'exit');
  swapper.kill('SIGKILL');
  await over;
  await bed.close();
});

const known = (): Promise<StatCache> => loadStatCache(layoutOf(bed.directory), toBytePath(tree));

async function namesFrom(cache: StatCache, many: number): Promise<readonly string[] | undefined> {
  try {
    const scanned = await scanKnown(toBytePath(tree), createPacer(undefined), cache, undefined, many);
    return scanned.flatMap((one) => (isKnown(one) ? [] : [one.path, one.target]));
  } catch (error) {
    if (!isOpencodeToolsError(error)) throw error;
    return undefined;
  }
}

/** Names and targets from behind the link that were found, of many scans, and whether any was whole: others show nothing. */
async function found(cache: StatCache, many: number) {
  const begunMs = performance.now();
  for (let round = 1, whole = 0; ; round += 1) {
    const names = await namesFrom(cache, many);
    if (names !== undefined) whole += 1;
    const behind = names?.filter((name) => /of.the.host/.test(name)) ?? [];
    const takenMs = performance.now() - begunMs;
    const isEnough = whole > 0 && ((round >= 600 && whole >= 5) || takenMs > usualMs);
    if (behind.length > 0 || isEnough || takenMs > longestMs) return { behind, sawWhole: whole > 0 };
  }
}

const nothing = { behind: [], sawWhole: true };

test(
  'a directory that another process exchanges for a link gives no name and no target from behind it',
  { timeout: 60_000 },
  async () => {
    expect(await found(emptyStatCache, Infinity)).toEqual(nothing);
  },
);

test('nor does it when most is known', { timeout: 60_000 }, async () => {
  expect(await found(await known(), Infinity)).toEqual(nothing);
});

test.runIf(availableParallelism() > 1)('nor to two threads', { timeout: 60_000 }, async () => {
  expect(await found(await known(), few)).toEqual(nothing);
});
