import { describe, expect, test } from 'vitest';
import { defaultLimits } from '../domain/sandbox-spec.ts';
import {
  environment,
  environmentName,
  freeText,
  integerBetween,
  invalid,
  labels,
  leaseTtl,
  oneLine,
  resourceLimits,
  secretSource,
} from './validate.ts';

function refusal(argument: string) {
  return expect.objectContaining({
    code: 'OCT_INVALID_ARGUMENT',
    message: expect.stringMatching(new RegExp(`^${argument.replace('.', '\\.')}: `)),
    remedy: expect.stringMatching(/\.$/),
    details: { argument },
  });
}

test('a refusal names argument, fact and accepted form', () => {
  expect(invalid('title', 'is empty', 'Give one.').toJSON()).toMatchObject({
    code: 'OCT_INVALID_ARGUMENT',
    message: 'title: is empty',
    remedy: 'Give one.',
    details: { argument: 'title' },
  });
});

describe('oneLine', () => {
  test('trims, and takes 1 to max characters', () => {
    expect(oneLine('title', '  ok \n', 2)).toBe('ok');
    expect(oneLine('title', '😀é'.repeat(2), 6)).toBe('😀é😀é');
  });

  test.each(['', ' \n\t', 'abc', 'a\nb', 'a\u0000', 'a\u007fb', 'a\u001b[31m', '\ud83d'])('refuses %j', (text) => {
    expect(() => oneLine('title', text, 2)).toThrow(refusal('title'));
    expect(() => oneLine('title', text, text.length <= 2 ? 2 : text.length - 1)).toThrow(refusal('title'));
  });

  test('refuses control characters also where the length fits', () => {
    for (const text of ['a\nb', 'a\u007fb', 'a\u001b[31m', 'a\ud83db']) {
      expect(() => oneLine('title', text, 200)).toThrow(refusal('title'));
    }
  });
});

describe('freeText', () => {
  test('keeps text of many lines as it is, also none', () => {
    expect(freeText('why', ' a\n\tb ', 6)).toBe(' a\n\tb ');
    expect(freeText('why', '', 0)).toBe('');
  });

  test.each(['abcd', 'a\0b', '\ud800'])('refuses %j', (text) => {
    expect(() => freeText('why', text, 3)).toThrow(refusal('why'));
  });
});

describe('integerBetween', () => {
  test.each([1, 2, 3])('takes %s from 1 to 3', (value) => {
    expect(integerBetween('n', value, 1, 3)).toBe(value);
  });

  test.each([0, 4, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '2' as unknown as number, null as unknown as number])(
    'refuses %s',
    (value) => {
      expect(() => integerBetween('n', value, 1, 3)).toThrow(refusal('n'));
    },
  );

  test('a ttl is from one second to one day', () => {
    expect([leaseTtl('ttlMs', 1_000), leaseTtl('ttlMs', 86_400_000)]).toEqual([1_000, 86_400_000]);
    for (const ms of [999, 86_400_001]) expect(() => leaseTtl('ttlMs', ms)).toThrow(refusal('ttlMs'));
  });
});

describe('resourceLimits', () => {
  test('takes the defaults and the smallest values', () => {
    const least = { memoryBytes: 32 * 1024 ** 2, cpus: 0.1, pids: 16, tmpBytes: 1024 ** 2 };
    expect(resourceLimits(defaultLimits)).toEqual(defaultLimits);
    expect(resourceLimits(least)).toEqual(least);
  });

  test.each([
    ['memoryBytes', 32 * 1024 ** 2 - 1],
    ['memoryBytes', 1.5e9 + 0.5],
    ['memoryBytes', 2 ** 51],
    ['pids', 15],
    ['pids', 0],
    ['pids', -1],
    ['tmpBytes', 1024 ** 2 - 1],
    ['cpus', 0.09],
    ['cpus', 1_025],
    ['cpus', Number.NaN],
    ['cpus', undefined as unknown as number],
  ])('refuses %s %s', (name, value) => {
    expect(() => resourceLimits({ ...defaultLimits, [name]: value })).toThrow(refusal(`limits.${name}`));
  });
});

describe('labels', () => {
  test('takes up to 50 of the accepted form, also without a value', () => {
    const fifty = Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`l${index}`, '']));
    expect(labels(fifty)).toBe(fifty);
    expect(labels({ 'team.io/area_1-b': 'x'.repeat(200) })).toEqual({ 'team.io/area_1-b': 'x'.repeat(200) });
  });

  test.each([
    ['no name', { '': 'x' }],
    ['a blank in the name', { 'a b': 'x' }],
    ['a name that starts with a dot', { '.a': 'x' }],
    ['a name of 64 characters', { ['a'.repeat(64)]: 'x' }],
    ['a line feed after the name', { 'a\n': 'x' }],
    ['a value of 201 characters', { a: 'x'.repeat(201) }],
    ['a value of two lines', { a: 'x\ny' }],
    ['51 labels', Object.fromEntries(Array.from({ length: 51 }, (_, index) => [`l${index}`, '']))],
  ])('refuses %s', (_what, value) => {
    expect(() => labels(value)).toThrow(refusal('labels'));
  });
});

describe('environment', () => {
  test('takes names that every shell knows and values of any text', () => {
    const value = { PATH: '/bin', _x1: 'a\nb=c', EMPTY: '' };
    expect(environment(value)).toBe(value);
  });

  test.each(['', '1A', 'A-B', 'A=B', 'A B', 'Ä', 'A\0', 'A\n', 'A'.repeat(201)])('refuses the name %j', (name) => {
    expect(() => environmentName(name)).toThrow(refusal('env'));
    expect(() => environment({ [name]: 'x' })).toThrow(refusal('env'));
  });

  test('refuses a value with a NUL character without showing it', () => {
    expect(() => environment({ TOKEN: 'secret\0' })).toThrow(refusal('env'));
    expect(() => environment({ TOKEN: 'secret\0' })).not.toThrow(/secret/);
  });
});

test.each([
  { from: 'elsewhere' },
  { from: 'env' },
  { from: 'file' },
  { from: 'command', command: ['pass', 'show'] },
  { from: 'command', argv: [] },
  { from: 'file', path: 'relative' },
])('a secret from %j is refused', (source) => {
  expect(() => secretSource('secrets', source as never)).toThrow(refusal('secrets'));
});
