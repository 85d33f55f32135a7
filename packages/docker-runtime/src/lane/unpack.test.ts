import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { unpack } from './unpack.ts';

const text = (packed: readonly number[], bytes: number): string => {
  const into = Buffer.alloc(bytes, '-');
  unpack(Buffer.from(packed), into);
  return into.toString('latin1');
};
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
      const into = new Uint8Array(packed.readUInt16LE(0) % 200);
      try {
        unpack(packed.subarray(2), into);
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError);
      }
    }
  });
});
