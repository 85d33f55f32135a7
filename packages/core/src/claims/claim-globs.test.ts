import { describe, expect, test } from 'vitest';
import { claimGlobs } from './claim-globs.ts';
import type { Claim } from './claim.ts';
import { findOverlaps } from './find-overlaps.ts';

const task = { workspace: { mode: 'bind', path: '/home/ada/project' } } as const;
const numbered = (count: number): string[] => Array.from({ length: count }, (_, index) => `f${index}`);

function refusal(work: () => unknown): unknown {
  try {
    return work();
  } catch (error) {
    return error;
  }
}

describe('what a session asks for', () => {
  test('is brought into normal form, each glob once', () => {
    const request = {
      write: ['./a', 'a', 'src/'],
      read: ['/home/ada/project/b', '/home/ada/project', '/home/ada/project/'],
    };
    expect(claimGlobs(task, request)).toEqual({ write: ['a', 'src/**'], read: ['b', '**'] });
  });

  test.each([
    ['nothing', {}, { code: 'OCT_INVALID_ARGUMENT', message: 'claims: names no path' }],
    ['no text', { write: [7 as never] }, { code: 'OCT_INVALID_ARGUMENT', message: 'Glob "7" is no text' }],
    [
      'a directory beside the workspace',
      { read: ['/home/ada/project-2/a'] },
      { code: 'OCT_PATH_OUTSIDE_WORKSPACE', message: 'Glob "/home/ada/project-2/a" is outside /home/ada/project' },
    ],
    ['33 globs to read', { read: numbered(33) }, { code: 'OCT_INVALID_ARGUMENT', message: 'claims: has 33 globs' }],
    ['33 globs to write', { write: numbered(33) }, { code: 'OCT_INVALID_ARGUMENT', message: 'claims: has 33 globs' }],
    [
      'too many characters',
      { write: numbered(8).map((name) => name.repeat(128)), read: ['a'] },
      { code: 'OCT_INVALID_ARGUMENT', message: 'claims: has 2049 characters' },
    ],
  ])('%s is refused', (_name, request, expected) => {
    expect(refusal(() => claimGlobs(task, request))).toMatchObject({
      ...expected,
      remedy: expect.stringMatching(/.{10}\.$/),
      details: { argument: 'claims' },
    });
  });

  test('may be as much as the limits say', () => {
    expect(claimGlobs(task, { read: numbered(32), write: numbered(32) }).write).toHaveLength(32);
    expect(claimGlobs(task, { write: numbered(8).map((name) => name.repeat(128)) }).write).toHaveLength(8);
  });

  test('of a glob that is none says which and what would be one', () => {
    expect(refusal(() => claimGlobs(task, { write: ['a['] }))).toMatchObject({
      code: 'OCT_INVALID_ARGUMENT',
      message: 'Glob "a[" has a `[` without its `]`',
      remedy: 'Close it in the same segment, or write `\\[`.',
      details: { argument: 'claims', glob: 'a[' },
    });
  });
});

describe('overlaps', () => {
  const claim = (agent: string, globs: { read?: string[]; write?: string[] }): Claim => ({
    id: 'clm_00000000000000000000000001',
    taskId: 'tsk_00000000000000000000000001',
    sessionId: 'ses_00000000000000000000000001',
    leaseId: 'lse_00000000000000000000000001',
    agent,
    read: globs.read ?? [],
    write: globs.write ?? [],
    state: 'active',
    version: 1,
    claimedAt: '2026-11-20T08:00:00.000Z',
    endedAt: null,
    endReason: null,
  });

  test('are told with both globs, a path, and whose claim it is', () => {
    expect(findOverlaps({ write: ['a/*'], read: [] }, [claim('bob', { write: ['*/b'] })])).toEqual([
      {
        kind: 'write-write',
        glob: 'a/*',
        otherGlob: '*/b',
        path: 'a/b',
        claimId: 'clm_00000000000000000000000001',
        sessionId: 'ses_00000000000000000000000001',
        agent: 'bob',
      },
    ]);
  });

  test('are of three kinds; reading what another reads is none', () => {
    const kinds = (wanted: { read: string[]; write: string[] }, other: { read?: string[]; write?: string[] }) =>
      findOverlaps(wanted, [claim('bob', other)]).map(({ kind }) => kind);
    expect(kinds({ write: ['a'], read: ['a'] }, { write: ['a'], read: ['a'] })).toEqual([
      'write-write',
      'write-read',
      'read-write',
    ]);
    expect(kinds({ write: [], read: ['a'] }, { read: ['a'] })).toEqual([]);
    expect(kinds({ write: ['a'], read: ['a'] }, { write: ['b'], read: ['b'] })).toEqual([]);
  });

  test('are told up to fifty', () => {
    const many = Array.from({ length: 8 }, (_, index) => `{a,${index}}`);
    const others = ['bob', 'eve'].map((agent) => claim(agent, { write: many }));
    expect(findOverlaps({ write: many, read: [] }, others)).toHaveLength(50);
  });
});
