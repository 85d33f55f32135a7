import { type SandboxHandle, createIds, silentLogger, systemClock } from '@opencode-tools/core';
import { type TestEngine, openEngineProxy, openTestEngine, runIn, samplePlan, until } from '@opencode-tools/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createDockerRuntime } from '../index.ts';

const ids = createIds(systemClock);
let engine: TestEngine;
let imageId: string;
let shared: SandboxHandle;
const open = (endpoint?: string) =>
  createDockerRuntime({
    environment: process.env,
    homeId: engine.homeId,
    ids,
    clock: systemClock,
    logger: silentLogger,
    ...(endpoint === undefined ? {} : { endpoint }),
  });
let parts: ReturnType<typeof open>;
let others: ReturnType<typeof open>;

beforeAll(async () => {
  engine = await openTestEngine();
  imageId = await engine.shellessImage();
  parts = open();
  others = open();
  shared = await parts.runtime.create(samplePlan(engine.homeId, imageId));
});
afterAll(async () => {
  await shared.destroy();
  await parts.runtime.close();
  await others.runtime.close();
  await engine.close();
});

async function withSandbox(
  use: (sandbox: SandboxHandle) => Promise<void>,
  change: Parameters<typeof samplePlan>[2] = {},
): Promise<void> {
  const sandbox = await parts.runtime.create(samplePlan(engine.homeId, imageId, change));
  try {
    await use(sandbox);
  } finally {
    await sandbox.destroy();
  }
}

/** How many processes of commands there are. */
const running = async ({ ref }: SandboxHandle): Promise<number> => {
  const path = `/containers/${ref}/top?ps_args=${encodeURIComponent('-eo pid,uid')}`;
  const { Processes } = await engine.call<{ Processes: string[][] }>('GET', path);
  return Processes.filter(([, uid]) => uid === '1000').length;
};

async function programVolume(ref: string): Promise<string | undefined> {
  const { Mounts } = await engine.call<{ Mounts: { Name: string; Destination: string }[] }>(
    'GET',
    `/containers/${ref}/json`,
  );
  return Mounts.find(({ Destination }) => Destination === '/run/oct/program')?.Name;
}

describe('a sandbox on an image without a shell', () => {
  test('runs programs as its user, in their directory, with their variables and arguments', async () => {
    const words = ['printf', '%s|', 'a b', '', '$HOME', "it's", 'line\nbreak\n', '*'];
    expect((await runIn(shared, words)).stdout).toBe(`${words.slice(2).join('|')}|`);
    expect(await runIn(shared, ['pwd'], { cwd: '/tmp' })).toMatchObject({ stdout: '/tmp\n', exitCode: 0 });
    expect((await runIn(shared, ['id', '-u'])).stdout).toBe('1000\n');
    const { stdout } = await runIn(shared, ['env'], { env: { ONE: 'a b\n"c" $d' } });
    expect(stdout).toContain('\nONE=a b\n"c" $d\n');
    expect(stdout).toContain('\nHOME=/home/agent\n');
    expect((await runIn(shared, ['grep', '-h', '^Cap[EP]\\|^NoNew', '/proc/self/status'])).stdout).toBe(
      'CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\n',
    );
  });
  test('gives exit codes, outputs apart and input byte for byte', async () => {
    expect(await runIn(shared, ['false'])).toMatchObject({ reason: 'exited', exitCode: 1 });
    expect(await runIn(shared, ['env', 'no-such'])).toMatchObject({ reason: 'exited', exitCode: 127, stdout: '' });
    const dying = ['timeout', '-s', 'KILL', '0.1', 'sleep', '5'];
    expect(await runIn(shared, dying)).toMatchObject({ reason: 'signalled', exitCode: null, signal: 'SIGKILL' });
    const stdin = Buffer.from('\xff\0\x1e\x80no end', 'latin1');
    expect((await runIn(shared, ['cat'], { stdin })).stdoutBytes).toEqual(stdin);
    expect(await runIn(shared, ['cat'])).toMatchObject({ stdout: '', exitCode: 0 });
    expect(await runIn(shared, ['ls', '/', '/no/such'])).toMatchObject({
      stdout: expect.stringContaining('workspace') as string,
      stderr: 'ls: /no/such: No such file or directory\n',
    });
  });
  test('tells a missing program from a missing directory', async () => {
    expect(await runIn(shared, ['no-such'])).toMatchObject({ exitCode: 127, stderr: 'no-such: not found\n' });
    expect(await runIn(shared, ['./no-such'])).toMatchObject({ exitCode: 127 });
    expect(await runIn(shared, ['/etc/passwd'])).toMatchObject({ exitCode: 126 });
    expect(await runIn(shared, ['true'], { cwd: '/no/such' })).toMatchObject({
      exitCode: 126,
      stderr: '/no/such: cannot be the working directory\n',
    });
  });
  test('ends a command by its time limit or when it is cancelled, and nothing else', async () => {
    await withSandbox(async (sandbox) => {
      const other = runIn(sandbox, ['sleep', '931']);
      await until(async () => (await running(sandbox)) > 0);
      expect(await runIn(sandbox, ['sleep', '932'], { timeoutMs: 500 })).toMatchObject({
        reason: 'timeout',
      });
      const abort = new AbortController();
      const ended = runIn(sandbox, ['sleep', '933'], { signal: abort.signal });
      await until(async () => (await running(sandbox)) > 1);
      abort.abort();
      expect(await ended).toMatchObject({ reason: 'cancelled', exitCode: null });
      expect(await running(sandbox)).toBe(1);
      expect((await sandbox.endAll()).ended).toBe(1);
      expect(await other).toMatchObject({ exitCode: null });
    });
  });
  test('keeps programs in the background, with their input, and runs them on a terminal', async () => {
    const executionId = ids.next('execution');
    const request = { token: 5, cwd: '/tmp', env: {}, command: { kind: 'argv', argv: ['cat'] } } as const;
    await shared.background.spawn({ ...request, executionId, timeoutMs: 60_000, openInput: true });
    await shared.background.write(executionId, 5, Buffer.from('heard\n'));
    await shared.background.endInput(executionId);
    await until(async () => (await shared.background.look(executionId)).kind === 'ended');
    expect(await shared.background.look(executionId)).toMatchObject({ outcome: { reason: 'exited', exitCode: 0 } });
    expect(Buffer.from((await shared.background.pull(executionId, 'stdout', 0)) ?? []).toString()).toBe('heard\n');
    await shared.background.forget(executionId);
    let shown = '';
    const ended = await shared.runTerminal({
      ...request,
      executionId: ids.next('execution'),
      command: { kind: 'argv', argv: ['pwd'] },
      size: { columns: 80, rows: 24 },
      onOpen: () => undefined,
      onOutput: (chunk) => void (shown += Buffer.from(chunk).toString()),
    });
    expect([ended.exitCode, shown]).toEqual([0, '/tmp\r\n']);
  });
  test('cannot be stopped by its commands', async () => {
    expect(await runIn(shared, ['kill', '-9', '1'])).toMatchObject({ exitCode: 1 });
    expect(await runIn(shared, ['sh', '-c', 'true'])).toMatchObject({ exitCode: 127 });
    expect(await runIn(shared, ['touch', '/run/oct/fence'])).toMatchObject({ exitCode: 1 });
    const forged = Buffer.from(`fence ${'a'.repeat(32)} 99\n`);
    await runIn(shared, ['/run/oct/oct-lane', '1000', '1000', 'lane'], { stdin: forged });
    expect(await runIn(shared, ['true'])).toMatchObject({ exitCode: 0 });
  });
  test.each(['a script', 'a shell', 'files'])('says that %s needs one', async (what) => {
    const request = { executionId: ids.next('execution'), token: 5, cwd: '/', env: {} };
    const asked: Readonly<Record<string, () => Promise<unknown>>> = {
      'a script': async () => runIn(shared, 'true'),
      'a shell': async () => shared.background.openShell(request),
      files: async () => shared.files.stat(request, '/etc/passwd'),
    };
    await expect(asked[what]?.()).rejects.toMatchObject({
      code: 'OCT_CAPABILITY_UNSUPPORTED',
      remedy: expect.stringContaining('use an image with a shell') as string,
    });
  });
  test('leaves nothing when it is removed, not even the volume of its supervisor', async () => {
    const made = samplePlan(engine.homeId, imageId);
    const sandbox = await parts.runtime.create(made);
    const volume = await programVolume(sandbox.ref);
    expect(volume).toMatch(/^[0-9a-f]{64}$/);
    expect((await parts.runtime.create(made)).ref).toBe(sandbox.ref);
    expect(await (await others.runtime.create(made)).inspect()).toMatchObject({
      state: 'running',
      operationId: made.operationId,
    });
    await sandbox.destroy();
    const { Volumes: left } = await engine.call<{ Volumes: { Name: string }[] }>('GET', '/volumes');
    expect(left.filter(({ Name }) => Name === volume)).toEqual([]);
  });
  test('does so with a read-only root', async () => {
    await withSandbox(
      async (sandbox) => {
        expect(await runIn(sandbox, ['touch', '/opt/file'])).toMatchObject({ exitCode: 1 });
        expect(await runIn(sandbox, ['touch', '/tmp/file'])).toMatchObject({ exitCode: 0 });
        await sandbox.stop(0);
        await sandbox.fence({ minToken: 6, revoked: [] });
        await sandbox.start();
        expect(await sandbox.rootChanges()).toEqual([]);
        await expect(runIn(sandbox, ['true'])).rejects.toMatchObject({ code: 'OCT_STALE_FENCING_TOKEN' });
        expect(await runIn(sandbox, ['true'], { token: 6 })).toMatchObject({ exitCode: 0 });
      },
      { readOnlyRoot: true },
    );
  });
});

describe('the fence of a sandbox without a shell', () => {
  test('refuses a token that it excludes, for every process, and is never lowered', async () => {
    await withSandbox(async (sandbox) => {
      const same = await others.runtime.find(sandbox.ref);
      expect(await same?.fence({ minToken: 7, revoked: [9] })).toEqual({ ended: 0 });
      for (const token of [6, 9]) {
        await expect(runIn(sandbox, ['true'], { token })).rejects.toMatchObject({ code: 'OCT_STALE_FENCING_TOKEN' });
      }
      expect(await runIn(sandbox, ['true'], { token: 8 })).toMatchObject({ exitCode: 0 });
      const lower = { code: 'OCT_STALE_FENCING_TOKEN' };
      await expect(sandbox.fence({ minToken: 6, revoked: [9] })).rejects.toMatchObject(lower);
      await expect(sandbox.fence({ minToken: 7, revoked: [] })).rejects.toMatchObject(lower);
      await sandbox.stop(0);
      await same?.start();
      await expect(runIn(sandbox, ['true'], { token: 6 })).rejects.toMatchObject(lower);
    });
  });
  test('leaves no process of those before, whatever they do, and leaves all alone that it does not change', async () => {
    await withSandbox(async (sandbox) => {
      const forking = runIn(sandbox, ['xargs', '-n1', '-P8', 'true'], { stdin: Buffer.from('x\n'.repeat(500_000)) });
      const bare = runIn(sandbox, ['env', '-i', 'sleep', '941']);
      await until(async () => (await running(sandbox)) >= 2);
      expect(await sandbox.fence({ minToken: 5, revoked: [] })).toEqual({ ended: 0 });
      expect(await running(sandbox)).toBeGreaterThanOrEqual(2);
      // Its parent has ended before it.
      const orphan = runIn(sandbox, ['setsid', 'sleep', '942']);
      await until(async () => (await running(sandbox)) >= 3);
      const same = await others.runtime.find(sandbox.ref);
      expect((await same?.fence({ minToken: 6, revoked: [] }))?.ended).toBeGreaterThanOrEqual(3);
      expect(await running(sandbox)).toBe(0);
      expect(await forking).toMatchObject({ reason: 'fenced' });
      expect(await bare).toMatchObject({ reason: 'fenced' });
      expect(await orphan).toMatchObject({ exitCode: 0 });
    });
  });
  test('holds against many that start commands meanwhile', async () => {
    await withSandbox(async (sandbox) => {
      const same = await others.runtime.find(sandbox.ref);
      const one = async (): Promise<unknown> =>
        runIn(sandbox, ['sleep', '942']).then(
          ({ reason }) => reason,
          ({ code }: { readonly code: string }) => code,
        );
      const started = Array.from({ length: 6 }, one);
      await until(async () => (await running(sandbox)) > 0);
      await same?.fence({ minToken: 6, revoked: [] });
      started.push(one());
      const ends = await Promise.all(started);
      expect(ends.filter((end) => end !== 'fenced' && end !== 'OCT_STALE_FENCING_TOKEN')).toEqual([]);
      expect(await running(sandbox)).toBe(0);
    });
  });
  test('is raised although its commands use up all processes', async () => {
    const limits = { memoryBytes: 256 * 1024 ** 2, cpus: 2, pids: 17, tmpBytes: 64 * 1024 ** 2 };
    await withSandbox(
      async (sandbox) => {
        const filling = runIn(sandbox, ['xargs', '-n1', '-P16', 'sleep'], { stdin: Buffer.from('951\n'.repeat(30)) });
        await until(async () => (await running(sandbox)) >= 14);
        expect((await sandbox.fence({ minToken: 6, revoked: [] })).ended).toBeGreaterThan(0);
        expect(await running(sandbox)).toBe(0);
        expect(await filling).toMatchObject({ exitCode: null });
      },
      { limits },
    );
  });
  test('is raised by starting the sandbox anew when the engine starts no supervisor', async () => {
    const faulty = await openEngineProxy();
    const { runtime } = open(faulty.endpoint);
    await withSandbox(async (sandbox) => {
      const stale = runIn(sandbox, ['sleep', '961']);
      await until(async () => (await running(sandbox)) > 0);
      const same = await runtime.find(sandbox.ref);
      faulty.faults.push(/^POST \/containers\/[^/]+\/exec/);
      expect(await same?.fence({ minToken: 6, revoked: [] })).toEqual({ ended: 1 });
      expect(await stale).toMatchObject({ exitCode: null });
      expect(await running(sandbox)).toBe(0);
      await expect(runIn(sandbox, ['true'])).rejects.toMatchObject({ code: 'OCT_STALE_FENCING_TOKEN' });
      expect(await runIn(sandbox, ['true'], { token: 6 })).toMatchObject({ exitCode: 0 });
    });
    await runtime.close();
    await faulty.close();
  });
  test('is not there before somebody sets it, and then nothing runs', async () => {
    await withSandbox(
      async (sandbox) => {
        await expect(runIn(sandbox, ['true'])).rejects.toMatchObject({ code: 'OCT_STALE_FENCING_TOKEN' });
        await sandbox.fence({ minToken: 5, revoked: [] });
        expect(await runIn(sandbox, ['true'])).toMatchObject({ exitCode: 0 });
      },
      { fence: null },
    );
  });
});

test('an image whose shell ends by itself is refused with the reason', async () => {
  const ending = await engine.endingShellImage();
  await expect(parts.runtime.create(samplePlan(engine.homeId, ending))).rejects.toMatchObject({
    code: 'OCT_CAPABILITY_UNSUPPORTED',
    message: 'The image cannot be a sandbox: its /bin/sh ended by itself, with 1',
  });
});
