import { describe, expect, test } from 'vitest';
import { taskReference } from './task-reference.ts';

describe('what names a task', () => {
  test.each(['tsk_01m7x7t4pvfhrrksgcqby1hq6d', 'by1hq6dd', 'Port the greeter', 'v1..v2', 'a/b'])(
    'may be %s',
    (text) => {
      expect(taskReference(text)).toBe(text);
    },
  );

  test.each(['tsk_nope', 'tsk_../../etc', '../../etc/passwd', 'a/../b', '..', '', 'a\u0000b', 'two\nlines'])(
    'is never %j',
    (text) => {
      expect(() => taskReference(text)).toThrow(expect.objectContaining({ code: 'OCT_INVALID_ARGUMENT' }));
    },
  );
});
