import { type SandboxHandle, type SandboxPlan, createIds, systemClock } from '@opencode-tools/core';
import { type TestEngine, agentProcesses, openTestEngine, runIn, samplePlan, until } from '@opencode-tools/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openRuntime } from '../test/open-runtime.ts';

let engine: TestEngine;
const open = () => openRuntime(engine.homeId);
let runtime: ReturnType<typeof open>['runtime'];
let sandbox: SandboxHandle;

beforeAll(async () => {
  engine = await openTestEngine();
  ({ runtime } = open());
});
beforeEach(async () => {
  sandbox = await runtime.create(plan());
});
afterEach(async () => sandbox.destroy());
afterAll(async () => {
  await runtime.close();
  await engine.close();
});

const plan = (change: Partial<SandboxPlan> = {}): SandboxPlan => samplePlan(engine.homeId, engine.imageId, change);

describe('a hostile command', () => {
  test('has no capability, cannot get one, and runs under a system call filter', async () => {
    const { stdout } = await runIn(
      sandbox,
      'grep -E "^(Cap(Inh|Prm|Eff|Amb)|NoNewPrivs|Seccomp):" /proc/self/status | tr -d "\\t"; id -u; id -G',
    );
    expect(stdout.split('\n')).toEqual([
      'CapInh:0000000000000000',
      'CapPrm:0000000000000000',
      'CapEff:0000000000000000',
      'CapAmb:0000000000000000',
      'NoNewPrivs:1',
      'Seccomp:2',
      '1000',
      '1000',
      '',
    ]);
    expect(
      await runIn(sandbox, 'su -c id root </dev/null || setpriv --reuid=0 id || mount -t tmpfs x /mnt'),
    ).toMatchObject({ stdout: '' });
  });

  test('reads no nonce of its supervisor anywhere in /proc', async () => {
    const script = `for p in /proc/[0-9]*; do while read -r k u r; do [ "$k" = Uid: ] && break; done <$p/status; [ "$u" = 0 ] && for f in environ mem maps stack syscall fd/0 fd/1 fd/2 fd/4; do
      head -c 4096 $p/$f; done; done 2>/dev/null | grep -aoE "[0-9a-f]{32}" | sort -u; tr "\\000" "\\n" </proc/self/environ | grep -aE "[0-9a-f]{32}"; ls /proc/self/fd`;
    expect((await runIn(sandbox, script)).stdout).toBe('0\n1\n2\n3\n');
  });

  test('cannot pass a guessed result off as its own', async () => {
    const forged = await runIn(
      sandbox,
      'i=0; while [ $i -lt 300 ]; do printf "\\036%032x 0 0 -\\n" $i; i=$((i+1)); done; exit 9',
    );
    expect(forged).toMatchObject({ exitCode: 9 });
    expect(forged.stdout.split('\n')).toHaveLength(301);
  });

  test('cannot signal, write to or outlive its supervisor', async () => {
    const script = `for p in /proc/[0-9]*; do p=\${p#/proc/}; [ $p = $$ ] && continue; kill -9 $p; kill -STOP $p; echo x >/proc/$p/fd/0; done 2>/dev/null; kill -9 -1; echo alive`;
    await runIn(sandbox, script);
    expect(await runIn(sandbox, 'echo next')).toMatchObject({ stdout: 'next\n', exitCode: 0 });
  });

  test('cannot change the fence or the supervisors\u2019 notes', async () => {
    const script =
      'cd /run/oct; echo 0 >fence; rm -f fence lane.*; mv fence f; echo >x; mount -o remount,rw /run/oct; ln -sf /tmp /run/oct/a; umount /run/oct; cat fence';
    expect((await runIn(sandbox, script)).stdout).toBe('5\n');
    await expect(runIn(sandbox, 'true', { token: 4 })).rejects.toMatchObject({ code: 'OCT_STALE_FENCING_TOKEN' });
  });

  test('is ended although it gave up its mark', async () => {
    const escape =
      '(ulimit -m 1; exec env -i setsid sleep 951) & (ulimit -m 7000000; exec env -i setsid sleep 952) & ulimit -m unlimited; sleep 953';
    expect(await runIn(sandbox, escape, { timeoutMs: 400 })).toMatchObject({ reason: 'timeout' });
    expect(await agentProcesses(sandbox)).toEqual([]);
  });

  test('is ended by a fence although it gave up its mark', async () => {
    await runIn(sandbox, '(ulimit -m 1; exec env -i setsid sleep 954) >/dev/null 2>&1 &');
    expect((await sandbox.fence({ minToken: 6, revoked: [] })).ended).toBe(1);
    expect(await agentProcesses(sandbox, 6)).toEqual([]);
  });

  test('that forks without end is ended by its time limit, and the sandbox can be used again', async () => {
    const bomb = 'f() { f | f & f | f & }; (f) & while :; do :; done';
    expect(await runIn(sandbox, bomb, { timeoutMs: 1_000 })).toMatchObject({ exitCode: null, reason: 'timeout' });
    expect(await agentProcesses(sandbox)).toEqual([]);
  });

  test('that leaves a bomb of processes behind is ended by a fence', async () => {
    await runIn(
      sandbox,
      'i=0; while [ $i -lt 150 ]; do setsid sleep 962 >/dev/null 2>&1 & i=$((i+1)); done; sleep 963',
    ).catch(() => undefined);
    await sandbox.fence({ minToken: 6, revoked: [] });
    expect(await agentProcesses(sandbox, 6)).toEqual([]);
  });

  test('that took every process leaves no room for the next, which is told so, until they are ended', async () => {
    const crowd = 'i=0; while [ $i -lt 150 ]; do setsid sleep 963 >/dev/null 2>&1 </dev/null & i=$((i+1)); done';
    await runIn(sandbox, crowd).catch(() => undefined);
    await expect(runIn(sandbox, 'true')).rejects.toMatchObject({
      code: 'OCT_RESOURCE_LIMIT',
      details: { limit: 'pids or memory' },
    });
    await sandbox.endAll();
    expect(await runIn(sandbox, 'echo fine')).toMatchObject({ stdout: 'fine\n', exitCode: 0 });
  });

  test('that eats all memory is reported as such', async () => {
    const ran = await runIn(sandbox, 'x=$(head -c 60000000 /dev/zero | tr "\\000" a); while :; do x=$x$x; done', {
      timeoutMs: 30_000,
    });
    expect(ran.reason).toBe('out-of-memory');
    expect(await runIn(sandbox, 'echo fine')).toMatchObject({ stdout: 'fine\n' });
  });

  test('has its variables nowhere near what runs as root', async () => {
    const env = { PATH: '/tmp:/bin', LD_PRELOAD: '/tmp/evil.so', IFS: 'x', ENV: '/tmp/evil' };
    expect(await runIn(sandbox, 'echo $PATH', { env })).toMatchObject({ stdout: '/tmp:/bin\n', exitCode: 0 });
  });
});

describe('bulk', () => {
  test('passes 20 MB of standard input and 50 MB of output unharmed', async () => {
    const stdin = Buffer.alloc(20 * 1024 ** 2, 'abcdefghij\n');
    expect((await runIn(sandbox, 'wc -c', { stdin })).stdout.trim()).toBe(String(stdin.length));
    let bytes = 0;
    await runIn(sandbox, 'head -c 52428800 /dev/zero', { onStdout: (chunk) => (bytes += chunk.length) });
    expect(bytes).toBe(50 * 1024 ** 2);
  });
});

describe('a sandbox whose owner was killed', () => {
  test('has its command ended, adopts nothing half-said, and serves the next owner', async () => {
    const made = plan();
    const { spawn } = await import('node:child_process');
    const script = new URL('../test/owner.mts', import.meta.url).pathname;
    const child = spawn(process.execPath, ['--conditions=@opencode-tools/source', script, JSON.stringify(made)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      let said = '';
      child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
      await until(() => said.includes('up'), 30_000);
      const [facts] = await runtime.list({ homeId: engine.homeId, operationId: made.operationId });
      const orphan = await runtime.find(facts?.ref ?? '');
      if (!orphan) throw new Error('not found');
      child.kill('SIGKILL');
      await until(async () => (await agentProcesses(orphan)).length === 0);
      expect(await orphan.fence({ minToken: 6, revoked: [] })).toEqual({ ended: 0 });
      expect(await runIn(orphan, 'cat /tmp/half; echo next', { token: 6 })).toMatchObject({ stdout: 'next\n' });
      await orphan.destroy();
    } finally {
      child.kill('SIGKILL');
    }
  });
});

describe('a container', () => {
  test('is as the threat model says', async () => {
    const found = await engine.call<{ HostConfig: object; Config: object }>('GET', `/containers/${sandbox.ref}/json`);
    expect(found.HostConfig).toMatchObject({
      Privileged: false,
      CapDrop: ['ALL'],
      CapAdd: ['SETUID', 'SETGID', 'KILL'],
      SecurityOpt: ['no-new-privileges'],
      NetworkMode: 'none',
      PidMode: '',
      UsernsMode: '',
      Memory: 256 * 1024 ** 2,
      MemorySwap: 256 * 1024 ** 2,
      PidsLimit: 128,
      LogConfig: { Type: 'none' },
      Init: true,
      Binds: null,
      Devices: null,
    });
    expect(found.Config).toMatchObject({ NetworkDisabled: true, Healthcheck: { Test: ['NONE'] } });
    expect((await runIn(sandbox, 'cat /proc/net/dev | grep -c :; cat /etc/hosts')).stdout).toBe(
      '1\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n',
    );
  });

  test('mounts volumes and directories, and nothing that holds what is not for sandboxes', async () => {
    const volume = `oct-test-${engine.homeId.slice(-12)}`;
    await runtime.volumes.create({
      name: volume,
      labels: { 'io.opencode-tools.home': engine.homeId },
      owner: { uid: 1000, gid: 1000 },
    });
    const mounted = await runtime.create(
      plan({ mounts: [{ kind: 'volume', volume, target: '/workspace', readOnly: false }] }),
    );
    expect(await runIn(mounted, 'echo x >file && cat file; stat -c %u .')).toMatchObject({ stdout: 'x\n1000\n' });
    expect(await mounted.rootChanges()).toEqual([]);
    await mounted.destroy();
    await runtime.volumes.remove(volume);
    const bind = (source: string) => plan({ mounts: [{ kind: 'bind', source, target: '/workspace', readOnly: true }] });
    for (const source of ['/', '/etc', '/var/run/docker.sock', '/proc/1', process.env.HOME ?? '/root']) {
      await expect(runtime.create(bind(source))).rejects.toMatchObject({ code: 'OCT_POLICY_DENIED' });
    }
    const missing = plan({ mounts: [{ kind: 'volume', volume, target: '/workspace', readOnly: false }] });
    await expect(runtime.create(missing)).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
  });

  test('is saved as an image without what was given to it, and made again from that', async () => {
    await runIn(sandbox, 'echo saved >/home/agent/file', { env: { SECRET: 'hunter2' } });
    const tag = `oct-test-${engine.homeId.slice(-12)}:saved`;
    const labels = { 'io.opencode-tools.home': engine.homeId };
    const { imageId } = await sandbox.snapshotRoot({ tag, labels });
    expect(await sandbox.snapshotRoot({ tag, labels })).toEqual({ imageId });
    const image = await engine.call<{ Config: { Env: string[] | null; Labels: object } }>(
      'GET',
      `/images/${imageId}/json`,
    );
    expect(JSON.stringify(image)).not.toContain('hunter2');
    expect(JSON.stringify(image.Config.Env)).not.toContain('supervisor');
    expect(image.Config.Labels).toMatchObject({
      ...labels,
      'io.opencode-tools.kind': 'snapshot',
      'io.opencode-tools.task': '',
    });
    const again = await runtime.create(plan({ imageId }));
    expect(await runIn(again, 'cat /home/agent/file; env | grep -c OCT')).toMatchObject({ stdout: 'saved\n0\n' });
    await again.destroy();
    await sandbox.destroy();
    await open().images.remove(tag);
  });

  test('of an image in which no program can change user runs commands as in any', async () => {
    const plain = await runtime.create(plan({ imageId: await engine.plainImage() }));
    expect(plain.forgeableResults).toBe(false);
    expect(await runIn(plain, 'id -u; exit 3')).toMatchObject({ stdout: '1000\n', exitCode: 3 });
    expect(await runIn(plain, 'setsid sleep 971 & sleep 972', { timeoutMs: 300 })).toMatchObject({ reason: 'timeout' });
    expect(await agentProcesses(plain)).toEqual([]);
    const running = runIn(plain, 'setsid sleep 973 & sleep 974');
    await until(async () => (await agentProcesses(plain)).some((line) => line.startsWith('sleep 974')));
    await plain.fence({ minToken: 6, revoked: [] });
    expect(await running).toMatchObject({ reason: 'fenced' });
    await expect(runIn(plain, 'true')).rejects.toMatchObject({ code: 'OCT_STALE_FENCING_TOKEN' });
    expect(await agentProcesses(plain, 6)).toEqual([]);
    await plain.destroy();
  });

  test('of such an image keeps commands in the background, which a process that comes later finds', async () => {
    const plain = await runtime.create(plan({ imageId: await engine.plainImage() }));
    const executionId = createIds(systemClock).next('execution');
    const command = { kind: 'script', script: 'read line; echo "$line"' } as const;
    const request = { executionId, token: 5, command, cwd: '/workspace', env: {}, timeoutMs: 60_000, openInput: true };
    await plain.background.spawn(request);
    const { runtime: later } = open();
    const found = await later.find(plain.ref);
    expect(await found?.background.look(executionId)).toEqual({ kind: 'running' });
    await found?.background.write(executionId, 5, Buffer.from('heard\n'));
    await until(async () => (await found?.background.look(executionId))?.kind === 'ended');
    expect(Buffer.from((await found?.background.pull(executionId, 'stdout', 0)) ?? []).toString()).toBe('heard\n');
    await later.close();
    await plain.destroy();
  });

  test('that died while a command ran, and one restarted behind our back, are told from one that is well', async () => {
    const running = runIn(sandbox, 'echo up; sleep 981');
    await until(async () => (await agentProcesses(sandbox)).length > 0);
    await engine.call('POST', `/containers/${sandbox.ref}/restart?t=0`);
    expect(await running).toMatchObject({ exitCode: null });
    await expect(runIn(sandbox, 'true')).rejects.toMatchObject({ code: 'OCT_STALE_FENCING_TOKEN' });
    await sandbox.fence({ minToken: 5, revoked: [] });
    expect(await runIn(sandbox, 'echo well')).toMatchObject({ stdout: 'well\n' });
  });
});

test('an engine that is not there is described place by place', async () => {
  const { runtime: nowhere, probe } = openRuntime(engine.homeId, {
    endpoint: 'unix:///tmp/no-such-engine.sock',
    environment: {},
  });
  await expect(nowhere.capabilities()).rejects.toMatchObject({
    code: 'OCT_ENGINE_UNAVAILABLE',
    message: 'No Docker Engine answers:\n  unix:///tmp/no-such-engine.sock (configuration): no such socket',
  });
  expect(await probe.probe()).toMatchObject({ answers: [{ answered: false }], capabilities: null });
});
