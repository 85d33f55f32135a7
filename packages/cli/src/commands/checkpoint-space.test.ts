import type { Checkpoint } from '@opencode-tools/core';
import { expect, test } from 'vitest';
import { runLine, taskId } from '../../test/run-line.ts';

const checkpoint = {
  id: 'chk_0000000000000000000000000a',
  name: 'old',
  createdAt: '2026-11-20T08:15:30.123Z',
} as unknown as Checkpoint;

test('checkpoints usage shows what is free again without each, and what is not', async () => {
  const usage = async () => [{ checkpoint, bytes: 3_072, ownBytes: 1_024, sharedBytes: 2_048 }];
  const line = await runLine(['checkpoints', 'usage', 't'], { checkpoints: { usage } });
  expect(line.stdout).toContain('0000000a    2026-11-20 08:15:30Z  1.0 KiB  2.0 KiB  old');
});

test('checkpoints usage of all tasks says which are deleted, and what they take of the budget', async () => {
  const one = { taskId, title: 'gone', deleted: true, checkpoints: 2, bytes: 3_072, ownBytes: 1_024 } as never;
  const homeUsage = async () => ({ tasks: [one], bytes: 3_072, budgetBytes: 4_096 });
  const line = await runLine(['checkpoints', 'usage'], { checkpoints: { homeUsage } });
  expect(line.stdout).toMatch(/ 2 +1\.0 KiB +2\.0 KiB +gone \(deleted\)\ntogether 3\.0 KiB of 4\.0 KiB\n$/);
});

test('checkpoints prune takes one task or all, and its options in place of the configuration', async () => {
  const asked: unknown[][] = [];
  const prune = async (...argv: unknown[]) => {
    asked.push(argv.slice(0, 2));
    const left = [{ checkpoint, reason: 'it is pinned' }];
    return { dryRun: true, removed: [{ checkpoint, rule: 'age' } as const], left, collected: null };
  };
  const run = (...argv: string[]) => runLine(['checkpoints', 'prune', ...argv], { checkpoints: { prune } });
  const line = await run('t', '--dry-run', '--max', '5', '--keep-days', '7', '--budget', '1m');
  expect(line.stdout).toBe('would delete 0000000a 2026-11-20 08:15:30Z old (age)\nkept 0000000a: it is pinned\n');
  await run('--thin-after-days', '0', '--home-budget', '2m');
  expect((await run('t', '--home-budget', '2m')).stderr).toContain('--home-budget is for all tasks');
  expect(asked).toEqual([
    [taskId, { dryRun: true, policy: { maxPerTask: 5, keepDays: 7, budgetBytes: 1_048_576 } }],
    [undefined, { dryRun: false, policy: { thinAfterDays: 0, homeBudgetBytes: 2_097_152 } }],
  ]);
});
