import type { AttemptCheck, Task } from '@opencode-tools/core';
import { expect, test } from 'vitest';
import { runLine, taskId } from '../../test/run-line.ts';

const fork = { id: 'tsk_0000000000000000000000000b', title: 'way #1' } as unknown as Task;
const passed = {
  task: fork,
  checkpoint: null,
  changes: { added: 1, modified: 2, deleted: 3, bytes: 2_048 },
  execution: { exitCode: 0, durationMs: 1_500, state: 'exited' },
  failure: null,
} as unknown as AttemptCheck;
const failed = {
  ...passed,
  execution: null,
  changes: null,
  failure: { message: 'no engine' },
} as unknown as AttemptCheck;

test('attempts check runs one command, shows the best first, and says by its code whether one passed', async () => {
  const asked: unknown[] = [];
  const answers = (...found: AttemptCheck[]) => ({
    attempts: {
      check: async (...argv: unknown[]) => {
        asked.push(argv.slice(0, 2));
        return found;
      },
    },
  });
  const line = await runLine(
    ['attempts', 'check', 't', '--timeout', '5m', '--', 'npm', 'test'],
    answers(passed, failed),
  );
  expect(line.code).toBe(0);
  expect(line.stdout).toContain('0000000b  0     1.5 s  +1 ~2 -3  2.0 KiB  way #1');
  expect(line.stdout).toContain('no engine');
  expect(await runLine(['attempts', 'check', 't', '--script', 'x'], answers(failed))).toMatchObject({ code: 1 });
  expect(asked).toEqual([
    [taskId, { command: { kind: 'argv', argv: ['npm', 'test'] }, timeoutMs: 300_000 }],
    [taskId, { command: { kind: 'script', script: 'x' } }],
  ]);
  expect(await runLine(['attempts', 'check', 't'], answers())).toMatchObject({ code: 2 });
});

test('attempts check says the whole of why an attempt could not be checked', async () => {
  const message = `Task ${fork.id} is held by an-agent-with-a-name until 2026-11-30T09:15:20.123Z; 2 waiting in line`;
  const check = async () => [{ ...failed, failure: { message } } as unknown as AttemptCheck];
  const line = await runLine(['attempts', 'check', 't', '--', 'true'], { attempts: { check } });
  expect(line.stdout).toContain(message);
});

test('attempts start and keep pass on what was named', async () => {
  const asked: unknown[] = [];
  const seen = (...argv: unknown[]): void => void asked.push(argv.slice(0, -1));
  const attempts = {
    start: async (...argv: unknown[]) => {
      seen(...argv);
      return [fork];
    },
    keep: async (...argv: unknown[]) => {
      seen(...argv);
      return { dryRun: true, kept: fork, checkpoint: null, archived: [{ task: fork, receipt: null }] };
    },
  };
  await runLine(['attempts', 'start', 't', '--count', '4', '--title', 'way'], { attempts });
  const line = await runLine(['attempts', 'keep', 't', 'way #1', '--dry-run'], { attempts });
  expect(line.stdout).toBe('would keep 0000000b way #1\nwould delete 0000000b way #1\n');
  expect(asked).toEqual([
    [taskId, { count: 4, title: 'way' }],
    [taskId, 'way #1', { dryRun: true }],
  ]);
});
