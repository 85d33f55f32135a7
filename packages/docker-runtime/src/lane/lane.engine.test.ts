import type { SandboxHandle } from '@opencode-tools/core';
import { type TestEngine, openTestEngine, runIn, samplePlan, until } from '@opencode-tools/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { openRuntime } from '../../test/open-runtime.ts';

let engine: TestEngine;
let runtime: ReturnType<typeof openRuntime>['runtime'];
let sandbox: SandboxHandle;

beforeAll(async () => {
  engine = await openTestEngine();
  ({ runtime } = openRuntime(engine.homeId));
});
beforeEach(async () => {
  sandbox = await runtime.create(samplePlan(engine.homeId, engine.imageId));
});
afterEach(async () => sandbox.destroy());
afterAll(async () => {
  await runtime.close();
  await engine.close();
});

test('a command has neither the input of its lane, nor what the command before it set', async () => {
  await runIn(sandbox, 'export LEFT=1; cd /tmp; true', { env: { GIVEN: 'x' } });
  expect((await runIn(sandbox, 'echo "$LEFT$GIVEN" $(pwd); cat; ls /proc/self/fd')).stdout).toBe(
    ' /workspace\n0\n1\n2\n3\n',
  );
});

test('nothing of ours but supervisors is in a sandbox between commands', async () => {
  await Promise.all([runIn(sandbox, 'sleep 0.3'), runIn(sandbox, 'sleep 0.3')]);
  const listing = 'for p in /proc/[0-9]*; do read -r name <$p/comm; echo $name; done 2>/dev/null | sort | uniq -c';
  expect((await runIn(sandbox, listing)).stdout).toMatch(/ 2 oct-lane\n/);
  expect(await sandbox.endAll()).toEqual({ ended: 0 });
});

test.each([
  ['SIGHUP', 1],
  ['SIGINT', 2],
  ['SIGPIPE', 13],
  ['SIGTERM', 15],
])('a command that %s ended is told from one that exits as a shell would say it', async (name, number) => {
  expect(await runIn(sandbox, `kill -${number} $$`)).toMatchObject({ exitCode: null, signal: name });
  expect(await runIn(sandbox, `exit ${128 + number}`)).toMatchObject({ exitCode: 128 + number, signal: null });
});

test('a program is found as PATH of the command says, and a text without an interpreter is run by sh', async () => {
  await runIn(
    sandbox,
    'mkdir /tmp/a /tmp/b; echo "echo found: $PATH" >/tmp/b/tool; chmod +x /tmp/b/tool; echo >/tmp/a/tool',
  );
  const ran = await runIn(sandbox, ['tool', 'x'], { env: { PATH: '/tmp/a:/tmp/b:/bin' } });
  expect(ran).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('found: ') as string });
  expect(await runIn(sandbox, ['tool'], { env: { PATH: '/tmp/a' } })).toMatchObject({ exitCode: 126 });
  expect(await runIn(sandbox, ['tool'])).toMatchObject({ exitCode: 127, stderr: 'tool: not found\n' });
  expect(await runIn(sandbox, 'true', { cwd: '/nowhere' })).toMatchObject({ exitCode: 126 });
});

test('a command as long as an argument may be comes through whole', async () => {
  const script = `: ${'x'.repeat(60_000)}\n: '\n${'y\n'.repeat(20_000)}'\necho end`;
  expect((await runIn(sandbox, script)).stdout).toBe('end\n');
  const argv = ['printf', '%s|', ...Array.from({ length: 300 }, (_, index) => `a\n${index} `)];
  const parts = (await runIn(sandbox, '', { command: { kind: 'argv', argv } })).stdout.split('|');
  expect(parts).toHaveLength(301);
});

test('ending what runs works on a lane that can make no process', async () => {
  await Promise.all([runIn(sandbox, 'sleep 0.3'), runIn(sandbox, 'sleep 0.3')]);
  const bomb = 'while setsid sleep 977 >/dev/null 2>&1 & do :; done';
  await runIn(sandbox, bomb, { timeoutMs: 20_000 });
  expect(await runIn(sandbox, 'echo no process is needed for this')).toMatchObject({ exitCode: 0 });
  const { ended } = await sandbox.fence({ minToken: 6, revoked: [] });
  expect(ended).toBeGreaterThan(50);
  expect(await runIn(sandbox, 'echo next', { token: 6 })).toMatchObject({ stdout: 'next\n', exitCode: 0 });
});

test('a command finds its outputs as every command does, whatever the one before it made of them', async () => {
  const gnu = await runtime.create(samplePlan(engine.homeId, await engine.gnuImage()));
  try {
    const big = 'head -c 8000000 /dev/zero';
    await runIn(gnu, 'dd oflag=nonblock </dev/null; kill -KILL $$');
    expect(await runIn(gnu, big)).toMatchObject({ exitCode: 0, stderr: '' });
    expect((await runIn(gnu, `${big} | tr '\\0' x`)).stdoutBytes).toHaveLength(8_000_000);
  } finally {
    await gnu.destroy();
  }
});

test('what a command leaves behind comes to the end of its input, also when it holds the outputs', async () => {
  const script = 'exec 3<&0; (cat <&3 >/tmp/all; echo over >>/tmp/all) & until [ -s /tmp/all ]; do :; done';
  const { promise, resolve } = Promise.withResolvers<void>();
  const stdin = (async function* () {
    yield Buffer.from('given ');
    await promise;
  })();
  expect(await runIn(sandbox, script, { stdin })).toMatchObject({ exitCode: 0 });
  await until(async () => (await runIn(sandbox, 'cat /tmp/all')).stdout === 'given over\n');
  resolve();
});
