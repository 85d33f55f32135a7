import { expect, test } from 'vitest';
import { createPace } from './background-pace.ts';

const mebibyte = 1024 ** 2;

test('the pause grows while little comes, is the shortest again after some, and none after much', () => {
  const pace = createPace({ shortestMs: 50, longestMs: 300, growth: 2 });
  const came = [0, 0, 80, 0, 32 * 1024, 80, mebibyte, 0, 80, 16 * 1024];
  let kept = 0;
  expect(came.map((bytes) => pace((kept += bytes)))).toEqual([50, 100, 200, 300, 50, 100, 0, 50, 100, 50]);
});
