import { describe, expect, test } from 'vitest';
import type { Claim } from './claim.ts';
import { type ChangeScene, pathsOutside } from './outside-claims.ts';

const me = 'ses_00000000000000000000000001';
const you = 'ses_00000000000000000000000002';

function claim(sessionId: Claim['sessionId'], globs: { read?: string[]; write?: string[] }): Claim {
  return {
    id: 'clm_00000000000000000000000001',
    taskId: 'tsk_00000000000000000000000001',
    sessionId,
    leaseId: 'lse_00000000000000000000000001',
    agent: 'agent',
    read: globs.read ?? [],
    write: globs.write ?? [],
    state: 'active',
    version: 1,
    claimedAt: '2026-11-20T08:00:00.000Z',
    endedAt: null,
    endReason: null,
  };
}

const scene = (claims: readonly Claim[], alongside: readonly Claim['sessionId'][] = []): ChangeScene => ({
  sessionId: me,
  claims,
  alongside: new Set(alongside),
});

describe('paths outside the claims of a session', () => {
  test('are those that it may not write, also when it may read them', () => {
    const own = claim(me, { write: ['src/**'], read: ['docs/**'] });
    expect(pathsOutside(['src/a', 'docs/b', 'c'], scene([own]))).toEqual(['docs/b', 'c']);
  });

  test('of a session without claims are only those that others claimed, to write or to read', () => {
    const theirs = claim(you, { write: ['src/**'], read: ['docs/**'] });
    expect(pathsOutside(['src/a', 'docs/b', 'c'], scene([theirs]))).toEqual(['src/a', 'docs/b']);
  });

  test('never hold what another session may write that ran a command at the same time', () => {
    const claims = [claim(me, { write: ['mine'] }), claim(you, { write: ['theirs'], read: ['read'] })];
    expect(pathsOutside(['theirs', 'read', 'other'], scene(claims, [you]))).toEqual(['read', 'other']);
    expect(pathsOutside(['theirs', 'read', 'other'], scene(claims))).toEqual(['theirs', 'read', 'other']);
  });

  test('never hold git’s own directory', () => {
    expect(pathsOutside(['.git', '.git/index', '.gitignore'], scene([claim(me, { write: ['a'] })]))).toEqual([
      '.gitignore',
    ]);
  });
});
