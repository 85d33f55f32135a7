import { expect, test } from 'vitest';
import { bundleEnds, bundleRefusal } from './bundle-refusal.ts';

test.each([
  [128, 'fatal: unable to write: No space left on device', 'OCT_RESOURCE_LIMIT', 'No space is left'],
  [1, 'cp: error writing: Disk quota exceeded', 'OCT_RESOURCE_LIMIT', 'No space is left'],
  [128, 'fatal: bad\u001b[31m object', 'OCT_INVALID_ARGUMENT', 'fatal: bad object'],
  [
    null,
    '',
    'OCT_INVALID_ARGUMENT',
    'could not bundle its commits: it was ended (SIGKILL) at git add and said nothing',
  ],
  [1, ' ', 'OCT_INVALID_ARGUMENT', 'it ended with code 1 at git add'],
  [bundleEnds.noGit, '', 'OCT_CAPABILITY_UNSUPPORTED', 'no git'],
  [bundleEnds.unmerged, '', 'OCT_INVALID_ARGUMENT', 'middle of a merge'],
  [bundleEnds.noRef, '', 'OCT_INVALID_ARGUMENT', 'no commit v1'],
])('a script that ended with %s, saying %j, is told as %s', (code, said, expected, message) => {
  const ended = { reason: 'exited', exitCode: code, signal: code === null ? 'SIGKILL' : null } as const;
  const error = bundleRefusal({ ...ended, step: 'git add', limitMs: 5_000 }, 'v1', said);
  expect(error).toMatchObject({ code: expected, message: expect.stringContaining(message) });
  expect(error.remedy).not.toBe('');
});

test.each([
  ['timeout', 'OCT_TIMEOUT', 'git add in the task did not end in 5 s'],
  ['cancelled', 'OCT_CANCELLED', 'was cancelled at git add'],
] as const)('a script that was ended by %s is told by what it was at', (reason, code, message) => {
  const error = bundleRefusal({ reason, exitCode: null, signal: 'SIGKILL', step: 'git add', limitMs: 5_000 }, 'v1', '');
  expect(error).toMatchObject({ code, message: expect.stringContaining(message) });
});
