import { describe, expect, test } from 'vitest';
import { decimal, duration, idOf, nameValue, size, time } from './values.ts';

test.each([
  ['90', 90_000],
  ['90s', 90_000],
  ['500ms', 500],
  ['1.5m', 90_000],
  ['2h', 7_200_000],
  ['1d', 86_400_000],
])('the duration %s is %i ms', (text, ms) => {
  expect(duration(0, 86_400_000).parse(text, '--ttl')).toBe(ms);
});

test.each([
  ['512', 512],
  ['512k', 524_288],
  ['1.5GiB', 1_610_612_736],
  ['2g', 2_147_483_648],
  ['2GB', 2_147_483_648],
])('the size %s is %i bytes', (text, bytes) => {
  expect(size().parse(text, '--memory')).toBe(bytes);
});

test('a name may have a value, an empty one, or none', () => {
  const form = nameValue('name');
  expect(form.parse('A', '--env')).toEqual({ name: 'A', value: undefined });
  expect(form.parse('A=', '--env')).toEqual({ name: 'A', value: '' });
  expect(form.parse('A=b=c', '--env')).toEqual({ name: 'A', value: 'b=c' });
});

test('a date is a time in UTC', () => {
  expect(time().parse('2026-11-20', '--created-after')).toBe('2026-11-20T00:00:00.000Z');
});

describe('wrong values are refused, naming the option and what is accepted', () => {
  test.each([
    [duration(1_000, 60_000), '61s'],
    [duration(1_000, 60_000), '-1s'],
    [duration(1_000, 60_000), '1w'],
    [size(), '1 apple'],
    [decimal('count', 0.1, 4), '1e3'],
    [nameValue('name'), '=x'],
    [time(), 'yesterday'],
    [idOf('execution'), '../../etc/passwd'],
    [idOf('execution'), 'tsk_00000000000000000000000001'],
  ])('%#: %2$s', (form, text) => {
    expect(() => form.parse(text, '--option')).toThrow(
      expect.objectContaining({ code: 'OCT_INVALID_ARGUMENT', message: expect.stringContaining('--option') }),
    );
  });
});
