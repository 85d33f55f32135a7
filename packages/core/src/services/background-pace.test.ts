import { expect, test } from 'vitest';
import { createPace } from './background-pace.ts';

const mebibyte = 1024 ** 2;

test('the pause grows while nothing comes, is the shortest again after any bytes, and none after many', () => {
  const pace = createPace({ shortestMs: 50, longestMs: 300, growth: 2 });
  const kept = [0, 0, 0, 0, 1, 1, 1 + mebibyte, 1 + mebibyte, 1 + mebibyte, 2 + mebibyte];
  expect(kept.map(pace)).toEqual([50, 100, 200, 300, 50, 100, 0, 50, 100, 50]);
});
