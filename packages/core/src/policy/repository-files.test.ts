import { describe, expect, test } from 'vitest';
import { possibleRepositories, repositoryFiles } from './repository-files.ts';

const added = (...paths: readonly string[]) => paths.map((path) => ({ path, change: 'added' as const }));
const found = (paths: readonly string[], standing: readonly string[] = []): readonly string[] => [
  ...repositoryFiles(added(...paths), (path) => standing.some((each) => each === path || each.startsWith(`${path}/`))),
];

describe('files by which git takes a directory for a repository', () => {
  test.each<[what: string, paths: readonly string[], standing: readonly string[], told: readonly string[]]>([
    [
      'all of a bare repository',
      ['a/sub/HEAD', 'a/sub/config', 'a/sub/objects/k', 'a/sub/refs/k', 'a/sub/README', 'a/config'],
      [],
      ['a/sub/HEAD', 'a/sub/config', 'a/sub/objects/k', 'a/sub/refs/k'],
    ],
    ['one at the top', ['HEAD', 'config', 'objects', 'refs'], [], ['HEAD', 'config', 'objects', 'refs']],
    [
      'one whose objects are elsewhere',
      ['s/HEAD', 's/commondir', 's/hooks/x'],
      [],
      ['s/HEAD', 's/commondir', 's/hooks/x'],
    ],
    [
      'one in other letters',
      ['s/Head', 's/CONFIG', 's/Objects/k', 's/REFS/k'],
      [],
      ['s/Head', 's/CONFIG', 's/Objects/k', 's/REFS/k'],
    ],
    ['what completes one', ['s/refs/k'], ['s/HEAD', 's/objects/k'], ['s/refs/k']],
    ['what one that stands obeys', ['s/config'], ['s/HEAD', 's/objects/k', 's/refs/k'], ['s/config']],
    ['a directory without a HEAD', ['s/config', 's/objects/k', 's/refs/k', 's/hooks/x'], [], []],
    ['a HEAD without the rest', ['s/HEAD', 's/config', 's/refs/k'], [], []],
    ['parts of several', ['a/HEAD', 'b/objects/k', 'c/refs/k'], [], []],
  ])('%s', (_, paths, standing, told) => {
    expect(found(paths, standing)).toEqual(told);
  });

  test('what is removed makes none', () => {
    const changes = ['HEAD', 'objects', 'refs'].map((path) => ({ path, change: 'deleted' as const }));
    expect([...repositoryFiles(changes, () => false)]).toEqual([]);
    expect([...possibleRepositories(changes)]).toEqual([]);
  });

  test('are only in directories that have a name of git', () => {
    expect([...possibleRepositories(added('src/hooks/use.ts', 'a/b/config', 'x/y'))]).toEqual(['src', 'a/b']);
  });
});
