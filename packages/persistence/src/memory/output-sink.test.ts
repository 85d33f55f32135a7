import { spawnSync } from 'node:child_process';
import { hash, randomBytes } from 'node:crypto';
import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DigestThread } from './digest-thread.ts';
import { NewFile } from './new-file.ts';
import { FileOutputSink } from './output-sink.ts';

const pieceBytes = 300_000;
let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'oct-output-sink-'));
});

afterAll(async () => {
  await rm(directory, { recursive: true });
});

/** Writes pieces as a command puts them out, in memory that is used again for each. */
async function fill(sink: FileOutputSink, pieces: readonly Uint8Array[]): Promise<void> {
  const lent = new Uint8Array(pieceBytes);
  for (const piece of pieces) {
    lent.set(piece);
    sink.write(lent.subarray(0, piece.byteLength));
    await sink.drained();
  }
}

function randomPieces(count: number): readonly Uint8Array[] {
  return Array.from({ length: count }, () => randomBytes(pieceBytes));
}

describe('the digest of an output is that of its bytes', () => {
  test.each([
    ['an empty one', 0],
    ['a short one', 2],
    ['one that just needs another thread', 28],
    ['a long one', 100],
  ])('%s', async (name, count) => {
    const pieces = randomPieces(count);
    const path = join(directory, name);
    const sink = new FileOutputSink(new NewFile(path));
    await fill(sink, pieces);
    const all = Buffer.concat(pieces);
    await expect(sink.close()).resolves.toEqual({ bytes: all.byteLength, digest: hash('sha256', all) });
    if (count > 0) expect((await readFile(path)).equals(all)).toBe(true);
  });

  test('of many at once', async () => {
    const outputs = Array.from({ length: 5 }, (_none, index) => randomPieces(30 + index));
    const summaries = outputs.map(async (pieces, index) => {
      const sink = new FileOutputSink(new NewFile(join(directory, `many-${index}`)));
      await fill(sink, pieces);
      return (await sink.close()).digest;
    });
    const digests = outputs.map((pieces) => hash('sha256', Buffer.concat(pieces)));
    await expect(Promise.all(summaries)).resolves.toEqual(digests);
  });

  test('when there can be no other thread', async () => {
    const pieces = randomPieces(40);
    const follow = () => {
      throw new Error('no threads here');
    };
    const sink = new FileOutputSink(new NewFile(join(directory, 'alone')), { follow });
    await fill(sink, pieces);
    expect((await sink.close()).digest).toBe(hash('sha256', Buffer.concat(pieces)));
  });

  test('when the other thread fails', async () => {
    const pieces = randomPieces(40);
    const thread = { follow: () => ({ grown: () => undefined, end: () => Promise.reject(new Error('gone')) }) };
    const sink = new FileOutputSink(new NewFile(join(directory, 'failed')), thread);
    await fill(sink, pieces);
    expect((await sink.close()).digest).toBe(hash('sha256', Buffer.concat(pieces)));
  });
});

test('a file that is shorter than it should be has no digest', async () => {
  const path = join(directory, 'shorter');
  await using file = await open(path, 'w+');
  await file.write('seven..');
  const followed = new DigestThread().follow(file.fd);
  followed.grown(7);
  await expect(followed.end(8)).rejects.toThrow('ends after 7 of 8 bytes');
});

test('a process ends that has a file followed to no end', () => {
  const text = `
    import { openSync } from 'node:fs';
    import { DigestThread } from ${JSON.stringify(join(import.meta.dirname, 'digest-thread.ts'))};
    const thread = new DigestThread();
    const [one, other] = [1, 2].map(() => thread.follow(openSync(process.execPath, 'r')));
    other.grown(1);
    console.log((await one.end(1)).length);`;
  const { status, stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', text], { timeout: 20_000 });
  expect({ status, stdout: String(stdout) }).toEqual({ status: 0, stdout: '64\n' });
});
