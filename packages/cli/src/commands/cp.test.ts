import { OpencodeToolsError, type TaskId } from '@opencode-tools/core';
import { expect, test } from 'vitest';
import { runLine, taskId } from '../../test/run-line.ts';

/** Asks for a copy, and tells which task and path of the sandbox were looked at first. */
async function lookedAt(from: string, to: string): Promise<{ readonly seen: unknown; readonly stderr: string }> {
  let seen: unknown;
  const resolve = async (reference: string): Promise<TaskId> => {
    if (['plain', 'fix: the parser', 'fix/lexer: tokens'].includes(reference)) return taskId;
    throw new OpencodeToolsError('OCT_TASK_NOT_FOUND', `There is no task "${reference}"`);
  };
  const stat = async (_task: TaskId, { path }: { readonly path: string }): Promise<never> => {
    seen = path;
    throw new OpencodeToolsError('OCT_FILE_REFUSED', 'seen');
  };
  const { stderr } = await runLine(['cp', from, to], { tasks: { resolve }, files: { stat } });
  return { seen, stderr };
}

test.each([
  ['plain:src', './to', 'src'],
  ['plain:', './to', '.'],
  ['plain:a:b', './to', 'a:b'],
  ['fix: the parser:src/a:b', './to', 'src/a:b'],
  ['./a:b', 'fix: the parser:into', 'into'],
  ['./a', 'fix: the parser:', '.'],
])('cp %s %s names the path %s of a task, whose title may have colons', async (from, to, path) => {
  expect((await lookedAt(from, to)).seen).toBe(path);
});

test('cp names the text before the first colon when no task fits', async () => {
  const { seen, stderr } = await lookedAt('none: such:src', './to');
  expect(seen).toBeUndefined();
  expect(stderr).toContain('There is no task "none"');
});
