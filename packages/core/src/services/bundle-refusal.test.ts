import { expect, test } from 'vitest';
import { bundleEnds, bundleRefusal } from './bundle-refusal.ts';

test.each([
  [128, 'fatal: unable to write: No space left on device', 'OCT_RESOURCE_LIMIT', 'No space is left'],
  [1, 'cp: error writing: Disk quota exceeded', 'OCT_RESOURCE_LIMIT', 'No space is left'],
  [128, 'fatal: bad\u001b[31m object', 'OCT_INVALID_ARGUMENT', 'fatal: bad object'],
  [null, '', 'OCT_INVALID_ARGUMENT', 'could not bundle'],
  [bundleEnds.noGit, '', 'OCT_CAPABILITY_UNSUPPORTED', 'no git'],
  [bundleEnds.unmerged, '', 'OCT_INVALID_ARGUMENT', 'middle of a merge'],
  [bundleEnds.noRef, '', 'OCT_INVALID_ARGUMENT', 'no commit v1'],
])('a script that ended with %s, saying %j, is told as %s', (code, said, expected, message) => {
  const error = bundleRefusal(code, 'v1', said);
  expect(error).toMatchObject({ code: expected, message: expect.stringContaining(message) });
  expect(error.remedy).not.toBe('');
});
