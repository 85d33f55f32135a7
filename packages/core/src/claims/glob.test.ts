import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createGlob } from './glob.ts';

const covers = (glob: string, path: string): boolean => createGlob(glob).matches(path);
const overlaps = (a: string, b: string): boolean => createGlob(a).overlap(createGlob(b)) !== undefined;

describe('a glob', () => {
  test.each([
    ['src/a.ts', 'src/a.ts', true],
    ['src/a.ts', 'src/a.tsx', false],
    ['src/*.ts', 'src/a.ts', true],
    ['src/*.ts', 'src/.ts', true],
    ['src/*.ts', 'src/b/a.ts', false],
    ['src/**', 'src/b/a.ts', true],
    ['src/**', 'src', true],
    ['src/', 'src/b/a.ts', true],
    ['**/a.ts', 'a.ts', true],
    ['**/a.ts', 'x/y/a.ts', true],
    ['**/a.ts', 'x/y/ba.ts', false],
    ['a**b', 'axxb', true],
    ['a**b', 'ax/xb', false],
    ['src/?.ts', 'src/é.ts', true],
    ['src/?.ts', 'src/😀.ts', true],
    ['[a-c]x', 'bx', true],
    ['[!a-c]x', 'bx', false],
    ['[^a-c]x', 'dx', true],
    ['[a\\]]x', ']x', true],
    ['[a-]', '-', true],
    ['{src,test}/**', 'test/a', true],
    ['{src,test}/**', 'lib/a', false],
    ['a.{ts,{js,mjs}}', 'a.mjs', true],
    ['a{,b}', 'a', true],
    ['\\*', '*', true],
    ['\\*', 'a', false],
    ['./src//a', 'src/a', true],
    ['.', 'anything/at/all', true],
    ['a,b', 'a,b', true],
  ])('%s and the path %s: %s', (glob, path, expected) => {
    expect(covers(glob, path)).toBe(expected);
  });

  test.each([
    ['/etc', 'is absolute'],
    ['../x', 'leaves the workspace'],
    ['a/../b', 'leaves the workspace'],
    ['', 'is empty'],
    ['a{b', 'without its `}`'],
    ['a{b/c}', 'without its `}`'],
    ['a}', 'without its `{`'],
    ['[a', 'without its `]`'],
    ['[]', 'without any character'],
    ['[z-a]', 'from high to low'],
    ['a\\', 'ends in a backslash'],
    ['a\\/b', 'escapes a slash'],
    ['{{{{{a}}}}}', 'nests braces too deeply'],
    ['a\0', 'is not valid text'],
    ['a'.repeat(257), 'has 257 characters'],
  ])('%j is refused: it %s', (glob, fact) => {
    expect(() => createGlob(glob)).toThrow(fact);
  });

  test('is kept in one normal form', () => {
    expect(createGlob('./src//./**/**/a').text).toBe('src/**/a');
    expect(createGlob('src/').text).toBe('src/**');
    expect(createGlob('src/**/').text).toBe('src/**');
  });
});

describe('overlap', () => {
  test.each([
    ['src/**', 'src/a.ts', true],
    ['src/**', 'src', true],
    ['src/*', 'src', false],
    ['src/**', 'test/**', false],
    ['**/*.ts', 'src/*.js', false],
    ['**/*.ts', 'src/a.*', true],
    ['*a*', '*b*', true],
    ['a*', '*b', true],
    ['[ab]', '[bc]', true],
    ['[ab]', '[cd]', false],
    ['**', '**', true],
    ['a/**/z', 'a/b/c', false],
    ['a/**/z', 'a/**/b/z', true],
    ['?', '??', false],
    ['a/{,b}/c', 'a/c', false],
    ['{,.,..}', '*', false],
    ['[.]*', '..', false],
  ])('%s and %s: %s', (a, b, expected) => {
    if (b === '..') expect(() => createGlob(b)).toThrow('leaves the workspace');
    else expect([overlaps(a, b), overlaps(b, a)]).toEqual([expected, expected]);
  });

  test('two globs that share a path are told a path that both cover', () => {
    expect(createGlob('src/**/*.test.ts').overlap(createGlob('src/claims/g*'))).toBe('src/claims/g.test.ts');
  });
});

const alphabet = ['a', 'b', '.'];
const segmentPiece = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom('a', 'b', '.') },
  { weight: 3, arbitrary: fc.constantFrom('*', '?') },
  { weight: 2, arbitrary: fc.constantFrom('[ab]', '[!a]', '[.a]', '{a,bb}', '{,a}', '{a*,?}', '{b,{a,.}}', '\\a') },
);
const segmentText = fc.oneof(
  { weight: 4, arbitrary: fc.array(segmentPiece, { minLength: 1, maxLength: 3 }).map((pieces) => pieces.join('')) },
  { weight: 1, arbitrary: fc.constant('**') },
);
const globText = fc
  .array(segmentText, { minLength: 1, maxLength: 3 })
  .map((segments) => segments.join('/'))
  .filter((text) => !text.split('/').includes('..') && text !== '.');

/** Every real path of up to three segments of up to three characters of the alphabet. */
const paths = allPaths();

describe('against brute force over a small alphabet', () => {
  test('a glob covers exactly the paths that a regular expression of the same meaning covers', () => {
    fc.assert(
      fc.property(globText, (text) => {
        const glob = createGlob(text);
        const reference = referenceOf(glob.text);
        expect(paths.filter((path) => glob.matches(path) !== reference.test(`${path}/`))).toEqual([]);
      }),
      { numRuns: 150 },
    );
  });

  test('two globs overlap exactly when some path is covered by both', () => {
    fc.assert(
      fc.property(globText, globText, (left, right) => {
        const a = createGlob(left);
        const b = createGlob(right);
        const shared = a.overlap(b);
        expect(b.overlap(a) === undefined).toBe(shared === undefined);
        if (shared !== undefined) {
          expect([a.matches(shared), b.matches(shared)]).toEqual([true, true]);
          expect(shared.split('/').every((name) => name !== '' && name !== '.' && name !== '..')).toBe(true);
          return;
        }
        const [first, second] = [referenceOf(a.text), referenceOf(b.text)];
        expect(paths.filter((path) => first.test(`${path}/`) && second.test(`${path}/`))).toEqual([]);
      }),
      { numRuns: 1_500 },
    );
  });
});

describe('hostile globs', () => {
  test.each([
    ['many stars', '*a'.repeat(128), '*b'.repeat(128)],
    ['many depths', `${'**/a/'.repeat(50)}x`, `${'**/?/'.repeat(50)}y`],
    ['many braces', '{a,b}'.repeat(51), `${'{a,b}'.repeat(50)}c`],
    ['stars against braces', '{*a,*b}'.repeat(36), `${'*{a,b}*'.repeat(36)}c`],
  ])('%s are answered in steps that their lengths bound', (_name, left, right) => {
    const [a, b] = [createGlob(left.slice(0, 256)), createGlob(right.slice(0, 256))];
    expect(a.overlap(b) === undefined).toBe(b.overlap(a) === undefined);
    expect(a.matches('a'.repeat(4_000))).toBeTypeOf('boolean');
  });
});

/** The same meaning said in another way: translated to a regular expression over `a/b/`. */
function referenceOf(normal: string): RegExp {
  const any = '[^/\\0]';
  const piece = (segment: string): string =>
    segment.replaceAll(/\\(.)|[.*?{},]|\[!/g, (match, escaped: string | undefined) => {
      if (escaped !== undefined) return escaped;
      return { '.': '\\.', '*': `${any}*`, '?': any, '{': '(?:', '}': ')', ',': '|', '[!': '[^/' }[match] ?? match;
    });
  const body = normal
    .split('/')
    .map((segment) => (segment === '**' ? `(?:${any}+/)*` : `${piece(segment)}/`))
    .join('');
  return new RegExp(`^${body}$`, 'u');
}

function allPaths(): readonly string[] {
  const names = ['', ...alphabet, ...combine(alphabet, 2), ...combine(alphabet, 3)].filter(
    (name) => !['', '.', '..'].includes(name),
  );
  const short = names.filter((name) => name.length <= 2);
  const two = names.flatMap((first) => short.map((second) => `${first}/${second}`));
  const three = ['a', 'b', 'ab'].flatMap((first) =>
    two.filter((rest) => rest.length <= 4).map((rest) => `${first}/${rest}`),
  );
  return [...names, ...two, ...three];
}

function combine(letters: readonly string[], length: number): readonly string[] {
  if (length === 1) return letters;
  return combine(letters, length - 1).flatMap((text) => letters.map((letter) => text + letter));
}
