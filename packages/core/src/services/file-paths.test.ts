import { expect, test } from 'vitest';
import { taskWith } from '../../test/task.ts';
import { sandboxPath } from './file-paths.ts';

const task = taskWith();

test('a path is relative to the workspace or absolute, and may have bytes that are no UTF-8', () => {
  const { path } = task.workspace;
  expect(sandboxPath(task, 'a/../b\n')).toBe(`${path}/b\n`);
  expect(sandboxPath(task, '/tmp/\u{1f600}')).toBe('/tmp/\u{1f600}');
  expect(sandboxPath(task, 'a\udc80\udcffb')).toBe(`${path}/a\udc80\udcffb`);
});

test.each(['', 'a\0b', 'x'.repeat(4097), '\ud800', 'a\udc7f', 'a\ud83db', '\udc00'])(
  'a path that would lead to a file of another name is refused: %j',
  (given) => {
    expect(() => sandboxPath(task, given)).toThrow(expect.objectContaining({ code: 'OCT_INVALID_ARGUMENT' }) as Error);
  },
);
