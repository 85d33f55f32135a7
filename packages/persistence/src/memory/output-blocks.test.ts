import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { OutputBlocks } from './output-blocks.ts';

/** Takes now and then, as a writer does that is slower than what comes; what was taken is looked at before the next is. */
function passThrough(chunks: readonly Uint8Array[], everyBytes: number): Buffer {
  const blocks = new OutputBlocks();
  const written: Buffer[] = [];
  let since = 0;
  for (const chunk of chunks) {
    blocks.add(chunk);
    chunk.fill(0);
    since += chunk.byteLength;
    if (since < everyBytes) continue;
    since = 0;
    written.push(Buffer.concat(blocks.take()));
  }
  while (!blocks.isEmpty) written.push(Buffer.concat(blocks.take()));
  return Buffer.concat(written);
}

describe('what waits to be written', () => {
  test.each([1, 100_000, 700_000, 10_000_000])('comes out whole and in order, taken every %i bytes', (everyBytes) => {
    const sizes = [10, 70_000, 1, 262_144, 262_145, 900_000, 3, 65_536, 524_288];
    const chunks = sizes.map((size) => randomBytes(size));
    const expected = Buffer.concat(chunks);
    expect(passThrough(chunks, everyBytes).equals(expected)).toBe(true);
  });

  test('of a long output is in few buffers, which are used again', () => {
    const blocks = new OutputBlocks();
    const buffers = new Set<ArrayBufferLike>();
    for (let round = 0; round < 200; round += 1) {
      blocks.add(new Uint8Array(100_000));
      for (const part of blocks.take()) buffers.add(part.buffer);
    }
    expect(buffers.size).toBeLessThanOrEqual(3);
  });

  test('is nothing after it was dropped', () => {
    const blocks = new OutputBlocks();
    blocks.add(new Uint8Array(100_000));
    blocks.drop();
    expect(blocks.isEmpty).toBe(true);
    expect(blocks.take()).toEqual([]);
  });
});
