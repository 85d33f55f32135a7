import { OpencodeToolsError, type RecoverableTask, type RecoveredTask } from '@opencode-tools/core';
import { expect, test } from 'vitest';
import { runLine, taskId } from '../../test/run-line.ts';

const checkpoint = { id: 'chk_0000000000000000000000000c', createdAt: '2026-11-20T08:15:30.123Z' };
const task = { id: 'tsk_0000000000000000000000000b', title: 'lost \u001b[31mwork' };

test('recover names the new task, what came along, and what was damaged', async () => {
  const asked: unknown[] = [];
  const recover = async (...argv: unknown[]): Promise<RecoveredTask> => {
    asked.push(argv.slice(0, -1));
    const passedOver = [{ checkpointId: 'chk_0000000000000000000000000d', damage: ['file \u001b[0mx'] }];
    return { task, checkpoint, passedOver, rootLost: true, decisions: 1, todos: 2, notes: 0 } as never;
  };
  const line = await runLine(['recover', 't', '--title', 'again', '--checkpoint', 'v1'], { tasks: { recover } });
  expect(line).toMatchObject({ code: 0, stderr: '' });
  expect(line.stdout).toContain('recovered 0000000b lost work from checkpoint 0000000c of 2026-11-20 08:15:30Z\n');
  expect(line.stdout).toContain('with 1 decision, 2 todos, 0 notes\n');
  expect(line.stdout).toContain('damaged checkpoint 0000000d: file x\n');
  expect(line.stdout).toContain('its image is gone\n');
  expect(asked).toEqual([[taskId, { title: 'again', checkpoint: 'v1' }]]);
});

test('recover --list shows what can be brought back, and takes no task', async () => {
  const receipt = { taskId, title: 'lost', deletedAt: checkpoint.createdAt };
  const found = [{ receipt, checkpoints: [checkpoint, checkpoint], recoveredAs: [task.id] }];
  const tasks = { recoverable: async () => found as unknown as readonly RecoverableTask[] };
  const line = await runLine(['recover', '--list'], { tasks });
  expect(line.stdout).toContain('00000001  2026-11-20 08:15:30Z            2  0000000b      lost\n');
  expect(await runLine(['recover', '--list', 't'], { tasks })).toMatchObject({ code: 2 });
  expect(await runLine(['recover'])).toMatchObject({ code: 2, stderr: expect.stringContaining('recover --list') });
});

test('recover of a deleted task by its title says where its id is', async () => {
  const resolve = async (): Promise<never> => {
    throw new OpencodeToolsError('OCT_TASK_NOT_FOUND', 'There is no task "lost"');
  };
  const line = await runLine(['recover', 'lost'], { tasks: { resolve } });
  expect(line).toMatchObject({ code: 3, stderr: expect.stringContaining('There is no task "lost"') });
  expect(line.stderr).toContain('remedy: A deleted task is named by its id: opencode-tools recover --list');
});
