import { describe, expect, test } from 'vitest';
import { agentProcesses, runIn } from '../sandbox-samples.ts';
import { until } from '../until.ts';
import type { SandboxBed } from './sandbox-bed.ts';

/** What commands in a sandbox do. */
export function commandsOfSandbox(bed: SandboxBed): void {
  describe('commands', () => {
    test('run as the user, in their directory, with their environment', async () => {
      const ran = await runIn(bed.shared(), 'id -u; id -g; pwd; printf "%s|" "$ONE" "$TWO"', {
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
      expect(await runIn(bed.shared(), `exit ${exitCode}`)).toMatchObject({ reason: 'exited', exitCode, signal: null });
    });

    test.each(['SIGKILL', 'SIGTERM', 'SIGSEGV'])('report death by %s as a signal', async (signal) => {
      expect(await runIn(bed.shared(), `kill -${signal.slice(3)} $$`)).toMatchObject({
        reason: 'signalled',
        exitCode: null,
        signal,
      });
    });

    test('get each argument as it is, without a shell', async () => {
      const argv = ['printf', '%s|', 'a b', '', '$HOME', "it's", 'line\nbreak\n', '-n', '*', '=x', '+y', '.z'];
      expect((await runIn(bed.shared(), argv)).stdout).toBe(`${argv.slice(2).join('|')}|`);
    });

    test('end with 127 when the program does not exist, and 126 when the directory does not', async () => {
      expect(await runIn(bed.shared(), ['no-such-program'])).toMatchObject({ exitCode: 127 });
      expect(await runIn(bed.shared(), 'true', { cwd: '/no/such' })).toMatchObject({ exitCode: 126 });
    });

    test('keep both outputs apart, byte for byte', async () => {
      const ran = await runIn(bed.shared(), "printf '\\377\\000\\036\\200no newline'; printf 'to stderr' >&2");
      expect(ran.stdoutBytes).toEqual(Buffer.from('\xff\0\x1e\x80no newline', 'latin1'));
      expect(ran.stderr).toBe('to stderr');
    });

    test('read standard input to its end, and have none otherwise', async () => {
      const stdin = Buffer.from('hello\0\nwithout an end');
      expect((await runIn(bed.shared(), 'cat', { stdin })).stdoutBytes).toEqual(stdin);
      expect(await runIn(bed.shared(), 'cat')).toMatchObject({ stdout: '', exitCode: 0 });
    });

    test('run at the same time without mixing their outputs', async () => {
      const numbers = Array.from({ length: 16 }, (_, index) => index);
      const outputs = await Promise.all(
        numbers.map(
          async (number) =>
            (await runIn(bed.shared(), `i=0; while [ $i -lt 200 ]; do echo ${number}; i=$((i+1)); done`)).stdout,
        ),
      );
      expect(outputs).toEqual(numbers.map((number) => `${number}\n`.repeat(200)));
    });

    test('run at once, sixteen of them', async () => {
      const script =
        'mkdir -p /tmp/meet; : >/tmp/meet/$$; while :; do set -- /tmp/meet/*; [ $# -ge 16 ] && exit; sleep 0.05; done';
      const met = Array.from({ length: 16 }, async () => runIn(bed.shared(), script, { timeoutMs: 120_000 }));
      expect((await Promise.all(met)).map(({ reason }) => reason)).toEqual(met.map(() => 'exited'));
    });

    test('end by their time limit, and when cancelled, also while they wait for others to end', async () => {
      await bed.withSandbox(async (sandbox) => {
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

    test.each([false, true])('put out chunks to keep unless they are asked to lend them (%s)', async (lendsChunks) => {
      const chunks: Uint8Array[] = [];
      const take = (chunk: Uint8Array) => void chunks.push(lendsChunks ? Uint8Array.from(chunk) : chunk);
      await runIn(bed.shared(), 'i=0; while [ $i -lt 60000 ]; do i=$((i + 1)); echo "line $i"; done', {
        onStdout: take,
        lendsChunks,
      });
      const lines = Array.from({ length: 60_000 }, (_, index) => `line ${index + 1}\n`);
      expect(Buffer.concat(chunks).toString() === lines.join('')).toBe(true);
    });

    test('hold back only their own output while it is dealt with', async () => {
      const { promise: dealt, resolve: goOn } = Promise.withResolvers<void>();
      let bytes = 0;
      const slow = runIn(bed.shared(), 'head -c 60000000 /dev/zero', {
        onStdout: async (chunk) => {
          bytes += chunk.length;
          await dealt;
        },
      });
      await until(() => bytes > 0);
      let others = 0;
      await runIn(bed.shared(), 'head -c 60000000 /dev/zero', { onStdout: (chunk) => void (others += chunk.length) });
      expect(others).toBe(60_000_000);
      expect(bytes).toBeLessThan(1_000_000);
      goOn();
      expect(await slow).toMatchObject({ reason: 'exited', exitCode: 0 });
      expect(bytes).toBe(60_000_000);
    });

    test('end by their time limit although nobody takes their output', async () => {
      const never = new Promise<void>(() => undefined);
      const ran = await runIn(bed.shared(), 'while :; do echo line; done', { timeoutMs: 300, onStdout: () => never });
      expect(ran).toMatchObject({ reason: 'timeout', exitCode: null });
      expect(await runIn(bed.shared(), 'echo next')).toMatchObject({ stdout: 'next\n' });
    });

    test('are ended when their output cannot be taken, and fail with the reason', async () => {
      const noRoom = new Error('no room');
      const refuse = () => Promise.reject(noRoom);
      const throwing = () => {
        throw noRoom;
      };
      await expect(runIn(bed.shared(), 'echo up; sleep 909', { onStdout: refuse })).rejects.toBe(noRoom);
      await expect(runIn(bed.shared(), 'echo up >&2; sleep 909', { onStderr: throwing })).rejects.toBe(noRoom);
      expect(await agentProcesses(bed.shared())).toEqual([]);
    });

    test('end by their time limit with all they started', async () => {
      const ran = await runIn(bed.shared(), 'sleep 901 & setsid sleep 902 & env -i setsid sleep 903 & sleep 904', {
        timeoutMs: 300,
      });
      expect(ran).toMatchObject({ reason: 'timeout', exitCode: null });
      expect(await agentProcesses(bed.shared())).toEqual([]);
    });

    test('end when cancelled, before and after they started', async () => {
      expect(await runIn(bed.shared(), 'sleep 905', { signal: AbortSignal.abort() })).toMatchObject({
        reason: 'cancelled',
      });
      const abort = new AbortController();
      const running = runIn(bed.shared(), 'trap "" TERM INT; echo up; sleep 906; sleep 907', {
        signal: abort.signal,
        onStdout: () => abort.abort(),
      });
      expect(await running).toMatchObject({ reason: 'cancelled', exitCode: null });
      expect(await agentProcesses(bed.shared())).toEqual([]);
    });

    test('leave processes behind that cannot write into the output of the next', async () => {
      const first = await runIn(bed.shared(), '(sleep 0.3; echo LATE; echo LATE >&2) & echo first');
      expect(first).toMatchObject({ stdout: 'first\n', exitCode: 0 });
      expect(await runIn(bed.shared(), 'sleep 0.6; echo second')).toMatchObject({ stdout: 'second\n', stderr: '' });
    });

    test('are refused when they cannot be said', async () => {
      await expect(runIn(bed.shared(), 'true', { cwd: 'relative' })).rejects.toMatchObject({
        code: 'OCT_INVALID_ARGUMENT',
      });
      await expect(runIn(bed.shared(), ['echo', 'a\0b'])).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
      await expect(runIn(bed.shared(), 'true', { env: { 'A=B; id': '' } })).rejects.toMatchObject({
        code: 'OCT_INVALID_ARGUMENT',
      });
      expect(await runIn(bed.shared(), 'echo fine')).toMatchObject({ stdout: 'fine\n' });
    });
  });
}
