import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { type Call, type OpenHome, type Task, type TaskId, isOpencodeToolsError } from '@opencode-tools/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type TestHome, createTestHome } from './support/test-home.ts';

const call: Call = {
  actor: { kind: 'agent', id: 'after', agent: 'after', model: null, session: null, onBehalfOf: null },
};
const child = fileURLToPath(new URL('./support/crash-child.ts', import.meta.url));
/** More steps than any verb has: reaching it without a verb that ran to its end means that the count is wrong. */
const mostSteps = 80;
/** Every step in a soak; otherwise some, others each time. */
const stride = process.env['OPENCODE_TOOLS_SOAK'] === '1' ? 1 : 5;

describe('a process killed at any step of a verb', () => {
  let home: TestHome;
  let open: OpenHome;

  beforeAll(async () => {
    home = await createTestHome();
    open = await home.open();
  });
  afterAll(async () => {
    await open.close();
    await home.remove();
  });

  const sh = async (task: TaskId, script: string): Promise<string> => {
    const takeover = await open.services.sessions.attach(task, { agent: 'after', takeover: true }, call);
    const run = await open.services.executions.run(
      task,
      { command: { kind: 'script', script }, sessionId: takeover.session.id },
      call,
    );
    await open.services.sessions.detach(takeover.session.id, {}, call);
    return run.stdout.text;
  };

  /** A task whose checkpoint `first` says "old" and whose workspace says "now". */
  const prepare = async (title: string): Promise<Task> => {
    const task = await open.services.tasks.create({ title, image: home.image }, call);
    await sh(task.id, 'echo old >state');
    await open.services.checkpoints.create(task.id, { name: 'first' }, call);
    await sh(task.id, 'echo now >state');
    return task;
  };

  const killedAt = async (task: TaskId, verb: string, step: number): Promise<boolean> => {
    const argv = ['--conditions=@opencode-tools/source', child, home.directory, task, verb, String(step)];
    const running = spawn(process.execPath, argv, { stdio: ['ignore', 'inherit', 'inherit'] });
    const [code, signal] = (await once(running, 'exit')) as [number | null, string | null];
    if (signal === 'SIGKILL') return true;
    expect(code).toBe(0);
    return false;
  };

  /** Kills the verb at each step of its own; after every kill the task must be whole and usable. */
  const everyStep = async (
    verb: string,
    fresh: () => Promise<Task>,
    check: (task: Task, step: number) => Promise<void>,
  ): Promise<number> => {
    const first = 1 + Math.floor(Math.random() * stride);
    for (let step = first; step < mostSteps; step += stride) {
      const task = await fresh();
      if (!(await killedAt(task.id, verb, step))) return step - stride;
      await check(task, step);
      expect((await open.services.ledger.verify()).ok).toBe(true);
    }
    throw new Error(`${verb} has more than ${mostSteps} steps`);
  };

  const usable = async (task: Task, contents: readonly string[]): Promise<void> => {
    expect(contents).toContain(await sh(task.id, 'cat state'));
    expect(await sh(task.id, 'echo again >state; cat state')).toBe('again\n');
    const view = await open.services.tasks.view(task.id);
    expect(view.runningExecutions).toEqual([]);
    const { containers, volumes } = (await open.services.tasks.delete(task.id, { force: true }, call)).receipt.removed;
    expect(containers).toBe(1);
    // A restore that was cut off after its last transaction leaves the two volumes that it replaced.
    expect([2, 4]).toContain(volumes);
    expect(await home.objectsOf(task.id)).toEqual([]);
  };

  it('leaves the old or the new files when it is killed while making the first sandbox', async () => {
    const fresh = (): Promise<Task> => open.services.tasks.create({ title: 'first exec', image: home.image }, call);
    const steps = await everyStep('exec', fresh, async (task) => {
      expect(['', 'new\n']).toContain(await sh(task.id, 'cat state 2>/dev/null || true'));
      await sh(task.id, 'echo now >state');
      await usable(task, ['now\n']);
    });
    expect(steps).toBeGreaterThan(10);
  });

  it('has the checkpoint whole or not at all', async () => {
    const steps = await everyStep(
      'checkpoint',
      () => prepare('checkpoint'),
      async (task) => {
        for (const { id } of await open.services.checkpoints.list(task.id)) await open.services.checkpoints.verify(id);
        await usable(task, ['now\n']);
      },
    );
    expect(steps).toBeGreaterThan(10);
  });

  it('has the restored files or those before', async () => {
    const steps = await everyStep(
      'restore',
      () => prepare('restore'),
      (task) => usable(task, ['now\n', 'old\n']),
    );
    expect(steps).toBeGreaterThan(20);
  });

  it('can be deleted again after a deletion that was cut off', async () => {
    const steps = await everyStep(
      'delete',
      () => prepare('delete'),
      async (task) => {
        const { receipt } = await open.services.tasks.delete(task.id, { force: true }, call);
        expect(receipt.finalCheckpointId).not.toBeNull();
        expect(await home.objectsOf(task.id)).toEqual([]);
        await expect(open.services.tasks.get(task.id)).rejects.toSatisfy((error) =>
          isOpencodeToolsError(error, 'OCT_TASK_NOT_FOUND'),
        );
      },
    );
    expect(steps).toBeGreaterThan(15);
  });
});
