import type { SandboxHandle } from '@opencode-tools/core';
import { type TestEngine, openTestEngine, runIn, samplePlan, until } from '@opencode-tools/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openRuntime } from '../../test/open-runtime.ts';

/** Prints the ids of the processes that are ready, leaving out the one that printed. */
const listReady = `for p in /proc/[0-9]*; do p=\${p#/proc/}; [ $p = $$ ] || grep -aq OCT_READY /proc/$p/cmdline && [ $p != $$ ] && echo $p; done 2>/dev/null; true`;

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

/** Two commands at once open two lanes; what is ready on the one is seen from the other. */
async function withReadyLane<T>(use: (ready: string) => Promise<T>): Promise<T> {
  await Promise.all([runIn(sandbox, 'sleep 0.3'), runIn(sandbox, 'sleep 0.3')]);
  let found = '';
  await until(async () => {
    found = (await runIn(sandbox, listReady)).stdout.trim();
    return found !== '';
  });
  return use(found);
}

describe('what is kept ready to become a command', () => {
  test('is ended by a fence, so that nothing that got into it lives on', async () => {
    await withReadyLane(async (before) => {
      expect(await sandbox.fence({ minToken: 6, revoked: [] })).toEqual({ ended: 0 });
      const alive = `for p in ${before.split('\n').join(' ')}; do grep -aqs OCT_READY /proc/$p/cmdline && echo $p; done; true`;
      expect((await runIn(sandbox, alive, { token: 6 })).stdout).toBe('');
    });
  });

  test('is of no account: a sandbox in which nothing else runs is idle', async () => {
    await withReadyLane(async () => {
      expect(await sandbox.endAll()).toEqual({ ended: 0 });
    });
  });

  test('is made again when a command ended or stopped it', async () => {
    await withReadyLane(async (ready) => {
      const pids = ready.split('\n').join(' ');
      await runIn(sandbox, `kill -STOP ${pids}`);
      const both = await Promise.all([runIn(sandbox, 'echo a; sleep 0.3'), runIn(sandbox, 'echo b; sleep 0.3')]);
      expect(both.map(({ stdout }) => stdout)).toEqual(['a\n', 'b\n']);
    });
    await withReadyLane(async (ready) => {
      await runIn(sandbox, `kill -9 ${ready.split('\n').join(' ')}`);
      const both = await Promise.all([runIn(sandbox, 'echo a; sleep 0.3'), runIn(sandbox, 'echo b; sleep 0.3')]);
      expect(both).toMatchObject([
        { stdout: 'a\n', exitCode: 0 },
        { stdout: 'b\n', exitCode: 0 },
      ]);
    });
  });

  test('loses no command while something ends it all the time', async () => {
    const killer = `while [ ! -e /tmp/enough ]; do for p in $(${listReady}); do kill -9 $p; done; done 2>/dev/null`;
    const killing = runIn(sandbox, killer, { timeoutMs: 60_000 });
    const seen: string[] = [];
    for (let index = 0; index < 20; index += 1) {
      const ran = await runIn(sandbox, `echo ${index} >>/tmp/lines`);
      if (ran.exitCode === 0) seen.push(String(index));
    }
    await runIn(sandbox, 'until [ -e /tmp/enough ]; do touch /tmp/enough; done');
    await killing;
    const lines = (await runIn(sandbox, 'cat /tmp/lines; true')).stdout.split('\n').filter(Boolean);
    expect(new Set(lines).size).toBe(lines.length);
    for (const index of seen) expect(lines).toContain(index);
  });

  test('does not have the lane\u2019s input, nor the variables of what runs before it', async () => {
    await runIn(sandbox, 'export LEFT=1; cd /tmp; true', { env: { GIVEN: 'x' } });
    expect((await runIn(sandbox, 'echo "$LEFT$GIVEN" $(pwd); cat; ls /proc/self/fd')).stdout).toBe(
      ' /workspace\n0\n1\n2\n3\n',
    );
  });
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
