import { execFileSync } from 'node:child_process';
import { mkdirSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { isOpencodeToolsError, silentLogger } from '@opencode-tools/core';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type BytePath, toBytePath } from '../src/byte-path.ts';
import { BlobIndex } from '../src/blob-index.ts';
import { noFollow, openUnfollowed, readUnfollowed } from '../src/open-unfollowed.ts';
import { PackWriter } from '../src/pack-writer.ts';
import { createPacer } from '../src/pacer.ts';
import { type DiskNode, nodeAt } from '../src/scan-directory.ts';
import { createLayout, layoutOf } from '../src/store-files.ts';
import { ThreadedReader } from '../src/threaded-reader.ts';
import { openStore } from './open-store.ts';

const elsewhere = { code: 'OCT_INVALID_ARGUMENT', message: expect.stringContaining('was replaced') as string };
/** On a busy machine fewer rounds are made. */
const longestMs = 20_000;
let bed: Awaited<ReturnType<typeof openStore>>;
let tree: string;
let secrets: string;
let root: BytePath;

beforeEach(async () => {
  bed = await openStore();
  [tree, secrets] = [join(bed.scratch, 'tree'), join(bed.scratch, 'secrets')];
  root = toBytePath(tree);
  for (const directory of [join(tree, 'part'), secrets]) mkdirSync(directory, { recursive: true });
  writeFileSync(join(tree, 'part/key'), 'decoy');
  writeFileSync(join(secrets, 'key'), 'of the host');
});
afterEach(async () => {
  await bed.close();
});

function swap(): void {
  renameSync(join(tree, 'part'), join(tree, 'away'));
  symlinkSync(secrets, join(tree, 'part'));
}

function swapBack(): void {
  unlinkSync(join(tree, 'part'));
  renameSync(join(tree, 'away'), join(tree, 'part'));
}

test('a file below a link in the place of a directory is not opened', () => {
  expect(readUnfollowed(`${root}/part/key`).toString()).toBe('decoy');
  swap();
  expect(() => openUnfollowed(`${root}/part/key`)).toThrow(expect.objectContaining(elsewhere));
});

test.runIf(availableParallelism() > 1)(
  'threads read what was found through a link neither there nor in its place',
  async () => {
    const own = nodeAt(root, 'part/key');
    const readOf = async (node: DiskNode) => {
      const layout = layoutOf(bed.directory);
      await createLayout(layout);
      const pack = new PackWriter(layout);
      const work = { index: new BlobIndex(layout, silentLogger), pack, pacer: createPacer(undefined) };
      await using reader = new ThreadedReader(root, noFollow, work, { files: 1, bytes: Infinity });
      reader.offer(node);
      const read = await reader.finish();
      await pack.discard();
      return read.has(node);
    };
    expect(await readOf(own)).toBe(true);
    swap();
    const found = nodeAt(root, 'part/key');
    expect(await readOf(found)).toBe(false);
    swapBack();
    expect(await readOf(found)).toBe(false);
    expect(await readOf(own)).toBe(true);
  },
);

test(
  'a directory that is exchanged for a link all the time gives nothing of what lies behind',
  { timeout: 180_000 },
  async () => {
    const until = performance.now() + longestMs;
    for (let number = 0; number < 50; number += 1) writeFileSync(join(tree, `part/file-${number}`), `decoy ${number}`);
    for (let number = 0; number < 50; number += 1)
      writeFileSync(join(secrets, `file-${number}`), `of the host ${number}`);
    const swapping = `
    const { renameSync, symlinkSync, unlinkSync } = require('node:fs');
    const { part, away, secrets } = require('node:worker_threads').workerData;
    for (;;) {
      renameSync(part, away); symlinkSync(secrets, part);
      for (const end = performance.now() + Math.random(); performance.now() < end;);
      unlinkSync(part); renameSync(away, part);
      for (const end = performance.now() + Math.random(); performance.now() < end;);
    }`;
    const workerData = { part: join(tree, 'part'), away: join(tree, 'away'), secrets };
    const swapper = new Worker(swapping, { eval: true, workerData });
    try {
      for (let round = 0; round < 300 && performance.now() < until; round += 1) {
        const frozen = await bed.store.freeze({ kind: 'directory', path: tree }).catch((error: unknown) => {
          if (!isOpencodeToolsError(error)) throw error;
          return undefined;
        });
        if (frozen === undefined) continue;
        const copy = join(bed.scratch, `copy-${round}`);
        mkdirSync(copy);
        await bed.store.restoreDirectory(copy, frozen.id);
        const found = execFileSync('sh', ['-c', 'grep -rl "of the host" "$0" || true', copy]).toString();
        expect(found).toBe('');
        rmSync(copy, { recursive: true });
      }
    } finally {
      await swapper.terminate();
    }
  },
);
