import { expect, test } from 'vitest';
import { allot } from './allot.ts';

const due = (size: number, wanted: readonly string[], held: readonly string[] = []) =>
  Object.fromEntries(allot(size, wanted, held).map(({ key, missing, surplus }) => [key, missing - surplus]));

test('a pool of no size keeps nothing', () => {
  expect(due(0, ['a'], ['a'])).toEqual({ a: -1 });
});

test('every kind has one, and the one asked for last has the rest', () => {
  expect(due(4, ['a', 'b'])).toEqual({ a: 3, b: 1 });
});

test('kinds beyond the size are served no more', () => {
  expect(due(2, ['a', 'b', 'c'], ['c', 'c'])).toEqual({ a: 1, b: 1, c: -2 });
});

test('what is ready is neither made again nor removed', () => {
  expect(due(3, ['a', 'b'], ['a', 'a', 'b'])).toEqual({ a: 0, b: 0 });
});
