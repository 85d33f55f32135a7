import { describe, expect, test } from 'vitest';
import { parseDockerIgnore } from './docker-ignore.ts';

/** What of these paths is sent. */
const sent = (text: string, ...paths: readonly string[]): readonly string[] => {
  const leaveOut = parseDockerIgnore(text, ['Dockerfile', '.dockerignore']);
  return paths.filter((path) => !leaveOut(path));
};

describe('a .dockerignore', () => {
  test.each([
    [
      'a name at the top, and all below it',
      'node_modules',
      ['node_modules', 'node_modules/a/b', 'a/node_modules'],
      ['a/node_modules'],
    ],
    [
      'a path',
      '/docs/internal/',
      ['docs', 'docs/internal', 'docs/internal/x', 'a/docs/internal'],
      ['docs', 'a/docs/internal'],
    ],
    ['one star, within a name', '*.log', ['a.log', 'b/a.log', 'a.logs'], ['b/a.log', 'a.logs']],
    ['stars in a directory', 'src/*/tmp?', ['src/a/tmp1', 'src/a/b/tmp1', 'src/a/tmp'], ['src/a/b/tmp1', 'src/a/tmp']],
    ['two stars, at any depth', '**/*.pem', ['a.pem', 'a/b/c.pem', 'a.pem.txt'], ['a.pem.txt']],
    ['two stars at the end', 'a/**', ['a', 'a/b', 'a/b/c', 'b'], ['a', 'b']],
    ['a class of characters', 'v[0-9^].[ch]', ['v1.c', 'v^.h', 'vx.c', 'v1.x'], ['vx.c', 'v1.x']],
    ['a class turned round', '[^a]x', ['ax', 'bx', '/x'], ['ax', '/x']],
    ['a character as it is', 'a\\*+(b)', ['a*+(b)', 'ab+(b)'], ['ab+(b)']],
    [
      'what is taken back in',
      '*\n!keep\n!src/**/*.ts',
      ['a', 'keep', 'keep/x', 'src', 'src/a.ts', 'src/b/c.ts', 'src/a.js'],
      ['keep', 'keep/x', 'src/a.ts', 'src/b/c.ts'],
    ],
    ['the last rule that matches', 'a\n!a\na/b', ['a', 'a/b', 'a/c'], ['a', 'a/c']],
    ['comments, blank lines and ends of lines', '# a\r\n\r\n  b  \r\n', ['a', '# a', 'b'], ['a', '# a']],
    ['paths that are not clean', './a//b/../c', ['a/c', 'a/b'], ['a/b']],
    [
      'everything but itself and the Dockerfile',
      '*',
      ['Dockerfile', '.dockerignore', 'a', 'a/Dockerfile'],
      ['Dockerfile', '.dockerignore'],
    ],
    ['nothing when it is empty', '', ['a', '.git'], ['a', '.git']],
  ])('knows %s', (_what, text, paths, left) => {
    expect(sent(text, ...paths)).toEqual(left);
  });

  test('with many stars takes no longer for a path that nearly fits', () => {
    const name = 'a'.repeat(200);
    expect(sent(`${'*a'.repeat(60)}b\n${'**/'.repeat(40)}x`, name, `${name}b`, `${'a/'.repeat(500)}x`)).toEqual([name]);
  });

  test('with a pattern that is none is refused', () => {
    expect(() => parseDockerIgnore('a\n[z-a]', [])).toThrow('Not a pattern in .dockerignore: [z-a]');
  });
});
