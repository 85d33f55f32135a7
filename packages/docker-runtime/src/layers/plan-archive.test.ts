import { describe, expect, test } from 'vitest';
import { planFirst, planNext } from './plan-archive.ts';
import { type UpperEntry, parseChange, parseListing } from './upper-listing.ts';

const began = { mode: 0o755, uid: 1000, gid: 1000 };

function entry(path: string, change: Partial<UpperEntry> = {}): UpperEntry {
  const facts = { inode: `1${path.length}`, changedAt: '5.0', mode: '755', uid: '1000', gid: '1000', size: '1' };
  return { part: 'd', type: 'f', modifiedAt: '5.0', bornAt: '-', path, ...facts, ...change };
}

const directory = (path: string, change: Partial<UpperEntry> = {}): UpperEntry =>
  entry(path, { type: 'd', bornAt: '4.0', ...change });
const root = directory('');

describe('the first archive of an upper', () => {
  test('is none while nothing is in it and its top is what it was', () => {
    expect(planFirst([root], began)).toEqual({ kind: 'same' });
    expect(planFirst([directory('', { mode: '700' })], began)).toEqual({ kind: 'whole' });
    expect(planFirst([root, entry('a')], began)).toEqual({ kind: 'whole' });
    expect(planFirst([root], null)).toEqual({ kind: 'whole' });
  });

  test('is the tree as it is seen when files with several names were changed', () => {
    expect(planFirst([root, entry('a'), entry('', { part: 'i' })], began)).toEqual({ kind: 'merged' });
  });
});

describe('a further archive of an upper', () => {
  const plainly = (...paths: readonly string[]) =>
    new Map(paths.map((path) => [path, { opaque: false, redirected: false }] as const));

  test('is none when nothing but the notes of the kernel on its top changed', () => {
    expect(planNext({ before: [], after: [] }, new Map(), false)).toEqual({ kind: 'same' });
    const mounted = { before: [root], after: [directory('', { changedAt: '9.0' })] };
    expect(planNext(mounted, plainly(''), false)).toEqual({ kind: 'same' });
    const touched = { before: [root], after: [directory('', { changedAt: '9.0', modifiedAt: '9.0' })] };
    expect(planNext(touched, plainly(''), false)).toMatchObject({ kind: 'add', attributes: [''] });
  });

  test('copies what is new or changed, marks what is gone, and sets what is above', () => {
    const before = [entry('dir/deep/gone'), entry('changed'), directory('old'), entry('old/file')];
    const after = [entry('changed', { size: '2' }), entry('dir/new'), directory('fresh'), entry('fresh/file')];
    expect(planNext({ before, after }, plainly('fresh'), false)).toEqual({
      kind: 'add',
      copy: ['changed', 'dir/new', 'fresh', 'fresh/file'],
      gone: ['dir/deep/gone', 'old'],
      attributes: ['', 'dir', 'dir/deep'],
    });
  });

  test('sets what is above a directory of which nothing but its own attributes changed', () => {
    const before = [directory('a/b/c')];
    const after = [directory('a/b/c', { mode: '700', changedAt: '9.0' })];
    expect(planNext({ before, after }, plainly('a/b/c'), false)).toEqual({
      kind: 'add',
      copy: [],
      gone: [],
      attributes: ['', 'a', 'a/b', 'a/b/c'],
    });
  });

  test('replaces a file by a directory and a directory by a file, also one that has its inode', () => {
    const before = [entry('one'), directory('two'), entry('two/file')];
    const after = [directory('one'), entry('one/file'), entry('two')];
    expect(planNext({ before, after }, plainly('one'), false)).toMatchObject({
      copy: ['one', 'one/file', 'two'],
      gone: [],
    });
  });

  test('lets a directory stay that is marked, if it is the one that was there', () => {
    const changed = (bornAt: string): Parameters<typeof planNext>[0] => ({
      before: [directory('d', { bornAt })],
      after: [directory('d', { changedAt: '9.0', bornAt })],
    });
    for (const mark of [
      { opaque: true, redirected: false },
      { opaque: false, redirected: true },
    ]) {
      const marks = new Map([['d', mark]]);
      expect(planNext(changed('4.0'), marks, false)).toMatchObject({ kind: 'add', attributes: ['', 'd'] });
      expect(planNext(changed('0.000000000'), marks, false)).toEqual({ kind: 'whole' });
    }
    expect(planNext(changed('0.000000000'), plainly('d'), false)).toMatchObject({ kind: 'add' });
  });

  test.each<readonly [string, readonly UpperEntry[], readonly UpperEntry[], boolean]>([
    ['a directory took the place of another', [directory('d')], [directory('d', { inode: '77' })], false],
    ['another directory has its number', [directory('d')], [directory('d', { bornAt: '6.0' })], false],
    ['a directory has its content from another place', [], [directory('d')], true],
    ['what was hidden is seen again', [entry('a', { type: 'c' })], [], false],
  ])('is all of it when %s', (_, before, after, redirected) => {
    const change = { before, after };
    const directories = after.filter(({ type }) => type === 'd');
    const marks = new Map(directories.map(({ path }) => [path, { opaque: false, redirected }] as const));
    expect(planNext(change, marks, false)).toEqual({ kind: 'whole' });
    expect(planNext(change, marks, true)).toEqual({ kind: 'merged' });
  });
});

test('reads names of any bytes', () => {
  const fields = 'df 12 1 5.5 644 1000 1000 3 6.5 - ./';
  const path = 'a b\n\t\xff/d';
  expect(parseListing(Buffer.from(`${fields}${path}\0dd 1 1 5 755 0 0 4096 6 4 .\0`, 'latin1'))).toMatchObject([
    { part: 'd', type: 'f', path, size: '3' },
    { type: 'd', path: '' },
  ]);
  const marked = `\tor\tdd 1 1 5 755 0 0 4096 6 4 ./${path}3\0`;
  const { change, marks } = parseChange(Buffer.from(`${fields}${path}\0\t\t${fields}${path}2\0${marked}`, 'latin1'));
  expect(change).toMatchObject({ before: [{ path }], after: [{ path: `${path}2` }, { path: `${path}3` }] });
  expect(marks).toEqual(new Map([[`${path}3`, { opaque: true, redirected: true }]]));
});
