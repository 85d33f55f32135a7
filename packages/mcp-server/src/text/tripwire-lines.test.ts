import { expect, test } from 'vitest';
import { tripwireLines } from './tripwire-lines.ts';

const told = (paths: readonly string[], total = paths.length) => ({
  tripwires: {
    checked: true,
    reason: null,
    found: paths.map((path) => ({ path, rule: 'build', why: 'builds run it' }) as const),
    total,
  },
});

test('a command that tripped nothing has no line', () => {
  expect(tripwireLines({})).toEqual([]);
});

test('tripwires are one line, with their rules and how many more there are', () => {
  expect(tripwireLines(told(['Makefile', 'a\nb.mk'], 5))).toEqual([
    "Tripwires, changes on the user's machine that may run there or steer agents: Makefile (build), a?b.mk (build) and 3 more",
  ]);
});

test('the line fits beside the longest output, however many and long the paths are', () => {
  const [line = ''] = tripwireLines(told(Array.from({ length: 50 }, () => '語'.repeat(4_000))));
  expect(Buffer.byteLength(line)).toBeLessThan(3_000);
});

test('a workspace that could not be looked at is said to be one', () => {
  const tripwires = { checked: false, reason: 'it is gone', found: [], total: 0 };
  expect(tripwireLines({ tripwires })).toEqual(['Not looked at for tripwires: it is gone']);
});
