import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PreviewCollector } from './output-preview.ts';

const limit = fc.integer({ min: 2, max: 40 });
const cuts = fc.infiniteStream(fc.integer({ min: 0, max: 9 }));
const validText = fc.string({ unit: fc.constantFrom('a', '\n', 'é', '€', '😀', '\u{10ffff}', 'z'), maxLength: 60 });

/** Feeds the bytes in chunks of the given sizes, through one buffer that is overwritten after each call. */
function collect(bytes: Uint8Array, limitBytes: number, sizes: Iterator<number>) {
  const collector = new PreviewCollector(limitBytes);
  const reused = Buffer.alloc(9);
  for (let at = 0; at < bytes.length;) {
    const size = sizes.next().value as number;
    const part = bytes.subarray(at, at + size);
    reused.set(part);
    collector.add(reused.subarray(0, part.length));
    reused.fill(0x21);
    at += size;
  }
  return collector.preview();
}

/** The longest run of whole characters from the given end that fits. */
function fitting(characters: readonly string[], maxBytes: number): string[] {
  const kept: string[] = [];
  let bytes = 0;
  for (const character of characters) {
    bytes += Buffer.byteLength(character);
    if (bytes > maxBytes) break;
    kept.push(character);
  }
  return kept;
}

function model(text: string, limitBytes: number) {
  const totalBytes = Buffer.byteLength(text);
  if (totalBytes <= limitBytes) return { text, totalBytes, truncated: false };
  const half = Math.floor(limitBytes / 2);
  const head = fitting(Array.from(text), half).join('');
  const tail = fitting(Array.from(text).toReversed(), half).toReversed().join('');
  const left = totalBytes - Buffer.byteLength(head) - Buffer.byteLength(tail);
  return { text: `${head}\n… ${left} of ${totalBytes} bytes left out …\n${tail}`, totalBytes, truncated: true };
}

describe('PreviewCollector', () => {
  test('shows what a look at the whole output would, whatever the chunks, and splits no character', () => {
    fc.assert(
      fc.property(validText, limit, cuts, (text, limitBytes, sizes) => {
        expect(collect(Buffer.from(text), limitBytes, sizes)).toEqual(model(text, limitBytes));
      }),
      { numRuns: 2_000 },
    );
  });

  test('counts every byte and keeps head and tail of an output that is no text', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), limit, cuts, (bytes, limitBytes, sizes) => {
        const { text, totalBytes, truncated } = collect(bytes, limitBytes, sizes);
        const whole = Buffer.from(bytes);
        expect({ totalBytes, truncated }).toEqual({ totalBytes: bytes.length, truncated: bytes.length > limitBytes });
        if (!truncated) {
          expect(text).toBe(whole.toString('utf8'));
          return;
        }
        const half = Math.floor(limitBytes / 2);
        const heads = [0, 1, 2, 3].map((cut) => whole.subarray(0, Math.max(0, half - cut)));
        const tails = [0, 1, 2, 3].map((cut) => whole.subarray(Math.min(whole.length, whole.length - half + cut)));
        const accepted = heads.flatMap((head) =>
          tails.map((tail) => {
            const left = bytes.length - head.length - tail.length;
            return `${head.toString('utf8')}\n… ${left} of ${bytes.length} bytes left out …\n${tail.toString('utf8')}`;
          }),
        );
        expect(accepted).toContain(text);
      }),
    );
  });

  test('shows an output of exactly the limit whole, and cuts one byte more', () => {
    const collector = new PreviewCollector(8);
    collector.add(Buffer.from('12345678'));
    expect(collector.preview()).toEqual({ text: '12345678', totalBytes: 8, truncated: false });
    collector.add(Buffer.from('9'));
    expect(collector.preview()).toEqual({
      text: '1234\n… 1 of 9 bytes left out …\n6789',
      totalBytes: 9,
      truncated: true,
    });
  });

  test('shows nothing for no output', () => {
    expect(new PreviewCollector(64).preview()).toEqual({ text: '', totalBytes: 0, truncated: false });
  });

  test.each([
    ['one byte', 1, 3 * 1024 ** 2],
    ['64 KiB', 64 * 1024, 64 * 1024 ** 2],
  ])('holds no more than twice the limit after chunks of %s', (_name, size, total) => {
    const limitBytes = 1024 ** 2;
    const chunk = new Uint8Array(size).fill(0x61);
    const before = usedBytes();
    const collector = new PreviewCollector(limitBytes);
    for (let sent = 0; sent < total; sent += size) collector.add(chunk);
    const held = usedBytes() - before;
    expect(collector.preview().totalBytes).toBe(total);
    expect(held).toBeLessThan(3 * limitBytes);
  });
});

function usedBytes(): number {
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc') as () => void;
  collectGarbage();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
