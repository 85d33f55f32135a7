import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { type Call, type ExecutionId, type SessionId, type Task, parseId } from '@opencode-tools/core';
import { until } from '@opencode-tools/testkit';
import { describe, expect, it } from 'vitest';
import { useTestHome } from './support/test-home.ts';

const call: Call = {
  actor: { kind: 'agent', id: 'test', agent: 'test', model: null, session: null, onBehalfOf: null },
};
const child = fileURLToPath(new URL('./support/start-background.ts', import.meta.url));

describe('a command in the background of a task', () => {
  const bed = useTestHome();

  const attached = async (title: string, takeover = false): Promise<{ task: Task; sessionId: SessionId }> => {
    const task = await bed.open.services.tasks.create({ title, image: bed.home.image }, call);
    const { session } = await bed.open.services.sessions.attach(task.id, { agent: 'test', takeover }, call);
    return { task, sessionId: session.id };
  };
  const start = async (task: Task, sessionId: SessionId, script: string, more: object = {}): Promise<ExecutionId> => {
    const options = { command: { kind: 'script', script }, sessionId, ...more } as const;
    return (await bed.open.services.executions.start(task.id, options, call)).id;
  };
  const wait = async (id: ExecutionId) => bed.open.services.executions.wait(id, { timeoutMs: 60_000 }, call);
  const output = async (id: ExecutionId, stream: 'stdout' | 'stderr' = 'stdout') =>
    Buffer.from((await bed.open.services.executions.readOutput(id, stream)).bytes).toString();
  const run = async (task: Task, sessionId: SessionId, script: string) =>
    bed.open.services.executions.run(task.id, { command: { kind: 'script', script }, sessionId }, call);

  it('is recorded when it starts and when it ends, with its whole output, while other commands run', async () => {
    const { task, sessionId } = await attached('recorded');
    const id = await start(
      task,
      sessionId,
      'echo up; until [ -e go ]; do sleep 0.05; done; echo over; echo odd >&2; exit 3',
    );
    expect(await bed.open.services.executions.get(id)).toMatchObject({ state: 'running', background: true });
    await until(async () => (await output(id)) === 'up\n');
    expect((await run(task, sessionId, ': >go; echo beside')).stdout.text).toBe('beside\n');
    expect(await wait(id)).toMatchObject({ state: 'exited', reason: 'exited', exitCode: 3, stdout: { bytes: 8 } });
    expect([await output(id), await output(id, 'stderr')]).toEqual(['up\nover\n', 'odd\n']);
    const records = (await bed.open.services.ledger.history(task.id, { limit: 500 })).filter(
      ({ type }) => type === 'execution.requested' || type === 'execution.completed',
    );
    expect(records.map(({ type }) => type).toReversed()).toEqual([
      'execution.requested',
      'execution.requested',
      'execution.completed',
      'execution.completed',
    ]);
    expect((await bed.open.services.ledger.verify()).ok).toBe(true);
  });

  it('goes on when whoever started it is killed; another process reads, writes to and settles it', async () => {
    const { task, sessionId } = await attached('survives');
    const script = 'i=0; until [ -e go ]; do i=$((i+1)); echo $i; sleep 0.02; done; echo last';
    const argv = ['--conditions=@opencode-tools/source', child, bed.home.directory, task.id, sessionId, script];
    const starter = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = (await once(starter.stdout, 'data')) as [Buffer];
    const id = parseId('execution', line.toString().trim());
    const gone = once(starter, 'exit');
    starter.kill('SIGKILL');
    await gone;
    const before = (await output(id)).length;
    await until(async () => (await output(id)).length > before);
    expect(await bed.open.services.executions.poll(id, call)).toMatchObject({ state: 'running' });
    await run(task, sessionId, ': >go');
    expect(await wait(id)).toMatchObject({ state: 'exited', exitCode: 0 });
    const lines = (await output(id)).trimEnd().split('\n');
    expect(lines.at(-1)).toBe('last');
    expect(lines.slice(0, -1)).toEqual(lines.slice(0, -1).map((_, index) => String(index + 1)));
    expect((await bed.open.services.ledger.verify()).ok).toBe(true);
  });

  it('is nothing that the doctor finds fault with when its process is gone, unless its sandbox is gone too', async () => {
    const { task, sessionId } = await attached('healthy');
    const argv = ['--conditions=@opencode-tools/source', child, bed.home.directory, task.id, sessionId, 'sleep 647'];
    const starter = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = (await once(starter.stdout, 'data')) as [Buffer];
    const id = parseId('execution', line.toString().trim());
    const gone = once(starter, 'exit');
    starter.kill('SIGKILL');
    await gone;
    const found = async () =>
      (await bed.open.services.doctor.run(call)).findings.filter((one) => one.subject === task.id);
    expect(await found()).toEqual([]);
    expect(await bed.open.services.executions.poll(id, call)).toMatchObject({ state: 'running' });
    const { sandbox } = await bed.open.services.tasks.view(task.id);
    await bed.home.docker('rm', '-f', sandbox?.ref ?? '');
    expect(await found()).toMatchObject([
      { severity: 'warning', message: expect.stringContaining('Operations of a dead process') as string },
    ]);
  });

  it('reads what is written to it, and takes signals', async () => {
    const { task, sessionId } = await attached('controlled');
    const { executions } = bed.open.services;
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
    const ended = await wait(endless);
    expect(ended).toMatchObject({ reason: 'output-limit', signal: 'SIGKILL', stdout: { bytes: 100_000 } });
    expect(ended.durationMs).toEqual(expect.any(Number));
    const { executions } = bed.open.services;
    const over = { code: 'OCT_INVALID_ARGUMENT', message: expect.stringContaining('it put out more than is kept') };
    await expect(executions.signal(endless, 'SIGTERM', { sessionId }, call)).rejects.toMatchObject(over);
    await expect(executions.writeInput(endless, { end: true, sessionId }, call)).rejects.toMatchObject(over);
    await expect(executions.signal(late, 'SIGTERM', { sessionId }, call)).rejects.toMatchObject({
      message: expect.stringContaining('its time was over'),
    });
  });

  it('ends when another session takes the task over, and keeps its output', async () => {
    const { task, sessionId } = await attached('taken');
    const id = await start(task, sessionId, 'echo one; sleep 643');
    await until(async () => (await output(id)) === 'one\n');
    await bed.open.services.sessions.attach(task.id, { agent: 'next', takeover: true }, call);
    expect(await bed.open.services.executions.get(id)).toMatchObject({ state: 'interrupted', reason: 'fenced' });
    expect(await output(id)).toBe('one\n');
  });

  it('may end by itself when the task is stopped, and keeps its output', async () => {
    const { task, sessionId } = await attached('stopped');
    const script = 'trap "echo asked; exit 0" TERM; echo two; while :; do sleep 0.05; done';
    const id = await start(task, sessionId, script);
    await until(async () => (await output(id)) === 'two\n');
    await bed.open.services.tasks.stop(task.id, { graceMs: 20_000, sessionId }, call);
    expect(await bed.open.services.executions.get(id)).toMatchObject({ state: 'exited', exitCode: 0 });
    expect(await output(id)).toBe('two\nasked\n');
  });

  it('ends when the task is deleted', async () => {
    const { task, sessionId } = await attached('deleted');
    const id = await start(task, sessionId, 'sleep 644');
    await bed.open.services.tasks.delete(task.id, { sessionId }, call);
    expect((await bed.open.services.executions.get(id)).state).toBe('interrupted');
  });

  it('is lost with its container, which is told', async () => {
    const { task, sessionId } = await attached('lost');
    const id = await start(task, sessionId, 'echo kept; sleep 645');
    await until(async () => (await output(id)) === 'kept\n');
    const { sandbox } = await bed.open.services.tasks.view(task.id);
    await bed.home.docker('rm', '-f', sandbox?.ref ?? '');
    expect(await wait(id)).toMatchObject({ state: 'interrupted', reason: 'sandbox-gone', stdout: { bytes: 5 } });
  });

  it('belongs to a session, and starts once per key', async () => {
    const { task, sessionId } = await attached('keyed');
    const command = { kind: 'script', script: 'echo x >>count; sleep 646' } as const;
    const keyed = { ...call, idempotencyKey: 'once' };
    const first = await bed.open.services.executions.start(task.id, { command, sessionId }, keyed);
    const again = await bed.open.services.executions.start(task.id, { command, sessionId }, keyed);
    expect(again.id).toBe(first.id);
    expect((await run(task, sessionId, 'until [ -s count ]; do sleep 0.05; done; cat count')).stdout.text).toBe('x\n');
    await expect(bed.open.services.executions.start(task.id, { command }, call)).rejects.toMatchObject({
      code: 'OCT_INVALID_ARGUMENT',
    });
  });

  it.each(['its task', 'its own'])('puts no secret of %s out, whoever takes its output and whenever', async (whose) => {
    const secret = 'canary-5b1e77a0c4d2';
    const withSecret = { ...process.env, BACKGROUND_CANARY: secret };
    const [starter, taker] = [
      await bed.home.open({ environment: withSecret }),
      await bed.home.open({ environment: withSecret }),
    ];
    const env = [{ name: 'TOKEN', from: 'env', variable: 'BACKGROUND_CANARY' }] as const;
    const forTask = whose === 'its task' ? { env } : {};
    const forCommand = whose === 'its own' ? { secrets: env } : {};
    const task = await starter.services.tasks.create({ title: 'secret', image: bed.home.image, ...forTask }, call);
    const { session } = await starter.services.sessions.attach(task.id, { agent: 'test' }, call);
    const half = `printf '%s' "$TOKEN" | head -c 9`;
    const script = `echo "a $TOKEN b"; ${half}; until [ -e go ]; do sleep 0.05; done; printf '%s' "$TOKEN" | tail -c +10; echo; head -c 1500000 /dev/zero | tr '\\0' x; echo "$TOKEN"; ${half}`;
    const command = { kind: 'script', script } as const;
    const { id } = await starter.services.executions.start(
      task.id,
      { command, sessionId: session.id, ...forCommand },
      call,
    );
    await starter.close();
    const seen = async (): Promise<string> => {
      await taker.services.executions.poll(id, call);
      return Buffer.from((await taker.services.executions.readOutput(id, 'stdout')).bytes).toString();
    };
    const stars = '*'.repeat(secret.length);
    await until(async () => (await seen()) === `a ${stars} b\n`);
    await expect(bed.open.services.executions.poll(id, call)).rejects.toMatchObject({
      message: expect.stringContaining('BACKGROUND_CANARY is not set') as string,
    });
    const changed = await bed.home.open({ environment: { ...withSecret, BACKGROUND_CANARY: 'canary-of-another-day' } });
    await expect(changed.services.executions.poll(id, call)).rejects.toMatchObject({
      code: 'OCT_INVALID_ARGUMENT',
      message: expect.stringContaining('other values than when it started') as string,
    });
    await changed.close();
    const go = { command: { kind: 'script', script: ': >go' }, sessionId: session.id } as const;
    await taker.services.executions.run(task.id, go, call);
    const ended = await taker.services.executions.wait(id, { timeoutMs: 60_000 }, call);
    const whole = `a ${stars} b\n${stars}\n${'x'.repeat(1_500_000)}${stars}\n${secret.slice(0, 9)}`;
    expect(ended.stdout?.bytes).toBe(whole.length);
    const page = await taker.services.executions.readOutput(id, 'stdout', { offset: 1_500_000 });
    expect(Buffer.from(page.bytes).toString()).toBe(whole.slice(1_500_000));
    await taker.close();
  });

  it('whose secret is not known any more can still be ended and its task deleted', async () => {
    const other = await bed.home.open({ environment: { ...process.env, GONE_CANARY: 'canary-0c9f44be12' } });
    const env = [{ name: 'TOKEN', from: 'env', variable: 'GONE_CANARY' }] as const;
    const task = await other.services.tasks.create({ title: 'gone', image: bed.home.image, env }, call);
    const { session } = await other.services.sessions.attach(task.id, { agent: 'test' }, call);
    const command = { kind: 'script', script: 'echo "$TOKEN"; sleep 600' } as const;
    const { id } = await other.services.executions.start(task.id, { command, sessionId: session.id }, call);
    await other.close();
    await bed.open.services.tasks.stop(task.id, {}, call);
    expect(await bed.open.services.executions.get(id)).toMatchObject({ state: 'interrupted' });
    await bed.open.services.tasks.delete(task.id, {}, call);
  });
});
