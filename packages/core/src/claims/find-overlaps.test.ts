import { expect, test } from 'vitest';
import type { Claim } from './claim.ts';
import { findOverlaps } from './find-overlaps.ts';

const claim = (id: string, write: readonly string[], read: readonly string[] = []) =>
  ({ id, sessionId: `session of ${id}`, agent: `agent of ${id}`, read, write }) as unknown as Claim;

test('tells every kind of overlap of every claim, in order', () => {
  const wanted = { write: ['a', 'b'], read: ['c'] };
  const found = findOverlaps(wanted, [
    claim('one', ['a', 'c'], ['b', 'c']),
    claim('two', ['d']),
    claim('three', ['b']),
  ]);
  expect(found.map(({ kind, path, claimId }) => [kind, path, claimId])).toEqual([
    ['write-write', 'a', 'one'],
    ['write-read', 'b', 'one'],
    ['read-write', 'c', 'one'],
    ['write-write', 'b', 'three'],
  ]);
  expect(found[0]).toMatchObject({ glob: 'a', otherGlob: 'a', sessionId: 'session of one', agent: 'agent of one' });
});

test('tells fifty of them at most, and looks at no claim after those', () => {
  const paths = Array.from({ length: 49 }, (_, index) => `p${index}`);
  const wanted = { write: [...paths, 'last'], read: [] };
  expect(findOverlaps(wanted, [claim('one', paths), claim('two', ['last'])])).toHaveLength(50);
  expect(findOverlaps(wanted, [claim('one', [...paths, 'last', 'l*']), claim('two', ['last'])])).toHaveLength(50);
  const unreadable = {
    ...claim('two', []),
    get write(): never {
      throw new Error('looked at');
    },
  };
  expect(findOverlaps(wanted, [claim('one', [...paths, 'last']), unreadable])).toHaveLength(50);
});
