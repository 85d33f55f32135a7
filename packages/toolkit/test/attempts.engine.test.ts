import type { TaskId } from '@opencode-tools/core';
import { describe, expect, test } from 'vitest';
import { tester as call, useTestHome } from './support/test-home.ts';

describe('attempts', () => {
  const bed = useTestHome();

  const sh = async (task: TaskId | undefined, script: string): Promise<string> => {
    if (task === undefined) throw new Error('There is no such task');
    return (await bed.open.services.executions.run(task, { command: { kind: 'script', script } }, call)).stdout.text;
  };

  test('begin at one point, are compared by one check, and one is kept; other forks are left alone', async () => {
    const { attempts, tasks, checkpoints, ledger } = bed.open.services;
    const task = await tasks.create({ title: 'ways', image: bed.home.image }, call);
    await sh(task.id, 'echo base >file');
    const keyed = { ...call, idempotencyKey: `start-${task.id}` };
    const forks = await attempts.start(task.id, { count: 3, title: 'way' }, keyed);
    expect(forks.map(({ title }) => title)).toEqual(['way #1', 'way #2', 'way #3']);
    expect(new Set(forks.map(({ forkedFrom }) => forkedFrom?.checkpointId)).size).toBe(1);
    expect((await attempts.start(task.id, { count: 3, title: 'way' }, keyed)).map(({ id }) => id)).toEqual(
      forks.map(({ id }) => id),
    );
    expect((await attempts.list(task.id)).map(({ id }) => id)).toEqual(forks.map(({ id }) => id));
    const aside = await tasks.fork(task.id, { title: 'not an attempt' }, call);
    expect(await attempts.list(task.id)).toHaveLength(3);
    const [wrong, large, small] = forks;
    await sh(wrong?.id, 'echo wrong >file');
    await sh(large?.id, 'echo right >file; echo more >other; echo more >another');
    await sh(small?.id, 'echo right >file');

    const checked = await attempts.check(task.id, { command: { kind: 'script', script: 'grep right file' } }, call);
    expect(checked.map((one) => [one.task.title, one.execution?.exitCode])).toEqual([
      ['way #3', 0],
      ['way #2', 0],
      ['way #1', 1],
    ]);
    expect(checked[0]?.changes).toEqual({ added: 0, modified: 1, deleted: 0, bytes: 6 });
    expect(checked[1]?.changes).toEqual({ added: 2, modified: 1, deleted: 0, bytes: 16 });
    expect(checked[0]?.execution?.durationMs).toEqual(expect.any(Number));

    await expect(attempts.keep(task.id, 'way', {}, call)).rejects.toMatchObject({
      code: 'OCT_INVALID_ARGUMENT',
      remedy: expect.stringContaining(small?.id ?? ''),
    });
    const dry = await attempts.keep(task.id, 'way #3', { dryRun: true }, call);
    expect(dry).toMatchObject({
      kept: { id: small?.id },
      checkpoint: null,
      archived: [{ receipt: null }, { receipt: null }],
    });
    expect(await attempts.list(task.id)).toHaveLength(3);
    const kept = await attempts.keep(task.id, 'way #3', {}, call);
    expect(await attempts.list(task.id)).toEqual([]);
    const last = kept.archived.map(({ receipt }) => receipt?.finalCheckpointId);
    expect(last).toEqual([expect.any(String), expect.any(String)]);
    for (const other of [small, aside]) expect((await tasks.view(other?.id as TaskId)).task.title).toBe(other?.title);
    const [record] = await ledger.history(task.id, { types: ['fork.kept'] });
    expect(JSON.parse(record?.payload ?? '{}')).toMatchObject({
      detail: { taskId: small?.id, checkpointId: kept.checkpoint?.id, archived: [wrong?.id, large?.id] },
    });
    expect(await sh(task.id, 'cat file')).toBe('base\n');
    await checkpoints.restore(task.id, kept.checkpoint?.id ?? '', {}, call);
    expect(await sh(task.id, 'cat file')).toBe('right\n');
  });

  test('are asked for where there are none', async () => {
    const task = await bed.open.services.tasks.create({ title: 'no ways', image: bed.home.image }, call);
    const none = { code: 'OCT_INVALID_ARGUMENT', remedy: expect.stringContaining('attempts start') };
    await expect(
      bed.open.services.attempts.check(task.id, { command: { kind: 'argv', argv: ['true'] } }, call),
    ).rejects.toMatchObject(none);
    await expect(bed.open.services.attempts.start(task.id, { count: 0 }, call)).rejects.toMatchObject({
      code: 'OCT_INVALID_ARGUMENT',
    });
  });
});
