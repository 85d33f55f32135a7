import { describe, expect, test } from 'vitest';
import { errorCatalogue } from './error-catalogue.ts';
import { OpencodeToolsError, asOpencodeToolsError, isOpencodeToolsError } from './opencode-tools-error.ts';

describe('OpencodeToolsError', () => {
  test('has no word of thousands of characters in its message', () => {
    const { message } = new OpencodeToolsError(
      'OCT_INVALID_ARGUMENT',
      `No such path: ${'d/'.repeat(5_000)}end, it says`,
    );
    expect(message).toMatch(/^No such path: [d/]{200}…[d/]{196}end, it says$/);
  });

  test('has the JSON form that every surface prints', () => {
    const error = new OpencodeToolsError('OCT_LEASE_HELD', 'Task is held by build', {
      remedy: 'Wait until 12:00.',
      details: { taskId: 'tsk_1', holder: 'build' },
      cause: new Error('inner'),
    });
    expect(JSON.parse(JSON.stringify(error))).toEqual({
      code: 'OCT_LEASE_HELD',
      family: 'conflict',
      retryable: true,
      message: 'Task is held by build',
      remedy: 'Wait until 12:00.',
      details: { taskId: 'tsk_1', holder: 'build' },
    });
    expect(error).toMatchObject({ name: 'OpencodeToolsError', exitCode: 4, cause: new Error('inner') });
    expect(error).toBeInstanceOf(Error);
  });

  test("falls back to the catalogue's remedy and to no details, and has no cause of its own", () => {
    const error = new OpencodeToolsError('OCT_TIMEOUT', 'Too slow');
    expect(error.toJSON()).toMatchObject({ remedy: errorCatalogue.OCT_TIMEOUT.remedy, details: {} });
    expect('cause' in error).toBe(false);
  });

  test('strips terminal escapes from its message', () => {
    expect(new OpencodeToolsError('OCT_INTERNAL', 'a\u001b[31mb\u0007').message).toBe('ab');
  });
});

describe('isOpencodeToolsError', () => {
  test('recognises an error of ours by code, also one of another copy of the package', () => {
    const foreign = Object.assign(new Error('x'), { name: 'OpencodeToolsError', code: 'OCT_TIMEOUT' });
    for (const error of [new OpencodeToolsError('OCT_TIMEOUT', 'x'), foreign]) {
      expect(isOpencodeToolsError(error)).toBe(true);
      expect(isOpencodeToolsError(error, 'OCT_TIMEOUT')).toBe(true);
      expect(isOpencodeToolsError(error, 'OCT_INTERNAL')).toBe(false);
    }
  });

  test.each([
    [new Error('x')],
    ['OCT_TIMEOUT'],
    [null],
    [undefined],
    [{ name: 'OpencodeToolsError', code: 'OCT_TIMEOUT' }],
  ])('does not take %s for one', (value) => {
    expect(isOpencodeToolsError(value)).toBe(false);
  });
});

describe('asOpencodeToolsError', () => {
  test('passes an error of ours unchanged', () => {
    const error = new OpencodeToolsError('OCT_TIMEOUT', 'x');
    expect(asOpencodeToolsError(error)).toBe(error);
  });

  test.each([
    [new TypeError('no such method'), 'Unexpected failure: no such method'],
    ['text', 'Unexpected failure: text'],
    [undefined, 'Unexpected failure: undefined'],
    [null, 'Unexpected failure: null'],
  ])('wraps %s as an internal error that keeps it as the cause', (value, message) => {
    const error = asOpencodeToolsError(value);
    expect(error).toMatchObject({ code: 'OCT_INTERNAL', message });
    expect(error.cause).toBe(value);
  });
});
