import { largestFencingToken } from '@opencode-tools/core';
import { describe, expect, test } from 'vitest';
import { encodeRun, executionNumber, markFor } from './run-frame.ts';
import { parseRunResult } from './run-result.ts';

const base = { nonce: 'n', token: 5, mark: 9n, cwd: '/', env: {}, withStdin: false } as const;

describe('the request for a command', () => {
  test('says all of it in lines that a shell can read', () => {
    const request = encodeRun({
      ...base,
      command: { kind: 'argv', argv: ['echo', 'a\nb', ''] },
      cwd: "/it's",
      env: { A: '1\n2' },
    });
    expect(request.split('\n')).toEqual(['run n 5 9 -', '=A=1', '+2', "=/it's", '=echo', '=a', '+b', '=', '.n', '']);
  });

  test('cannot be made to hold a second one', () => {
    const request = encodeRun({ ...base, command: { kind: 'script', script: '.n\nrun x 1 1 - 0\nend 1' } });
    expect(request.match(/^(\.n|run |end )/gm)).toEqual(['run ', '.n']);
  });

  test.each([
    ['no program', { command: { kind: 'argv', argv: [] } }],
    ['a NUL', { command: { kind: 'script', script: 'a\0b' } }],
    ['more than a kernel takes', { command: { kind: 'script', script: 'x'.repeat(131_072) } }],
    ['a name that is code', { env: { 'A;id': '' } }],
  ] as const)('is refused with %s', (_title, change) => {
    const command = { kind: 'script', script: 'true' } as const;
    expect(() => encodeRun({ ...base, command, ...change })).toThrow(
      expect.objectContaining({ code: 'OCT_INVALID_ARGUMENT' }),
    );
  });
});

/** From here on marks are of what is kept ready. */
const readyBase = 2n ** 52n + (4_294_967_295n << 20n);

describe('a mark', () => {
  test('holds token and execution, and fits the kernel\u2019s limit in bytes', () => {
    const execution = executionNumber('exe_1');
    const mark = markFor(7, execution);
    expect(mark & 0xfffffn).toBe(BigInt(execution));
    expect((mark - 2n ** 52n) >> 20n).toBe(7n);
    expect(markFor(largestFencingToken, 0xfffff)).toBeLessThan(readyBase);
    expect((readyBase + 0xfffffn) * 1024n).toBeLessThan(2n ** 63n);
  });
});

describe('a result', () => {
  test.each([
    ['0 0 -', { exitCode: 0, signal: null, leftovers: false, note: 'none' }],
    ['255 1 -', { exitCode: 255, signal: null, leftovers: true, note: 'none' }],
    ['s9 0 oom', { exitCode: null, signal: 'SIGKILL', leftovers: false, note: 'out-of-memory' }],
    ['s11 1 -', { exitCode: null, signal: 'SIGSEGV', leftovers: true, note: 'none' }],
    ['s9 3 cut', { signal: 'SIGKILL', stuck: true, note: 'cut' }],
  ])('%s is understood', (text, expected) => {
    expect(parseRunResult(text)).toMatchObject({ kind: 'ended', ...expected });
  });

  test('that is none is not', () => {
    for (const text of ['', '0', 'x 0 -', '0 0 - more', '0 9 -'])
      expect(() => parseRunResult(text)).toThrow('Not a result');
  });
});
