import type { Call, ExecutionResult, Session, Task } from '@opencode-tools/core';
import { until } from '@opencode-tools/testkit';
import { describe, expect, it } from 'vitest';
import { useTestHome } from './support/test-home.ts';

const agent: Call = {
  actor: { kind: 'agent', id: 'tester', agent: 'tester', model: null, session: null, onBehalfOf: null },
};
const person: Call = { actor: { ...agent.actor, kind: 'user', agent: null } };
const mebibyte = 1024 ** 2;

const bed = useTestHome();

const create = (title: string): Promise<Task> =>
  bed.open.services.tasks.create(
    { title, image: bed.home.image, limits: { memoryBytes: 96 * mebibyte, pids: 100, tmpBytes: 90 * mebibyte } },
    agent,
  );
const run = (task: Task, script: string): Promise<ExecutionResult> =>
  bed.open.services.executions.run(task.id, { command: { kind: 'script', script } }, agent);
const output = async (task: Task, script: string): Promise<string> => (await run(task, script)).stdout.text;
const recordsOf = async (task: Task): Promise<readonly string[]> => {
  const types: string[] = [];
  for await (const { type } of bed.open.events.replay(task.id)) types.push(type);
  return types;
};

describe('the sandbox of a task by itself', () => {
  it('is started, paused, stopped, restarted and destroyed, and keeps the work', async () => {
    const { sandboxes } = bed.open.services;
    const task = await create('life');
    await expect(sandboxes.pause(task.id, person)).rejects.toMatchObject({ code: 'OCT_SANDBOX_NOT_FOUND' });
    expect(await sandboxes.start(task.id, {}, agent)).toMatchObject({ state: 'running', generation: 1 });
    await run(task, 'echo work >file; echo mine >~/mine; echo root >/opt/root');
    expect(await sandboxes.pause(task.id, person)).toMatchObject({ state: 'paused' });
    expect(await output(task, 'cat file')).toBe('work\n');
    expect(await sandboxes.stop(task.id, { graceMs: 0 }, agent)).toMatchObject({ state: 'stopped' });
    expect(await sandboxes.restart(task.id, { graceMs: 0 }, agent)).toMatchObject({ state: 'running', generation: 1 });
    expect(await sandboxes.destroy(task.id, {}, agent)).toMatchObject({ state: 'absent', ref: null });
    expect(await sandboxes.destroy(task.id, {}, agent)).toMatchObject({ state: 'absent' });
    expect(await output(task, 'cat file ~/mine /opt/root')).toBe('work\nmine\nroot\n');
    expect((await bed.open.services.tasks.view(task.id)).sandbox).toMatchObject({ state: 'running', generation: 2 });
    await bed.open.services.tasks.delete(task.id, { force: true }, agent);
  });

  it('that somebody paused past opencode-tools is let go on for what waits for it, and by the verb', async () => {
    const { sandboxes, files, sessions } = bed.open.services;
    const task = await create('paused from outside');
    const { session } = await sessions.attach(task.id, { agent: 'tester' }, agent);
    const mine = { sessionId: session.id };
    const say = async () =>
      bed.open.services.executions.run(
        task.id,
        { ...mine, command: { kind: 'script', script: 'echo hi >f; cat f' }, timeoutMs: 30_000 },
        agent,
      );
    await say();
    const pause = async () => bed.home.docker('pause', await ref(task));
    await pause();
    expect(await say()).toMatchObject({
      execution: { exitCode: 0 },
      stdout: { text: 'hi\n' },
      notices: [expect.stringContaining('had paused the sandbox')],
    });
    await pause();
    expect(Buffer.from((await files.read(task.id, { ...mine, path: 'f' }, agent)).bytes).toString()).toBe('hi\n');
    await pause();
    expect(await files.write(task.id, { ...mine, path: 'g', content: Buffer.from('g') }, agent)).toMatchObject({
      created: true,
    });
    await pause();
    await sandboxes.unpause(task.id, person);
    expect(await bed.home.docker('inspect', '-f', '{{.State.Paused}}', await ref(task))).toMatch(/false/);
    await bed.open.services.tasks.delete(task.id, { force: true }, agent);
  });

  it('takes other limits while a command runs, asked for by an agent and granted by a person', async () => {
    const { sandboxes } = bed.open.services;
    const task = await create('limits');
    const limitsOf = async () =>
      JSON.parse(await bed.home.docker('inspect', '-f', '{{json .HostConfig}}', await ref(task)));
    await run(task, 'true');
    const wanted = { memoryBytes: 128 * mebibyte, pids: 200 };
    await expect(sandboxes.update(task.id, { limits: wanted }, {}, agent)).rejects.toMatchObject({
      code: 'OCT_POLICY_DENIED',
    });
    await expect(
      sandboxes.requestLimits(task.id, { limits: { memoryBytes: 2 ** 45 }, reason: 'all of it' }, agent),
    ).rejects.toMatchObject({ code: 'OCT_RESOURCE_LIMIT', details: { limit: 'memoryBytes' } });
    await expect(sandboxes.answerLimits(task.id, { granted: true }, person)).rejects.toMatchObject({
      code: 'OCT_INVALID_ARGUMENT',
    });
    expect(await sandboxes.requestLimits(task.id, { limits: wanted, reason: 'a large build' }, agent)).toMatchObject({
      limits: wanted,
      requestedBy: 'tester',
    });
    await expect(sandboxes.answerLimits(task.id, { granted: true }, agent)).rejects.toMatchObject({
      code: 'OCT_POLICY_DENIED',
    });
    const running = run(task, 'until [ -e done ]; do sleep 0.1; done; echo went on');
    expect(await sandboxes.answerLimits(task.id, { granted: true }, person)).toMatchObject({ applied: 'live' });
    await bed.home.docker('exec', '-u', '1000:1000', await ref(task), 'touch', '/workspace/done');
    expect((await running).stdout.text).toBe('went on\n');
    expect(await limitsOf()).toMatchObject({
      Memory: wanted.memoryBytes,
      MemorySwap: wanted.memoryBytes,
      PidsLimit: 200,
    });
    expect((await bed.open.services.tasks.get(task.id)).limitRequest).toBeNull();
    expect(await sandboxes.update(task.id, { limits: { pids: 150 } }, {}, agent)).toMatchObject({ applied: 'live' });
    await bed.open.services.tasks.delete(task.id, { force: true }, agent);
  });

  it('is made anew for what is fixed in a container, when that is allowed', async () => {
    const { sandboxes } = bed.open.services;
    const task = await create('recreate');
    await run(task, 'echo work >file; echo root >/opt/root');
    const settings = { readOnlyRoot: true };
    await expect(sandboxes.update(task.id, settings, {}, agent)).rejects.toMatchObject({
      code: 'OCT_INVALID_ARGUMENT',
    });
    expect(await sandboxes.update(task.id, settings, { recreate: true }, agent)).toMatchObject({
      applied: 'recreated',
    });
    expect(await output(task, 'echo no >/opt/root; cat file /opt/root; echo yes >/run/mine && cat /run/mine')).toBe(
      'work\nroot\nyes\n',
    );
    await bed.open.services.tasks.delete(task.id, { force: true }, agent);
  });
});

describe('a sandbox that nears its limits', () => {
  it('is told of, saved and held, and goes on with higher limits', async () => {
    const { sandboxes, monitor } = bed.open.services;
    const task = await create('pressure');
    const { session } = await bed.open.services.sessions.attach(task.id, { agent: 'tester' }, agent);
    const keptAlive = new Set([session.id]);
    const runHere = (script: string): Promise<ExecutionResult> =>
      bed.open.services.executions.run(task.id, { command: { kind: 'script', script }, sessionId: session.id }, agent);
    const rounds = async (): Promise<readonly (string | undefined)[]> => {
      const levels: (string | undefined)[] = [];
      for (let round = 0; round < 2; round += 1)
        levels.push((await monitor.round({ keptAlive })).find(({ taskId }) => taskId === task.id)?.pressure.level);
      return levels;
    };
    await runHere('head -c 70000000 /dev/zero >/tmp/held');
    expect(await rounds()).toEqual([undefined, 'warning']);
    await runHere('rm /tmp/held; while set -- /proc/[0-9]*; [ $# -lt 98 ]; do sleep 3000 & done');
    await until(async () => {
      await monitor.round({ keptAlive });
      return (await bed.open.services.tasks.view(task.id)).sandbox?.hold != null;
    }, 30_000);
    expect((await bed.open.services.tasks.view(task.id)).live).toMatchObject({ state: 'paused' });
    expect((await bed.open.services.checkpoints.list(task.id)).length).toBeGreaterThan(0);
    await expect(runHere('true')).rejects.toMatchObject({ code: 'OCT_RESOURCE_LIMIT', details: { limit: 'held' } });
    await sandboxes.requestLimits(task.id, { limits: { pids: 300 }, reason: 'more' }, agent);
    await sandboxes.answerLimits(task.id, { granted: true }, person);
    expect((await runHere('echo goes on')).stdout.text).toBe('goes on\n');
    const types = await recordsOf(task);
    for (const type of ['sandbox.limit_neared', 'sandbox.paused', 'sandbox.limits_requested', 'sandbox.limits_granted'])
      expect(types).toContain(type);
    await bed.open.services.tasks.delete(task.id, { force: true }, agent);
  });

  it('goes on as it is once it is let go on, and is held no longer once what ran in it has ended', async () => {
    const { sandboxes, monitor, sessions, executions, tasks } = bed.open.services;
    const task = await create('let go on');
    // So many that near the limit there is room for commands.
    await sandboxes.update(task.id, { limits: { pids: 200 } }, {}, person);
    const holds = async (): Promise<boolean> => (await tasks.view(task.id)).sandbox?.hold != null;
    const work = (sessionId: Session['id'], script: string): Promise<ExecutionResult> =>
      executions.run(task.id, { command: { kind: 'script', script }, sessionId }, agent);
    const fill = async (sessionId: Session['id']): Promise<void> => {
      await work(sessionId, 'while set -- /proc/[0-9]*; [ $# -lt 194 ]; do sleep 3000 & done');
      await until(async () => {
        await monitor.round({ keptAlive: new Set([sessionId]) });
        return holds();
      }, 30_000);
    };
    const attach = async (takeover: boolean): Promise<Session['id']> =>
      (await sessions.attach(task.id, { agent: 'tester', takeover }, agent)).session.id;
    const first = await attach(false);
    await fill(first);
    await sandboxes.unpause(task.id, agent);
    for (let round = 0; round < 4; round += 1) await monitor.round({ keptAlive: new Set([first]) });
    expect(await holds()).toBe(false);
    expect((await work(first, 'echo goes on')).stdout.text).toBe('goes on\n');

    await sandboxes.stop(task.id, { sessionId: first }, agent);
    expect((await work(first, 'echo stopped')).stdout.text).toBe('stopped\n');

    await fill(first);
    const second = await attach(true);
    expect(await holds()).toBe(false);
    expect((await work(second, 'echo taken over')).stdout.text).toBe('taken over\n');

    await fill(second);
    await sessions.detach(second, { reason: 'tomorrow' }, agent);
    expect((await work(await attach(false), 'echo tomorrow')).stdout.text).toBe('tomorrow\n');
    await tasks.delete(task.id, { force: true }, agent);
  });

  it('is not near it for files that were read, which the kernel lets go of when memory is wanted', async () => {
    const { monitor, tasks } = bed.open.services;
    const task = await create('files that were read');
    await run(task, 'head -c 92000000 /dev/zero >big; for i in 1 2 3; do cat big >/dev/null; done');
    for (let round = 0; round < 3; round += 1) await monitor.round();
    expect((await tasks.view(task.id)).sandbox?.pressure ?? null).toBeNull();
    expect(await output(task, 'echo goes on')).toBe('goes on\n');
    await tasks.delete(task.id, { force: true }, agent);
  });

  it('tells the caller of a command that stands still because it is held, at once and with the result', async () => {
    const { sandboxes, monitor, executions, tasks } = bed.open.services;
    const task = await create('stands still');
    await sandboxes.update(task.id, { limits: { pids: 200 } }, {}, person);
    const told: string[] = [];
    const fill = 'while set -- /proc/[0-9]*; [ $# -lt 194 ]; do sleep 3000 & done; sleep 8; echo over';
    const running = executions.run(
      task.id,
      { command: { kind: 'script', script: fill }, onNotice: (notice) => void told.push(notice) },
      agent,
    );
    await until(async () => {
      await monitor.round();
      return (await tasks.view(task.id)).sandbox?.hold != null;
    }, 30_000);
    await until(() => told.length > 0, 30_000);
    await sandboxes.unpause(task.id, person);
    const { stdout, notices } = await running;
    expect(stdout.text).toBe('over\n');
    expect(notices).toEqual(told);
    expect(told).toEqual([expect.stringMatching(/was held.*% of its processes.*stands still.*control_task_sandbox/)]);
    await tasks.delete(task.id, { force: true }, agent);
  });

  it('tells the caller of a command that ran out of memory what the limit was and what to ask for', async () => {
    const task = await create('out of memory');
    await run(task, 'true');
    const watch = bed.open.services.monitor.start();
    await until(async () => {
      const { execution, notices } = await run(task, 'tail /dev/zero');
      expect(execution).toMatchObject({ reason: 'out-of-memory' });
      expect(notices?.join()).toMatch(/may use 96 MiB.*such as 192 MiB: opencode-tools sandbox request/);
      return (await recordsOf(task)).includes('sandbox.out_of_memory');
    }, 30_000);
    await watch.close();
    await bed.open.services.tasks.delete(task.id, { force: true }, agent);
  });

  it('tells the caller of a command that could make no further process what the limit is and what to ask for', async () => {
    const task = await create('out of processes');
    const { notices } = await run(task, 'i=0; while [ $i -lt 200 ]; do sleep 5 & i=$((i+1)); done');
    expect(notices?.join()).toMatch(/may have 100 processes and threads.*such as 200: opencode-tools sandbox request/);
    await bed.open.services.tasks.delete(task.id, { force: true }, agent);
  });
});

async function ref(task: Task): Promise<string> {
  return (await bed.open.services.tasks.view(task.id)).sandbox?.ref ?? '';
}
