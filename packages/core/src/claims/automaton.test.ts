import { expect, test } from 'vitest';
import { compileGlob } from './automaton.ts';
import { parseGlob } from './parse-glob.ts';

const states = (glob: string): number => compileGlob(parseGlob(glob)).states;

test.each([
  ['a', 3],
  ['abc', 5],
  ['a/b', 5],
  ['?', 3],
  ['*', 5],
  ['a*b', 7],
  ['{a,b}', 7],
  ['**', 7],
])('the automaton of %s has %d states', (glob, expected) => {
  expect(states(glob)).toBe(expected);
});

test('an automaton grows with the length of its glob, not with what it could be spelled out to', () => {
  expect(states('{a,b}'.repeat(50))).toBeLessThanOrEqual(3 * 250);
  expect(states('**/a/'.repeat(50))).toBeLessThanOrEqual(3 * 250);
  expect(states('*a'.repeat(128))).toBeLessThanOrEqual(3 * 256);
});
