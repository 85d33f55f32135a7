import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { type Call, type ExecutionId, type OpenHome, type SessionId, type Task, parseId } from '@opencode-tools/core';
import { until } from '@opencode-tools/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type TestHome, createTestHome } from './support/test-home.ts';

const call: Call = {
  actor: { kind: 'agent', id: 'test', agent: 'test', model: null, session: null, onBehalfOf: null },
};
const child = fileURLToPath(new URL('./support/start-background.ts', import.meta.url));

describe('a command in the background of a task', () => {
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

  const attached = async (title: string, takeover = false): Promise<{ task: Task; sessionId: SessionId }> => {
    const task = await open.services.tasks.create({ title, image: home.image }, call);
    const { session } = await open.services.sessions.attach(task.id, { agent: 'test', takeover }, call);
    return { task, sessionId: session.id };
  };
  const start = async (task: Task, sessionId: SessionId, script: string, more: object = {}): Promise<ExecutionId> => {
    const options = { command: { kind: 'script', script }, sessionId, ...more } as const;
    return (await open.services.executions.start(task.id, options, call)).id;
  };
  const wait = async (id: ExecutionId) => open.services.executions.wait(id, { timeoutMs: 60_000 }, call);
  const output = async (id: ExecutionId, stream: 'stdout' | 'stderr' = 'stdout') =>
    Buffer.from((await open.services.executions.readOutput(id, stream)).bytes).toString();
  const run = async (task: Task, sessionId: SessionId, script: string) =>
    open.services.executions.run(task.id, { command: { kind: 'script', script }, sessionId }, call);

  it('is recorded when it starts and when it ends, with its whole output, while other commands run', async () => {
    const { task, sessionId } = await attached('recorded');
    const id = await start(
      task,
      sessionId,
      'echo up; until [ -e go ]; do sleep 0.05; done; echo over; echo odd >&2; exit 3',
    );
    expect(await open.services.executions.get(id)).toMatchObject({ state: 'running', background: true });
    await until(async () => (await output(id)) === 'up\n');
    expect((await run(task, sessionId, ': >go; echo beside')).stdout.text).toBe('beside\n');
    expect(await wait(id)).toMatchObject({ state: 'exited', reason: 'exited', exitCode: 3, stdout: { bytes: 8 } });
    expect([await output(id), await output(id, 'stderr')]).toEqual(['up\nover\n', 'odd\n']);
    const records = (await open.services.ledger.history(task.id, { limit: 500 })).filter(
      ({ type }) => type === 'execution.requested' || type === 'execution.completed',
    );
    expect(records.map(({ type }) => type).toReversed()).toEqual([
      'execution.requested',
      'execution.requested',
      'execution.completed',
      'execution.completed',
    ]);
    expect((await open.services.ledger.verify()).ok).toBe(true);
  });

  it('goes on when whoever started it is killed; another process reads, writes to and settles it', async () => {
    const { task, sessionId } = await attached('survives');
    const script = 'i=0; until [ -e go ]; do i=$((i+1)); echo $i; sleep 0.02; done; echo last';
    const argv = ['--conditions=@opencode-tools/source', child, home.directory, task.id, sessionId, script];
    const starter = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = (await once(starter.stdout, 'data')) as [Buffer];
    const id = parseId('execution', line.toString().trim());
    const gone = once(starter, 'exit');
    starter.kill('SIGKILL');
    await gone;
    const before = (await output(id)).length;
    await until(async () => (await output(id)).length > before);
    expect(await open.services.executions.poll(id, call)).toMatchObject({ state: 'running' });
    await run(task, sessionId, ': >go');
    expect(await wait(id)).toMatchObject({ state: 'exited', exitCode: 0 });
    const lines = (await output(id)).trimEnd().split('\n');
    expect(lines.at(-1)).toBe('last');
    expect(lines.slice(0, -1)).toEqual(lines.slice(0, -1).map((_, index) => String(index + 1)));
    expect((await open.services.ledger.verify()).ok).toBe(true);
  });

  it('reads what is written to it, and takes signals', async () => {
    const { task, sessionId } = await attached('controlled');
    const { executions } = open.services;
    const id = await start(task, sessionId, 'cat; echo end', { openInput: true });
    await executions.writeInput(id, { bytes: Buffer.from('some\0bytes\n'), sessionId }, call);
    await until(async () => (await output(id)) === 'some\0bytes\n');
    await executions.writeInput(id, { end: true, sessionId }, call);
    expect(await wait(id)).toMatchObject({ exitCode: 0 });
    expect(await output(id)).toBe('some\0bytes\nend\n');
    const sleeper = await start(task, sessionId, 'exec sleep 641');
    await executions.signal(sleeper, 'SIGTERM', { sessionId }, call);
    expect(await wait(sleeper)).toMatchObject({ reason: 'signalled', signal: 'SIGTERM' });
    await expect(executions.signal(sleeper, 'SIGTERM', { sessionId }, call)).rejects.toMatchObject({
      code: 'OCT_INVALID_ARGUMENT',
    });
  });

  it('ends by its time limit, and by the limit of its output', async () => {
    const { task, sessionId } = await attached('limited');
    const late = await start(task, sessionId, 'echo early; sleep 642', { timeoutMs: 1_000 });
    expect(await wait(late)).toMatchObject({ state: 'interrupted', reason: 'timeout', stdout: { bytes: 6 } });
    const endless = await start(task, sessionId, 'yes', { maxOutputBytes: 100_000 });
    expect(await wait(endless)).toMatchObject({ reason: 'output-limit', stdout: { bytes: 100_000 } });
  });

  it('ends when another session takes the task over, and keeps its output', async () => {
    const { task, sessionId } = await attached('taken');
    const id = await start(task, sessionId, 'echo one; sleep 643');
    await until(async () => (await output(id)) === 'one\n');
    await open.services.sessions.attach(task.id, { agent: 'next', takeover: true }, call);
    expect(await open.services.executions.get(id)).toMatchObject({ state: 'interrupted', reason: 'fenced' });
    expect(await output(id)).toBe('one\n');
  });

  it('may end by itself when the task is stopped, and keeps its output', async () => {
    const { task, sessionId } = await attached('stopped');
    const script = 'trap "echo asked; exit 0" TERM; echo two; while :; do sleep 0.05; done';
    const id = await start(task, sessionId, script);
    await until(async () => (await output(id)) === 'two\n');
    await open.services.tasks.stop(task.id, { graceMs: 20_000, sessionId }, call);
    expect(await open.services.executions.get(id)).toMatchObject({ state: 'exited', exitCode: 0 });
    expect(await output(id)).toBe('two\nasked\n');
  });

  it('ends when the task is deleted', async () => {
    const { task, sessionId } = await attached('deleted');
    const id = await start(task, sessionId, 'sleep 644');
    await open.services.tasks.delete(task.id, { sessionId }, call);
    expect((await open.services.executions.get(id)).state).toBe('interrupted');
  });

  it('is lost with its container, which is told', async () => {
    const { task, sessionId } = await attached('lost');
    const id = await start(task, sessionId, 'echo kept; sleep 645');
    await until(async () => (await output(id)) === 'kept\n');
    const { sandbox } = await open.services.tasks.view(task.id);
    await home.docker('rm', '-f', sandbox?.ref ?? '');
    expect(await wait(id)).toMatchObject({ state: 'interrupted', reason: 'sandbox-gone', stdout: { bytes: 5 } });
  });

  it('belongs to a session, and starts once per key', async () => {
    const { task, sessionId } = await attached('keyed');
    const command = { kind: 'script', script: 'echo x >>count; sleep 646' } as const;
    const keyed = { ...call, idempotencyKey: 'once' };
    const first = await open.services.executions.start(task.id, { command, sessionId }, keyed);
    const again = await open.services.executions.start(task.id, { command, sessionId }, keyed);
    expect(again.id).toBe(first.id);
    expect((await run(task, sessionId, 'until [ -s count ]; do sleep 0.05; done; cat count')).stdout.text).toBe('x\n');
    await expect(open.services.executions.start(task.id, { command }, call)).rejects.toMatchObject({
      code: 'OCT_INVALID_ARGUMENT',
    });
  });
});
