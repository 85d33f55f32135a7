import { OpencodeToolsError } from '@opencode-tools/core';
import { expect, test } from 'vitest';
import { failureJson } from './error-result.ts';
import { requestTaskLimits } from './tools/request-task-limits.ts';
import { editFile } from './tools/write-file.ts';

test.each([
  ['oldText', ' does not occur in oldText.ts', editFile, 'old_text'],
  ['newText', ': holds a lone surrogate', editFile, 'new_text'],
  ['expectedDigest', ': is "x"', editFile, 'expected_digest'],
  ['path', ': is empty', editFile, 'path'],
  ['limits.cpus', ': is 2000', requestTaskLimits, 'cpus'],
  ['executionId', ': is not an id', editFile, 'executionId'],
])('a tool names the argument %s as it has it', (argument, fact, tool, name) => {
  const error = new OpencodeToolsError('OCT_INVALID_ARGUMENT', argument + fact, { details: { argument } });
  expect(failureJson(error, tool, [])).toMatchObject({ message: name + fact, details: { argument: name } });
});
