import { type FileHandle, open as openFile } from 'node:fs/promises';
import type { ExecutionResult, OutputSink, RunCommand, ServiceDependencies, Task } from '@opencode-tools/core';
import { until } from '@opencode-tools/testkit';
import { describe, expect, it } from 'vitest';
import { tester as call, useTestHome } from './support/test-home.ts';

const megabyte = 1_000_000;

const bed = useTestHome();

const create = (title: string, image = bed.home.image): Promise<Task> =>
  bed.open.services.tasks.create({ title, image }, call);
const run = (task: Task, script: string, options: Partial<RunCommand> = {}, by = bed.open): Promise<ExecutionResult> =>
  by.services.executions.run(task.id, { command: { kind: 'script', script }, ...options }, call);

describe('the output of a command', () => {
  it('is kept up to its limit, and the command that exceeds it is ended', async () => {
    const task = await create('output limit');
    const endless = await run(task, 'while :; do echo 0123456789; done', { maxOutputBytes: 5_000 });
    expect(endless.execution).toMatchObject({ state: 'interrupted', reason: 'output-limit', stdout: { bytes: 5_000 } });
    const kept = await bed.open.services.executions.readOutput(endless.execution.id, 'stdout', {});
    expect(kept.totalBytes).toBe(5_000);
    const [record] = await bed.open.services.ledger.history(task.id, { types: ['execution.'] });
    expect(record?.type).toBe('execution.interrupted');
    const brief = await run(task, 'printf 123456 >&2', { maxOutputBytes: 5 });
    expect(brief).toMatchObject({ execution: { reason: 'output-limit' }, stderr: { text: '12345' } });
    expect((await run(task, 'printf 12345', { maxOutputBytes: 5 })).execution).toMatchObject({ reason: 'exited' });
    await expect(run(task, 'true', { maxOutputBytes: 0 })).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
  });

  it('is limited by the configuration', async () => {
    const small = await bed.home.open({ environment: { ...process.env, OPENCODE_TOOLS_EXEC_MAX_OUTPUT: '2k' } });
    const ended = await run(await create('configured limit'), 'yes', {}, small);
    expect(ended.execution).toMatchObject({ reason: 'output-limit', stdout: { bytes: 2_048 } });
    await small.close();
  });

  it('waits for a slow reader in the sandbox, not in memory or on disk', async () => {
    const task = await create('slow reader');
    const { promise: reading, resolve: readOn } = Promise.withResolvers<void>();
    let seen = 0;
    const running = run(task, 'head -c 80000000 /dev/zero', {
      onOutput: async (_stream, chunk) => {
        seen += chunk.length;
        await reading;
      },
    });
    await until(() => seen > 0);
    const other = await create('beside it');
    expect((await run(other, 'head -c 80000000 /dev/zero')).stdout.totalBytes).toBe(80 * megabyte);
    expect(seen).toBeLessThan(megabyte);
    readOn();
    expect((await running).execution).toMatchObject({ reason: 'exited', stdout: { bytes: 80 * megabyte } });
  });

  it('stays on its way only as far as the disk keeps up', async () => {
    const { promise: writing, resolve: writeOn } = Promise.withResolvers<void>();
    let pending = 0;
    const slow = (sink: OutputSink): OutputSink => ({
      write: (chunk) => {
        pending += chunk.length;
        sink.write(chunk);
      },
      drained: async () => writing,
      close: async () => sink.close(),
    });
    const behind = await bed.home.open({
      decorate: withSinks(async (sinks) => ({ ...sinks, stdout: slow(sinks.stdout) })),
    });
    const running = run(await create('slow disk'), 'head -c 40000000 /dev/zero', {}, behind);
    await until(() => pending > megabyte);
    await run(await create('beside the slow disk'), 'head -c 40000000 /dev/zero');
    expect(pending).toBeLessThan(4 * megabyte);
    writeOn();
    expect((await running).stdout.totalBytes).toBe(40 * megabyte);
    await behind.close();
  });

  it('that no disk can hold ends the command with a typed error and loses nothing else', async () => {
    const device = await openFile('/dev/full', 'w');
    const full = await bed.home.open({
      decorate: withSinks(async (sinks) => {
        await sinks.stdout.close();
        return { ...sinks, stdout: writingTo(device) };
      }),
    });
    const task = await create('full disk');
    await run(task, 'echo kept >file');
    const refused = { code: 'OCT_RESOURCE_LIMIT', details: { limit: 'disk' } };
    await expect(run(task, 'echo told >&2; while :; do echo line; done', {}, full)).rejects.toMatchObject(refused);
    const [failed] = (await bed.open.services.executions.list(task.id)).items;
    expect(failed).toMatchObject({ state: 'failed', stderr: { bytes: 5 } });
    expect((await run(task, 'cat file; ps -o args | grep -c "[e]cho line" || true')).stdout.text).toBe('kept\n0\n');
    expect((await bed.open.services.ledger.verify(task.id)).ok).toBe(true);
    await full.close();
    await device.close();
  });

  it('whose reader fails ends the command, which is recorded as failed', async () => {
    const task = await create('failing reader');
    const onOutput = () => Promise.reject(new Error('reader broke'));
    await expect(run(task, 'echo up; sleep 961', { onOutput })).rejects.toThrow('reader broke');
    const [failed] = (await bed.open.services.executions.list(task.id)).items;
    expect(failed).toMatchObject({ state: 'failed', stdout: { bytes: 3 } });
    expect((await run(task, 'ps -o args | grep -c "[s]leep 961" || true')).stdout.text).toBe('0\n');
  });
});

describe('an image', () => {
  it('in which no program can change user has no commands that could forge results, by record and by view', async () => {
    const task = await create('nothing changes user', await bed.home.engine.plainImage());
    expect((await run(task, 'id -u')).stdout.text).toMatch(/^[1-9]\d*\n$/);
    const [record] = await bed.open.services.ledger.history(task.id, { types: ['sandbox.completed'] });
    expect(JSON.parse(record?.payload ?? '')).toMatchObject({ detail: { forgeableResults: false } });
    const again = await bed.home.open();
    expect((await again.services.tasks.view(task.id)).live).toMatchObject({ forgeableResults: false });
    await again.close();
  });

  it('without a shell runs programs, not scripts; its task is checkpointed, restored, taken over and deleted as any', async () => {
    const task = await create('no shell', await bed.home.engine.shellessImage());
    const program = async (...argv: string[]): Promise<ExecutionResult> =>
      bed.open.services.executions.run(task.id, { command: { kind: 'argv', argv } }, call);
    expect((await program('cp', '/etc/passwd', 'kept')).execution).toMatchObject({ reason: 'exited', exitCode: 0 });
    await expect(run(task, 'true')).rejects.toMatchObject({
      code: 'OCT_CAPABILITY_UNSUPPORTED',
      remedy: expect.stringContaining('use an image with a shell') as string,
    });
    const checkpoint = await bed.open.services.checkpoints.create(task.id, {}, call);
    await program('rm', 'kept');
    await bed.open.services.checkpoints.restore(task.id, checkpoint.id, {}, call);
    const { session } = await bed.open.services.sessions.attach(task.id, { agent: 'first' }, call);
    await bed.open.services.sessions.detach(session.id, {}, call);
    expect((await program('ls')).stdout.text).toBe('kept\n');
    expect((await bed.open.services.tasks.view(task.id)).live).toMatchObject({ forgeableResults: false });
    await bed.open.services.tasks.delete(task.id, {}, call);
    expect(await bed.home.objectsOf(task.id)).toEqual([]);
  });
});

type Sinks = Awaited<ReturnType<ServiceDependencies['memory']['openOutput']>>;

function withSinks(change: (sinks: Sinks) => Promise<Sinks>) {
  return (ports: ServiceDependencies): ServiceDependencies => {
    const memory = new Proxy(ports.memory, {
      get: (object, member) => {
        if (member === 'openOutput') {
          return async (...of: Parameters<typeof object.openOutput>) => change(await object.openOutput(...of));
        }
        const value: unknown = Reflect.get(object, member, object);
        return typeof value === 'function' ? (value.bind(object) as unknown) : value;
      },
    });
    return { ...ports, memory };
  };
}

function writingTo(file: FileHandle): OutputSink {
  let writing: Promise<unknown> = Promise.resolve();
  const drained = async (): Promise<void> => void (await writing);
  return {
    write: (chunk) => {
      const kept = Buffer.from(chunk);
      writing = writing.then(async () => file.write(kept));
      writing.catch(() => undefined);
    },
    drained,
    close: async () => {
      await drained();
      return { bytes: 0, digest: '' };
    },
  };
}
