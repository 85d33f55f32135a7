import { existsSync } from 'node:fs';
import { type SandboxHandle, type SandboxPlan, createIds, silentLogger, systemClock } from '@opencode-tools/core';
import {
  type OwnEngine,
  type TestEngine,
  openTestEngine,
  runIn,
  samplePlan,
  startOwnEngine,
  until,
  whyNoOwnEngine,
} from '@opencode-tools/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createDockerRuntime } from './index.ts';

const runsc = '/usr/bin/runsc';
const whyNot = whyNoOwnEngine();
const whyNoGvisor =
  whyNot ?? (existsSync(runsc) ? undefined : 'gVisor is not installed (Debian and Ubuntu: apt-get install runsc)');
const say = (why: string | undefined): string => (why === undefined ? '' : ` (not run: ${why})`);

let own: OwnEngine;
let engine: TestEngine;
const open = (endpoint = own.endpoint) =>
  createDockerRuntime({
    endpoint,
    environment: {},
    homeId: engine.homeId,
    ids: createIds(systemClock),
    clock: systemClock,
    logger: silentLogger,
    baseImages: [],
  });
const plan = (change: Partial<SandboxPlan> = {}): SandboxPlan => samplePlan(engine.homeId, engine.imageId, change);
const homeVolume = (volume: string) =>
  ({
    kind: 'volume',
    volume,
    target: '/home/agent',
    readOnly: false,
    create: { 'io.opencode-tools.home': engine.homeId },
  }) as const;

describe.skipIf(whyNot !== undefined)(`an engine with user namespaces${say(whyNot)}`, () => {
  beforeAll(async () => {
    own = await startOwnEngine({ userNamespaces: true });
    engine = await openTestEngine(own.endpoint);
  });
  afterAll(async () => {
    await engine.close();
    await own.close();
  });

  test('runs sandboxes whose users are nobody on the host, with volumes that belong to them', async () => {
    const { runtime } = open();
    const made = plan({ mounts: [homeVolume('oct-userns-home')], readOnlyRoot: true });
    const sandbox = await runtime.create(made);
    const ran = await runIn(
      sandbox,
      'read -r inside outside count </proc/self/uid_map; [ "$outside" -ge 100000 ] && echo apart; echo kept >~/file && cat ~/file; id -u',
    );
    expect(ran).toMatchObject({ stdout: 'apart\nkept\n1000\n', stderr: '' });
    expect((await runtime.capabilities()).userNamespaces).toBe(true);
    await sandbox.destroy();
    await runtime.volumes.remove('oct-userns-home');
    await runtime.close();
  });
});

describe.skipIf(whyNoGvisor !== undefined)(`a sandbox under gVisor${say(whyNoGvisor)}`, () => {
  beforeAll(async () => {
    const runtimeArgs = ['--platform=ptrace', '--ignore-cgroups', '--network=none'];
    own = await startOwnEngine({ runtimes: { runsc: { path: runsc, runtimeArgs } } });
    engine = await openTestEngine(own.endpoint);
  });
  afterAll(async () => {
    await engine.close();
    await own.close();
  });

  test('runs commands on a kernel of its own, apart from that of the host', async () => {
    const { runtime } = open();
    const sandbox = await runtime.create(plan({ runtime: 'runsc', mounts: [homeVolume('oct-runsc-home')] }));
    expect((await runIn(sandbox, 'cat /proc/version')).stdout).toContain('Linux version 4.4.0');
    const ran = await runIn(sandbox, 'echo kept >~/file && cat ~/file; id -u; echo no >&2; exit 7');
    expect(ran).toMatchObject({ stdout: 'kept\n1000\n', stderr: 'no\n', exitCode: 7 });
    expect(await runIn(sandbox, 'sleep 60', { timeoutMs: 500 })).toMatchObject({ reason: 'timeout' });
    expect(await runIn(sandbox, 'echo next')).toMatchObject({ stdout: 'next\n' });
    await sandbox.destroy();
    await runtime.volumes.remove('oct-runsc-home');
    await runtime.close();
  });
});

describe.skipIf(whyNot !== undefined)(`an engine that goes away${say(whyNot)}`, () => {
  beforeAll(async () => {
    own = await startOwnEngine({ diskMegabytes: 96 });
    engine = await openTestEngine(own.endpoint);
  });
  afterAll(async () => {
    await engine.close();
    await own.close();
  });

  const withSandbox = async (use: (sandbox: SandboxHandle) => Promise<void>): Promise<void> => {
    const { runtime } = open();
    const sandbox = await runtime.create(plan({ mounts: [homeVolume('oct-own-home')] }));
    try {
      await use(sandbox);
    } finally {
      await sandbox.destroy();
      await runtime.volumes.remove('oct-own-home');
      await runtime.close();
    }
  };

  test('by a crash leaves commands ended and the sandbox to be found and started again', async () => {
    await withSandbox(async (sandbox) => {
      await runIn(sandbox, 'echo kept >~/file');
      let up = false;
      const running = runIn(sandbox, 'echo up; sleep 961', { onStdout: () => void (up = true) }).catch(
        (error: unknown) => error,
      );
      await until(() => up);
      await own.kill();
      const lost = await running;
      const refused = await runIn(sandbox, 'true').catch((error: unknown) => error);
      await own.start();
      expect(lost).toMatchObject({
        code: 'OCT_ENGINE_UNAVAILABLE',
        message: expect.stringMatching(/^The engine went away while exe_\S+ ran/) as string,
        remedy: expect.stringMatching(/before it is run again.*read_execution_output/) as string,
        details: { executionId: expect.stringMatching(/^exe_/) as string },
      });
      expect(refused).toMatchObject({ code: 'OCT_ENGINE_UNAVAILABLE' });
      expect(refused).not.toHaveProperty('details.executionId');
      await sandbox.start();
      await sandbox.fence({ minToken: 5, revoked: [] });
      expect(await runIn(sandbox, 'cat ~/file')).toMatchObject({ stdout: 'kept\n' });
    });
  });

  test('by an orderly restart leaves the sandbox stopped, and its files where they were', async () => {
    await withSandbox(async (sandbox) => {
      await runIn(sandbox, 'echo kept >~/file');
      const running = runIn(sandbox, 'sleep 962').catch((error: unknown) => error);
      await own.stop();
      expect(await running).toMatchObject(
        expect.toSatisfy(
          (end: { code?: string; reason?: string }) =>
            end.code === 'OCT_ENGINE_UNAVAILABLE' || end.reason === 'sandbox-gone',
        ) as object,
      );
      await own.start();
      expect(await sandbox.inspect()).toMatchObject({ state: 'stopped' });
      await sandbox.start();
      expect(await runIn(sandbox, 'cat ~/file')).toMatchObject({ stdout: 'kept\n' });
    });
  });

  test('without ending, and hangs, is given up after a limit; what was asked for is found when it answers again', async () => {
    await withSandbox(async (sandbox) => {
      own.freeze();
      const started = performance.now();
      const { runtime: fresh } = open();
      await expect(fresh.capabilities()).rejects.toMatchObject({
        code: 'OCT_ENGINE_UNAVAILABLE',
        message: expect.stringContaining('no answer within 3000 ms') as string,
      });
      expect(performance.now() - started).toBeLessThan(30_000);
      own.thaw();
      expect(await runIn(sandbox, 'echo again')).toMatchObject({ stdout: 'again\n' });
    });
  });

  test('for want of room says so, and serves again when there is some', async () => {
    await withSandbox(async (sandbox) => {
      const filled = await runIn(sandbox, 'cat /dev/zero >~/big');
      expect(filled.stderr).toMatch(/No space left on device/i);
      const { runtime } = open();
      const refused = await runtime
        .create(plan({ mounts: [homeVolume('oct-full-home')] }))
        .catch((error: unknown) => error);
      expect(refused).toMatchObject({ code: 'OCT_RESOURCE_LIMIT', details: { limit: 'engine-disk' } });
      expect(await runIn(sandbox, 'rm ~/big; echo room')).toMatchObject({ stdout: 'room\n' });
      await runtime.volumes.remove('oct-full-home');
      const next = await runtime.create(plan());
      expect(await runIn(next, 'echo fine')).toMatchObject({ stdout: 'fine\n' });
      await next.destroy();
      await runtime.close();
    });
  });
});
