import { createHash } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createUnpacking } from './unpack.ts';

const unpacking = createUnpacking();
const unpack = (packed: Uint8Array, bytes: number): Buffer => {
  unpacking.packed.set(packed);
  return unpacking.unpack(packed.length, bytes);
};
const text = (packed: readonly number[], bytes: number): string =>
  unpack(Buffer.from(packed), bytes).toString('latin1');
const codes = (of: string): number[] => [...Buffer.from(of, 'latin1')];

describe('a packed block', () => {
  test('gives bytes that are as they were', () => {
    expect(text([0x30, ...codes('abc')], 3)).toBe('abc');
    expect(text([0xf0, 255, 30, ...codes('x'.repeat(300))], 300)).toBe('x'.repeat(300));
  });

  test.each([
    [1, 4],
    [1, 5_000],
    [2, 47],
    [3, 48],
    [3, 49],
    [5, 1_000],
    [7, 18],
    [7, 19],
    [7, 94],
    [7, 95],
    [7, 96],
    [4, 97],
    [7, 273],
  ])('gives what began %i bytes before again, %i bytes long', (back, again) => {
    const [rest, more] = [again - 4, again - 4 - 15];
    const lengths = more < 0 ? [] : [...Array.from({ length: Math.floor(more / 255) }, () => 255), more % 255];
    const packed = [0x70 | Math.min(15, rest), ...codes('abcdefg'), back, 0, ...lengths, 0x10, ...codes('!')];
    const expected = 'abcdefg'
      .slice(7 - back)
      .repeat(again)
      .slice(0, again);
    expect(text(packed, 8 + again)).toBe(`abcdefg${expected}!`);
  });

  test.each([
    ['nothing', [], 3],
    ['fewer bytes than it says', [0x40, ...codes('abc')], 4],
    ['more bytes than there is room for', [0x30, ...codes('abc')], 2],
    ['fewer bytes than there is room for', [0x30, ...codes('abc')], 4],
    ['bytes from before its beginning', [0x31, ...codes('abc'), 4, 0, 0x10, 33], 9],
    ['bytes from nowhere', [0x31, ...codes('abc'), 0, 0, 0x10, 33], 9],
    ['a repetition that has no room', [0x3f, ...codes('abc'), 3, 0, 200, 0x10, 33], 20],
    ['a distance that is cut off', [0x31, ...codes('abc'), 3], 20],
    ['a length that is cut off', [0xf0, 255, 255], 9_000],
  ])('is refused with %s', (_what, packed, bytes) => {
    expect(() => text(packed, bytes)).toThrow(RangeError);
  });

  test('of any bytes gives as much as it is to give, or is refused', () => {
    for (let round = 0; round < 20_000; round += 1) {
      const packed = createHash('sha256').update(`${round}`).digest();
      const bytes = packed.readUInt16LE(0) % 200;
      try {
        expect(unpack(packed.subarray(2), bytes).length).toBe(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError);
      }
    }
  });

  test('gives what any literals and repetitions make, and is refused cut anywhere', () => {
    fc.assert(
      fc.property(
        fc.array(sequence, { minLength: 1, maxLength: 30 }),
        fc.uint8Array({ maxLength: 300 }),
        (parts, last) => {
          const { packed, plain } = packedBy(parts, last);
          expect(unpack(packed, plain.length).equals(plain)).toBe(true);
          for (let end = 0; end < packed.length; end += 1) {
            expect(() => unpack(packed.subarray(0, end), plain.length)).toThrow(RangeError);
          }
          expect(() => unpack(packed, plain.length + 1)).toThrow(RangeError);
          if (plain.length > 0) expect(() => unpack(packed, plain.length - 1)).toThrow(RangeError);
        },
      ),
    );
  });

  test('with any byte changed gives as much, or is refused', () => {
    const parts = fc.array(sequence, { minLength: 1, maxLength: 10 });
    fc.assert(
      fc.property(parts, fc.nat(), fc.integer({ min: 0, max: 255 }), (given, at, byte) => {
        const { packed, plain } = packedBy(given, Buffer.from('the end'));
        packed[at % packed.length] = byte;
        try {
          expect(unpack(packed, plain.length).length).toBe(plain.length);
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError);
        }
      }),
    );
  });
});

interface Sequence {
  readonly plain: Uint8Array;
  /** Brought into the range of what is there. */
  readonly back: number;
  readonly again: number;
}

const sequence: fc.Arbitrary<Sequence> = fc.record({
  plain: fc.uint8Array({ minLength: 1, maxLength: 150, size: 'max' }),
  back: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 20_000 })),
  again: fc.oneof(fc.integer({ min: 4, max: 40 }), fc.integer({ min: 4, max: 1_000 })),
});

/** Written down a byte at a time, as the block format has it. */
function packedBy(parts: readonly Sequence[], last: Uint8Array): { readonly packed: Buffer; readonly plain: Buffer } {
  const packed: number[] = [];
  const plain: number[] = [];
  for (const part of parts) {
    plain.push(...part.plain);
    const back = 1 + ((part.back - 1) % plain.length);
    packed.push((Math.min(15, part.plain.length) << 4) | Math.min(15, part.again - 4), ...more(part.plain.length));
    packed.push(...part.plain, back & 255, back >> 8, ...more(part.again - 4));
    for (let count = 0; count < part.again; count += 1) plain.push(plain[plain.length - back] ?? 0);
  }
  packed.push(Math.min(15, last.length) << 4, ...more(last.length), ...last);
  return { packed: Buffer.from(packed), plain: Buffer.from([...plain, ...last]) };
}

function more(length: number): number[] {
  if (length < 15) return [];
  return [...Array.from({ length: Math.floor((length - 15) / 255) }, () => 255), (length - 15) % 255];
}
