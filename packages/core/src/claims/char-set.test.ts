import { describe, expect, test } from 'vitest';
import {
  type CharSet,
  anyCharacter,
  charSet,
  complement,
  exampleOf,
  holds,
  intersect,
  oneCharacter,
  separator,
} from './char-set.ts';

const code = (character: string): number => character.codePointAt(0) ?? 0;
const range = (from: string, to = from): readonly [number, number] => [code(from), code(to)];

describe('a set of characters', () => {
  test('joins ranges that touch or overlap, in order', () => {
    expect(charSet([range('x'), range('c', 'f'), range('a', 'b'), range('e', 'h'), range('d')])).toEqual([
      range('a', 'h'),
      range('x'),
    ]);
    expect(charSet([range('a', 'h'), range('b', 'c')])).toEqual([range('a', 'h')]);
    expect(charSet([range('a'), range('c')])).toEqual([range('a'), range('c')]);
  });

  test('never holds a slash, NUL or surrogate', () => {
    expect(charSet([range('.', '0')])).toEqual([range('.'), range('0')]);
    expect(charSet([[0, 1]])).toEqual([[1, 1]]);
    expect(charSet([[0xd7ff, 0xe000]])).toEqual([
      [0xd7ff, 0xd7ff],
      [0xe000, 0xe000],
    ]);
    expect(charSet([range('/')])).toEqual([]);
    expect([0, code('/'), 0xd800, 0xdfff].map((point) => holds(anyCharacter, point))).toEqual([
      false,
      false,
      false,
      false,
    ]);
    expect([1, code('.'), code('0'), 0xd7ff, 0xe000, 0x10ffff].every((point) => holds(anyCharacter, point))).toBe(true);
  });

  test('and its complement divide what a name can hold', () => {
    for (const set of [charSet([range('a', 'f')]), charSet([[1, 5], range('z')]), anyCharacter, [] as CharSet]) {
      const rest = complement(set);
      expect(intersect(set, rest)).toEqual([]);
      expect(charSet([...set, ...rest])).toEqual(anyCharacter);
    }
  });

  test('meets another in what both hold', () => {
    expect(intersect([range('a', 'f'), range('k', 'p')], [range('e', 'l'), range('p', 'z')])).toEqual([
      range('e', 'f'),
      range('k', 'l'),
      range('p'),
    ]);
    expect(intersect([range('a')], [range('b')])).toEqual([]);
    expect(intersect(separator, anyCharacter)).toEqual([]);
  });

  test('is shown by a letter where it has one', () => {
    expect(exampleOf(anyCharacter)).toBe(code('x'));
    expect(exampleOf([range('B', 'D')])).toBe(code('B'));
    expect(exampleOf([range('~'), range('é')])).toBe(code('~'));
    expect(exampleOf([])).toBeUndefined();
  });

  test('of one character is the same object each time for common ones', () => {
    expect(oneCharacter(97)).toBe(oneCharacter(97));
    expect(oneCharacter(0x1f600)).toEqual([[0x1f600, 0x1f600]]);
  });
});
