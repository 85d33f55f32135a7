import { isOpencodeToolsError } from '@opencode-tools/core';
import { expect, test } from 'vitest';
import { secretReference } from './secret-reference.ts';

const reference = (value: string | undefined) => secretReference('--env', { name: 'TOKEN', value }, '/here');

test.each([
  [undefined, { from: 'env', variable: 'TOKEN' }],
  ['env:OTHER', { from: 'env', variable: 'OTHER' }],
  ['file:a b', { from: 'file', path: '/here/a b' }],
  ['file:/there', { from: 'file', path: '/there' }],
  ['command:op  read op://vault/token', { from: 'command', argv: ['op', 'read', 'op://vault/token'] }],
  ['command:["op", "read", "a b", ""]', { from: 'command', argv: ['op', 'read', 'a b', ''] }],
])('%j says where the value is', (value, expected) => {
  expect(reference(value)).toEqual({ name: 'TOKEN', ...expected });
});

test.each(['hunter2', 'environment:X', 'command: ', 'command:[]', 'command:["a", 1]', 'command:["a"', 'command:[""]'])(
  '%j is refused without being told',
  (value) => {
    let refused: unknown;
    try {
      reference(value);
    } catch (error) {
      refused = error;
    }
    expect(isOpencodeToolsError(refused, 'OCT_INVALID_ARGUMENT')).toBe(true);
    expect(JSON.stringify(refused)).not.toContain(value);
    expect((refused as { remedy: string }).remedy).toContain('NAME=command:PROGRAM');
  },
);
