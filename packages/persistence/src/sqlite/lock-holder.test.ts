import { expect, test } from 'vitest';
import { holderIn } from './lock-holder.ts';

const locks = [
  '1: POSIX  ADVISORY  READ 11 fe:00:77 123 123',
  '2: POSIX  ADVISORY  WRITE 12 fe:00:78 120 120',
  '3: POSIX  ADVISORY  WRITE 13 fe:00:77 121 121',
  '4: POSIX  ADVISORY  WRITE 14 fe:00:77 120 120',
  '4: -> POSIX  ADVISORY  WRITE 15 fe:00:77 120 120',
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
