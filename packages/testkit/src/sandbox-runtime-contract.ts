import {
  type HomeId,
  type SandboxHandle,
  type SandboxPlan,
  type SandboxRuntime,
  createIds,
  systemClock,
} from '@opencode-tools/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { agentProcesses, runIn, samplePlan } from './sandbox-samples.ts';
import { until } from './until.ts';

/** A runtime with an engine behind it. */
export interface OpenSandboxRuntime {
  readonly runtime: SandboxRuntime;
  /** Another runtime on the same engine, as in another process. */
  readonly other: SandboxRuntime;
  readonly homeId: HomeId;
  /** An image with `sh`, `sleep`, `cat`, `wc`, `tr` and a user 1000. */
  readonly imageId: string;
  readonly close: () => Promise<void>;
}

const ids = createIds(systemClock);

/** Says what every `SandboxRuntime` does. Called at the top level of a test file. */
export function sandboxRuntimeContract(name: string, open: () => Promise<OpenSandboxRuntime>): void {
  describe(`${name} as a sandbox runtime`, () => {
    let opened: OpenSandboxRuntime;
    let shared: SandboxHandle;
    beforeAll(async () => {
      opened = await open();
      shared = await opened.runtime.create(plan());
    });
    afterAll(async () => {
      await shared.destroy();
      await opened.close();
    });
    const plan = (change: Partial<SandboxPlan> = {}): SandboxPlan => samplePlan(opened.homeId, opened.imageId, change);
    const withSandbox = async (
      use: (sandbox: SandboxHandle, made: SandboxPlan) => Promise<void>,
      change: Partial<SandboxPlan> = {},
    ) => {
      const made = plan(change);
      const sandbox = await opened.runtime.create(made);
      try {
        await use(sandbox, made);
      } finally {
        await sandbox.destroy();
      }
    };

    describe('commands', () => {
      test('run as the user, in their directory, with their environment', async () => {
        const ran = await runIn(shared, 'id -u; id -g; pwd; printf "%s|" "$ONE" "$TWO"', {
          cwd: '/tmp',
          env: { ONE: 'a b\n"c" $d', TWO: '' },
        });
        expect(ran).toMatchObject({
          stdout: '1000\n1000\n/tmp\na b\n"c" $d||',
          reason: 'exited',
          exitCode: 0,
          signal: null,
        });
      });

      test.each([0, 1, 7, 125, 126, 127, 137, 255])('report exit code %i as it is', async (exitCode) => {
        expect(await runIn(shared, `exit ${exitCode}`)).toMatchObject({ reason: 'exited', exitCode, signal: null });
      });

      test.each(['SIGKILL', 'SIGTERM', 'SIGSEGV'])('report death by %s as a signal', async (signal) => {
        expect(await runIn(shared, `kill -${signal.slice(3)} $$`)).toMatchObject({
          reason: 'signalled',
          exitCode: null,
          signal,
        });
      });

      test('get each argument as it is, without a shell', async () => {
        const argv = ['printf', '%s|', 'a b', '', '$HOME', "it's", 'line\nbreak\n', '-n', '*', '=x', '+y', '.z'];
        expect((await runIn(shared, argv)).stdout).toBe(`${argv.slice(2).join('|')}|`);
      });

      test('end with 127 when the program does not exist, and 126 when the directory does not', async () => {
        expect(await runIn(shared, ['no-such-program'])).toMatchObject({ exitCode: 127 });
        expect(await runIn(shared, 'true', { cwd: '/no/such' })).toMatchObject({ exitCode: 126 });
      });

      test('keep both outputs apart, byte for byte', async () => {
        const ran = await runIn(shared, "printf '\\377\\000\\036\\200no newline'; printf 'to stderr' >&2");
        expect(ran.stdoutBytes).toEqual(Buffer.from('\xff\0\x1e\x80no newline', 'latin1'));
        expect(ran.stderr).toBe('to stderr');
      });

      test('read standard input to its end, and have none otherwise', async () => {
        const stdin = Buffer.from('hello\0\nwithout an end');
        expect((await runIn(shared, 'cat', { stdin })).stdoutBytes).toEqual(stdin);
        expect(await runIn(shared, 'cat')).toMatchObject({ stdout: '', exitCode: 0 });
      });

      test('run at the same time without mixing their outputs', async () => {
        const numbers = Array.from({ length: 16 }, (_, index) => index);
        const outputs = await Promise.all(
          numbers.map(
            async (number) =>
              (await runIn(shared, `i=0; while [ $i -lt 200 ]; do echo ${number}; i=$((i+1)); done`)).stdout,
          ),
        );
        expect(outputs).toEqual(numbers.map((number) => `${number}\n`.repeat(200)));
      });

      test('run at once, sixteen of them', async () => {
        const script =
          'mkdir -p /tmp/meet; : >/tmp/meet/$$; while :; do set -- /tmp/meet/*; [ $# -ge 16 ] && exit; sleep 0.05; done';
        const met = Array.from({ length: 16 }, async () => runIn(shared, script, { timeoutMs: 30_000 }));
        expect((await Promise.all(met)).map(({ reason }) => reason)).toEqual(met.map(() => 'exited'));
      });

      test('end by their time limit, and when cancelled, also while they wait for others to end', async () => {
        await withSandbox(async (sandbox) => {
          const abort = new AbortController();
          const { signal } = abort;
          const first = Array.from({ length: 40 }, async () => runIn(sandbox, 'sleep 908', { signal }));
          await until(async () => (await sandbox.stats()).processes > 40);
          expect(await runIn(sandbox, 'true', { timeoutMs: 300 })).toMatchObject({ reason: 'timeout', exitCode: null });
          const cancelled = new AbortController();
          const waiting = runIn(sandbox, 'true', { signal: cancelled.signal });
          cancelled.abort();
          expect(await waiting).toMatchObject({ reason: 'cancelled', exitCode: null });
          abort.abort();
          expect((await Promise.all(first)).map(({ reason }) => reason)).toEqual(first.map(() => 'cancelled'));
          expect(await runIn(sandbox, 'echo next')).toMatchObject({ stdout: 'next\n' });
        });
      });

      test('hold back only their own output while it is dealt with', async () => {
        const { promise: dealt, resolve: goOn } = Promise.withResolvers<void>();
        let bytes = 0;
        const slow = runIn(shared, 'head -c 60000000 /dev/zero', {
          onStdout: async (chunk) => {
            bytes += chunk.length;
            await dealt;
          },
        });
        await until(() => bytes > 0);
        let others = 0;
        await runIn(shared, 'head -c 60000000 /dev/zero', { onStdout: (chunk) => void (others += chunk.length) });
        expect(others).toBe(60_000_000);
        expect(bytes).toBeLessThan(1_000_000);
        goOn();
        expect(await slow).toMatchObject({ reason: 'exited', exitCode: 0 });
        expect(bytes).toBe(60_000_000);
      });

      test('end by their time limit although nobody takes their output', async () => {
        const never = new Promise<void>(() => undefined);
        const ran = await runIn(shared, 'while :; do echo line; done', { timeoutMs: 300, onStdout: () => never });
        expect(ran).toMatchObject({ reason: 'timeout', exitCode: null });
        expect(await runIn(shared, 'echo next')).toMatchObject({ stdout: 'next\n' });
      });

      test('are ended when their output cannot be taken, and fail with the reason', async () => {
        const noRoom = new Error('no room');
        const refuse = () => Promise.reject(noRoom);
        const throwing = () => {
          throw noRoom;
        };
        await expect(runIn(shared, 'echo up; sleep 909', { onStdout: refuse })).rejects.toBe(noRoom);
        await expect(runIn(shared, 'echo up >&2; sleep 909', { onStderr: throwing })).rejects.toBe(noRoom);
        expect(await agentProcesses(shared)).toEqual([]);
      });

      test('end by their time limit with all they started', async () => {
        const ran = await runIn(shared, 'sleep 901 & setsid sleep 902 & env -i setsid sleep 903 & sleep 904', {
          timeoutMs: 300,
        });
        expect(ran).toMatchObject({ reason: 'timeout', exitCode: null });
        expect(await agentProcesses(shared)).toEqual([]);
      });

      test('end when cancelled, before and after they started', async () => {
        expect(await runIn(shared, 'sleep 905', { signal: AbortSignal.abort() })).toMatchObject({
          reason: 'cancelled',
        });
        const abort = new AbortController();
        const running = runIn(shared, 'trap "" TERM INT; echo up; sleep 906; sleep 907', {
          signal: abort.signal,
          onStdout: () => abort.abort(),
        });
        expect(await running).toMatchObject({ reason: 'cancelled', exitCode: null });
        expect(await agentProcesses(shared)).toEqual([]);
      });

      test('leave processes behind that cannot write into the output of the next', async () => {
        const first = await runIn(shared, '(sleep 0.3; echo LATE; echo LATE >&2) & echo first');
        expect(first).toMatchObject({ stdout: 'first\n', exitCode: 0 });
        expect(await runIn(shared, 'sleep 0.6; echo second')).toMatchObject({ stdout: 'second\n', stderr: '' });
      });

      test('are refused when they cannot be said', async () => {
        await expect(runIn(shared, 'true', { cwd: 'relative' })).rejects.toMatchObject({
          code: 'OCT_INVALID_ARGUMENT',
        });
        await expect(runIn(shared, ['echo', 'a\0b'])).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
        await expect(runIn(shared, 'true', { env: { 'A=B; id': '' } })).rejects.toMatchObject({
          code: 'OCT_INVALID_ARGUMENT',
        });
        expect(await runIn(shared, 'echo fine')).toMatchObject({ stdout: 'fine\n' });
      });
    });

    describe('the fence', () => {
      test('refuses commands under a lower or revoked token', async () => {
        await withSandbox(
          async (sandbox) => {
            await expect(runIn(sandbox, 'true', { token: 4 })).rejects.toMatchObject({
              code: 'OCT_STALE_FENCING_TOKEN',
            });
            await expect(runIn(sandbox, 'true', { token: 8 })).rejects.toMatchObject({
              code: 'OCT_STALE_FENCING_TOKEN',
            });
            expect(await runIn(sandbox, 'true', { token: 9 })).toMatchObject({ exitCode: 0 });
          },
          { fence: { minToken: 5, revoked: [8] } },
        );
      });

      test('ends what runs under an excluded token, and nothing else', async () => {
        await withSandbox(async (sandbox) => {
          const stale = runIn(sandbox, 'setsid sleep 911 & sleep 912', { token: 5 });
          const good = runIn(
            sandbox,
            'sleep 913 & trap "exit 3" TERM; while :; do sleep 0.05; [ -e /tmp/done ] && exit 4; done',
            { token: 6 },
          );
          await until(async () => (await agentProcesses(sandbox)).some((line) => line.startsWith('sleep 912')));
          const { ended } = await sandbox.fence({ minToken: 6, revoked: [] });
          expect(ended).toBeGreaterThanOrEqual(2);
          expect(await stale).toMatchObject({ reason: 'fenced', exitCode: null });
          const left = await agentProcesses(sandbox, 6);
          expect(left.filter((line) => /sleep 91[12]/.test(line))).toEqual([]);
          await runIn(sandbox, 'touch /tmp/done', { token: 6 });
          expect(await good).toMatchObject({ reason: 'exited', exitCode: 4 });
        });
      });

      test('holds for other processes and is never lowered', async () => {
        await withSandbox(async (sandbox) => {
          const same = await opened.other.find(sandbox.ref);
          await same?.fence({ minToken: 7, revoked: [9] });
          await expect(runIn(sandbox, 'true', { token: 6 })).rejects.toMatchObject({ code: 'OCT_STALE_FENCING_TOKEN' });
          await expect(sandbox.fence({ minToken: 6, revoked: [9] })).rejects.toMatchObject({
            code: 'OCT_STALE_FENCING_TOKEN',
          });
          await expect(sandbox.fence({ minToken: 7, revoked: [] })).rejects.toMatchObject({
            code: 'OCT_STALE_FENCING_TOKEN',
          });
          expect(await sandbox.fence({ minToken: 7, revoked: [9] })).toEqual({ ended: 0 });
        });
      });

      test('ends one execution that another process started', async () => {
        await withSandbox(async (sandbox) => {
          const executionId = ids.next('execution');
          const running = runIn(sandbox, 'setsid sleep 921 & sleep 922', { executionId });
          await until(async () => (await agentProcesses(sandbox)).some((line) => line.startsWith('sleep 922')));
          const same = await opened.other.find(sandbox.ref);
          expect((await same?.endExecution(executionId))?.ended).toBeGreaterThanOrEqual(2);
          expect(await running).toMatchObject({ reason: 'cancelled' });
          expect(await same?.endExecution(executionId)).toEqual({ ended: 0 });
          expect(await agentProcesses(sandbox)).toEqual([]);
        });
      });
    });

    describe('the life of a sandbox', () => {
      test('begins once for one operation, however often it is asked for', async () => {
        await withSandbox(async (sandbox, made) => {
          expect((await opened.runtime.create(made)).ref).toBe(sandbox.ref);
          const adopted = await opened.other.create(made);
          expect(adopted.ref).toBe(sandbox.ref);
          expect(await runIn(adopted, 'echo here')).toMatchObject({ stdout: 'here\n' });
          const { homeId, operationId } = made;
          expect(await opened.runtime.list({ homeId, operationId })).toEqual([await sandbox.inspect()]);
        });
      });

      test('begins once when it is asked for several times at once', async () => {
        const made = plan();
        const askers = [opened.runtime, opened.other, opened.runtime, opened.other];
        const handles = await Promise.all(askers.map(async (runtime) => runtime.create(made)));
        try {
          expect(new Set(handles.map(({ ref }) => ref)).size).toBe(1);
          const outputs = await Promise.all(handles.map(async (handle) => (await runIn(handle, 'echo here')).stdout));
          expect(outputs).toEqual(handles.map(() => 'here\n'));
        } finally {
          await handles[0]?.destroy();
        }
      });

      test('goes on after stop and start, under the same fence', async () => {
        await withSandbox(async (sandbox) => {
          await runIn(sandbox, 'echo kept >/workspace/file');
          await sandbox.fence({ minToken: 6, revoked: [] });
          await sandbox.stop(0);
          expect(await sandbox.inspect()).toMatchObject({ state: 'stopped' });
          await expect(runIn(sandbox, 'true', { token: 6 })).rejects.toMatchObject({ code: 'OCT_SANDBOX_NOT_FOUND' });
          await sandbox.start();
          await expect(runIn(sandbox, 'true', { token: 5 })).rejects.toMatchObject({ code: 'OCT_STALE_FENCING_TOKEN' });
          expect(await runIn(sandbox, 'cat /workspace/file', { token: 6 })).toMatchObject({ stdout: 'kept\n' });
        });
      });

      test('refuses every command after a start by someone who does not know the fence', async () => {
        await withSandbox(async (sandbox) => {
          await sandbox.stop(0);
          const same = await opened.other.find(sandbox.ref);
          if (!same) throw new Error('not found');
          await same.start();
          await expect(runIn(same, 'true', { token: 1_000 })).rejects.toMatchObject({
            code: 'OCT_STALE_FENCING_TOKEN',
          });
          await same.fence({ minToken: 5, revoked: [] });
          expect(await runIn(same, 'echo again')).toMatchObject({ stdout: 'again\n' });
        });
      });

      test('lets processes end by themselves within the grace time', async () => {
        await withSandbox(async (sandbox) => {
          const running = runIn(sandbox, 'trap "echo bye; exit 0" TERM; echo up; while :; do sleep 0.05; done');
          await until(async () => (await agentProcesses(sandbox)).length > 0);
          await sandbox.stop(5_000);
          expect((await running).stdout).toBe('up\nbye\n');
        });
      });

      test('pauses and goes on, and can be fenced and destroyed while paused', async () => {
        await withSandbox(async (sandbox) => {
          await sandbox.pause();
          await sandbox.pause();
          expect(await sandbox.inspect()).toMatchObject({ state: 'paused' });
          const waiting = runIn(sandbox, 'echo late', { token: 6 });
          await sandbox.fence({ minToken: 6, revoked: [] });
          expect(await sandbox.inspect()).toMatchObject({ state: 'paused' });
          await sandbox.unpause();
          await sandbox.unpause();
          expect(await waiting).toMatchObject({ stdout: 'late\n' });
          await sandbox.pause();
        });
      });

      test('ends without a trace, and ending it again is fine', async () => {
        const sandbox = await opened.runtime.create(plan());
        await sandbox.destroy();
        await sandbox.destroy();
        expect(await opened.runtime.find(sandbox.ref)).toBeUndefined();
        await expect(sandbox.inspect()).rejects.toMatchObject({ code: 'OCT_SANDBOX_NOT_FOUND' });
        await expect(runIn(sandbox, 'true')).rejects.toMatchObject({ code: 'OCT_SANDBOX_NOT_FOUND' });
      });

      test('says so to commands beside a stop, whatever moment it comes at', async () => {
        await withSandbox(async (sandbox) => {
          for (let round = 0; round < 3; round += 1) {
            const commands = Array.from({ length: 4 * round + 1 }, async () => runIn(sandbox, 'sleep 0.02; sleep 932'));
            const ends = Promise.allSettled(commands);
            await sandbox.stop(0);
            for (const end of await ends) {
              if (end.status === 'fulfilled')
                expect(end.value).toMatchObject({ reason: 'sandbox-gone', exitCode: null });
              else expect(end.reason).toMatchObject({ code: 'OCT_SANDBOX_NOT_FOUND' });
            }
            await sandbox.start();
          }
        });
      });

      test('says whether results could be forged, once it has spoken', async () => {
        await withSandbox(async (sandbox) => {
          expect(sandbox.forgeableResults).toBe(false);
          expect(await sandbox.inspect()).toMatchObject({ forgeableResults: false });
          const same = await opened.other.find(sandbox.ref);
          expect(await same?.inspect()).toMatchObject({ forgeableResults: null });
          if (same) await runIn(same, 'true');
          expect(await same?.inspect()).toMatchObject({ forgeableResults: false });
        });
      });

      test('ends a command with it', async () => {
        await withSandbox(async (sandbox) => {
          const running = runIn(sandbox, 'echo up; sleep 931');
          await until(async () => (await agentProcesses(sandbox)).length > 0);
          const same = await opened.other.find(sandbox.ref);
          await same?.destroy();
          expect(await running).toMatchObject({ reason: 'sandbox-gone', exitCode: null, stdout: 'up\n' });
        });
      });

      test('ends every process at once when asked', async () => {
        await withSandbox(async (sandbox) => {
          const running = runIn(sandbox, 'env -i setsid sleep 941 & sleep 942 & sleep 943');
          await until(async () => (await agentProcesses(sandbox)).some((line) => line.startsWith('sleep 943')));
          expect((await sandbox.endAll()).ended).toBeGreaterThanOrEqual(3);
          expect(await running).toMatchObject({ exitCode: null });
          expect(await agentProcesses(sandbox)).toEqual([]);
          expect(await sandbox.endAll()).toEqual({ ended: 0 });
        });
      });

      test('tells what it uses', async () => {
        const stats = await shared.stats();
        expect(stats.memoryLimitBytes).toBe(256 * 1024 ** 2);
        expect(stats.processes).toBeGreaterThan(0);
      });
    });

    describe('the root file system', () => {
      test('is unchanged at first, and lists what commands did to it', async () => {
        await withSandbox(async (sandbox) => {
          await runIn(sandbox, 'true');
          expect(await sandbox.rootChanges()).toEqual([]);
          await runIn(sandbox, 'echo x >/home/agent/new; echo y >/tmp/elsewhere');
          expect(await sandbox.rootChanges()).toContainEqual({ path: '/home/agent/new', change: 'added' });
        });
      });

      test('can be read-only', async () => {
        await withSandbox(
          async (sandbox) => {
            const ran = await runIn(sandbox, 'echo x >/workspace/new || echo y >/tmp/new && cat /tmp/new');
            expect(ran).toMatchObject({ stdout: 'y\n' });
          },
          { readOnlyRoot: true },
        );
      });
    });

    test('refuses a network that it cannot give', async () => {
      await expect(opened.runtime.create(plan({ networkMode: 'policy' }))).rejects.toMatchObject({
        code: 'OCT_CAPABILITY_UNSUPPORTED',
      });
    });

    test('says that an image is missing', async () => {
      const imageId = `sha256:${'0'.repeat(64)}`;
      await expect(opened.runtime.create(plan({ imageId }))).rejects.toMatchObject({ code: 'OCT_IMAGE_NOT_FOUND' });
    });
  });
}
