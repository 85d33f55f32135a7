import { describe, expect, test } from 'vitest';
import { storeFailure, treeFailure } from '../src/failures.ts';

describe('a failed system call', () => {
  test.each([
    ['ENOSPC', 'OCT_RESOURCE_LIMIT'],
    ['EDQUOT', 'OCT_RESOURCE_LIMIT'],
    ['EROFS', 'OCT_STORE_READ_ONLY'],
    ['EIO', 'OCT_STORE_UNAVAILABLE'],
    ['EACCES', 'OCT_STORE_UNAVAILABLE'],
  ])('of the store with %s is %s, with a remedy', (errno, code) => {
    const failure = storeFailure('/home/store', Object.assign(new Error('a cause'), { code: errno }));
    expect(failure).toMatchObject({ code, details: { directory: '/home/store', errno } });
    expect(failure.remedy).not.toBe('');
  });

  test('of the store that is none is an internal error', () => {
    expect(storeFailure('/home/store', new Error('surprise')).code).toBe('OCT_INTERNAL');
  });

  test.each(['ENOENT', 'ENOTDIR', 'EACCES', 'EIO'])('of a tree with %s names the path', (errno) => {
    const failure = treeFailure('/a/\xc3\xa9', Object.assign(new Error('a cause'), { code: errno }));
    expect(failure).toMatchObject({ code: 'OCT_INVALID_ARGUMENT', details: { path: '/a/é' } });
    expect(failure.message).toContain('/a/é');
  });
});
