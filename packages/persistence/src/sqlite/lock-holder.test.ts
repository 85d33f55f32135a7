import { expect, test } from 'vitest';
import { holderIn, openersIn } from './lock-holder.ts';

const locks = [
  '1: POSIX  ADVISORY  READ 11 fe:00:77 123 123',
  '2: POSIX  ADVISORY  WRITE 12 fe:00:78 120 120',
  '3: POSIX  ADVISORY  WRITE 13 fe:00:77 121 121',
  '4: POSIX  ADVISORY  WRITE 14 fe:00:77 120 120',
  '4: -> POSIX  ADVISORY  WRITE 15 fe:00:77 120 120',
  '5: POSIX  ADVISORY  READ 21 fe:00:81 128 128',
  '6: POSIX  ADVISORY  READ 21 fe:00:81 123 128',
  '7: POSIX  ADVISORY  READ 9 fe:00:81 128 128',
  '8: POSIX  ADVISORY  READ 0 fe:00:81 128 128',
  '9: POSIX  ADVISORY  READ 22 fe:00:81 124 124',
  '5: FLOCK  ADVISORY  WRITE 16 fe:00:79 0 EOF',
].join('\n');

test.each([
  [77, 14],
  [78, 12],
  [79, 16],
  [80, null],
])('the writer of inode %i is %s', (inode, pid) => {
  expect(holderIn(locks, inode)).toBe(pid);
});

test('who has inode 81 open is named once, and somebody of another container as 0', () => {
  expect(openersIn(locks, 81)).toEqual([0, 9, 21]);
  expect(openersIn(locks, 80)).toEqual([]);
});
