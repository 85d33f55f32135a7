import { type ExecRequest, type ExecutionId, type SandboxHandle, createIds, systemClock } from '@opencode-tools/core';
import { describe, expect, test } from 'vitest';
import { agentProcesses, runIn } from '../sandbox-samples.ts';
import { until } from '../until.ts';
import type { SandboxBed } from './sandbox-bed.ts';

const ids = createIds(systemClock);

/** What shells of a sandbox do. */
export function shellsOfSandbox(bed: SandboxBed): void {
  describe('a shell', () => {
    test('keeps directory, variables and functions from command to command, for any process', async () => {
      await bed.withSandbox(async (sandbox) => {
        const shell = await open(sandbox, { GIVEN: 'from the start' });
        const first = await inShell(
          sandbox,
          shell,
          'mkdir -p /tmp/a\ncd /tmp/a; X="1\n2"; f() { echo "f $1 $X"; return 7; }',
        );
        expect(first).toMatchObject({ exitCode: 0, reason: 'exited', signal: null, stdout: '', stderr: '' });
        const other = await bed.other().find(sandbox.ref);
        if (other === undefined) throw new Error('the sandbox is not there');
        expect(await inShell(other, shell, 'pwd; echo "$GIVEN" >&2; f x')).toMatchObject({
          exitCode: 7,
          stdout: '/tmp/a\nf x 1\n2\n',
          stderr: 'from the start\n',
        });
        expect(await inShell(sandbox, shell, 'echo $?')).toMatchObject({ exitCode: 0, stdout: '7\n' });
        expect(await inShell(sandbox, shell, ['printf', '%s|', "it's", 'a\nb', '$X'])).toMatchObject({
          stdout: "it's|a\nb|$X|",
        });
        expect(await inShell(sandbox, await open(sandbox), 'pwd; echo "$X"')).toMatchObject({
          stdout: '/workspace\n\n',
        });
      });
    });

    test('survives what is wrong with a command', async () => {
      await bed.withSandbox(async (sandbox) => {
        const shell = await open(sandbox);
        expect(await inShell(sandbox, shell, 'X=5; if')).toMatchObject({ exitCode: 2 });
        expect(await inShell(sandbox, shell, 'nothing-of-that-name; echo next $X')).toMatchObject({
          exitCode: 0,
          stdout: 'next\n',
        });
        expect(await inShell(sandbox, shell, 'Y=1; break')).toMatchObject({ exitCode: 0 });
        expect(await inShell(sandbox, shell, 'continue')).toMatchObject({ exitCode: 0 });
        expect(await inShell(sandbox, shell, 'set -u; set -f; IFS=:; echo $Y')).toMatchObject({ stdout: '1\n' });
        expect(
          await inShell(sandbox, shell, `: ${'x'.repeat(60_000)}\n: '\n${'y\n'.repeat(2_000)}'\nreturn 9`),
        ).toMatchObject({ exitCode: 9 });
        expect(await inShell(sandbox, shell, 'cat; ls /proc/self/fd')).toMatchObject({ stdout: '0\n1\n2\n3\n' });
      });
    });

    test('lives on when a command of its is given up, with what earlier commands left running', async () => {
      await bed.withSandbox(async (sandbox) => {
        const shell = await open(sandbox);
        await inShell(sandbox, shell, 'X=kept; sleep 731 >/dev/null & P=$!');
        const late = await inShell(sandbox, shell, '(setsid sleep 732 &); sleep 733; echo no', { timeoutMs: 500 });
        expect(late).toMatchObject({ reason: 'timeout', stdout: '' });
        expect((await agentProcesses(sandbox)).filter((line) => line.startsWith('sleep'))).toEqual(['sleep 731 ']);
        const loop = await inShell(sandbox, shell, 'while :; do :; done', { timeoutMs: 300 });
        expect(loop).toMatchObject({ reason: 'timeout' });
        expect(await inShell(sandbox, shell, 'echo $X; kill -0 $P; echo $?')).toMatchObject({ stdout: 'kept\n0\n' });
      });
    });

    test('ends the command of whoever is gone, and lives on itself', async () => {
      await bed.withSandbox(async (sandbox) => {
        const shell = await open(sandbox);
        const other = await bed.other().find(sandbox.ref);
        const left = other && inShell(other, shell, 'cd /tmp; sleep 734; echo no').catch(() => undefined);
        await until(async () => (await agentProcesses(sandbox)).some((line) => line.startsWith('sleep 734')));
        await other?.[Symbol.asyncDispose]();
        await left;
        await until(async () => !(await agentProcesses(sandbox)).some((line) => line.startsWith('sleep 734')));
        expect(await inShell(sandbox, shell, 'pwd')).toMatchObject({ stdout: '/tmp\n' });
      });
    });

    test('goes with a command that cannot be given up otherwise, and says so', async () => {
      await bed.withSandbox(async (sandbox) => {
        const shell = await open(sandbox);
        const stuck = inShell(sandbox, shell, "trap '' URG; while :; do :; done", { timeoutMs: 500 });
        expect(await stuck).toMatchObject({ reason: 'timeout' });
        await until(async () => (await sandbox.background.look(shell)).kind === 'ended');
        await expect(inShell(sandbox, shell, 'true')).rejects.toMatchObject({ code: 'OCT_SHELL_ENDED' });
      });
    });

    test('that ends with a command says so to it, and to whoever waits', async () => {
      await bed.withSandbox(async (sandbox) => {
        const shell = await open(sandbox);
        const ending = inShell(
          sandbox,
          shell,
          ': >/tmp/begun; until [ -e /tmp/go ]; do sleep 0.02; done; echo bye; exit 3',
        );
        await until(async () => (await runIn(sandbox, 'test -e /tmp/begun')).exitCode === 0);
        await Promise.all([
          expect(inShell(sandbox, shell, 'echo never')).rejects.toMatchObject({ code: 'OCT_SHELL_ENDED' }),
          runIn(sandbox, ': >/tmp/go'),
          expect(ending).resolves.toMatchObject({ exitCode: 3, stdout: 'bye\n', shellEnded: true }),
        ]);
        expect(await sandbox.background.look(shell)).toMatchObject({
          kind: 'ended',
          outcome: { reason: 'exited', exitCode: 3 },
        });
        const killed = await open(sandbox);
        expect(await inShell(sandbox, killed, 'kill -9 $$')).toMatchObject({ signal: 'SIGKILL', shellEnded: true });
      });
    });

    test('is closed, and ended by a fence', async () => {
      await bed.withSandbox(async (sandbox) => {
        const shell = await open(sandbox);
        await inShell(sandbox, shell, "trap 'echo bye >/tmp/bye' EXIT");
        await sandbox.background.endInput(shell);
        await until(async () => (await sandbox.background.look(shell)).kind === 'ended');
        expect(await runIn(sandbox, 'cat /tmp/bye')).toMatchObject({ stdout: 'bye\n' });
        const other = await open(sandbox);
        await inShell(sandbox, other, 'sleep 741 >/dev/null &');
        await sandbox.fence({ minToken: 6, revoked: [] });
        expect(await agentProcesses(sandbox, 6)).toEqual([]);
        await expect(inShell(sandbox, other, 'true', { token: 6 })).rejects.toMatchObject({ code: 'OCT_SHELL_ENDED' });
      });
    });

    test('runs one command at a time; one that is given up while it waits never runs', async () => {
      await bed.withSandbox(async (sandbox) => {
        const shell = await open(sandbox);
        const first = inShell(
          sandbox,
          shell,
          ': >/tmp/begun; until [ -e /tmp/go ]; do sleep 0.02; done; echo first >>/tmp/order',
        );
        await until(async () => (await runIn(sandbox, 'test -e /tmp/begun')).exitCode === 0);
        const second = inShell(sandbox, shell, 'echo second >>/tmp/order', { timeoutMs: 300 });
        expect(await second).toMatchObject({ reason: 'timeout' });
        await runIn(sandbox, ': >/tmp/go');
        await Promise.all([first, inShell(sandbox, shell, 'echo third >>/tmp/order')]);
        expect((await runIn(sandbox, 'cat /tmp/order')).stdout).toBe('first\nthird\n');
      });
    });

    test('is no way for other commands to disturb or forge how a command in it ended', async () => {
      await bed.withSandbox(async (sandbox) => {
        const shell = await open(sandbox);
        const noise = `while [ ! -e /tmp/enough ]; do
          for f in /run/oct/bg.*/in; do printf 'half a line' >$f; printf '1\\n0' >$f; done
          for f in /proc/[0-9]*/fd/[5-7] /run/oct/r.* /run/oct/sh.* /run/oct/ask.*; do echo '0 0' >$f; done
        done 2>/dev/null`;
        const noisy = runIn(sandbox, noise, { timeoutMs: 60_000 });
        for (let index = 1; index < 12; index += 1) {
          const ran = await inShell(sandbox, shell, `echo ${index}; (exit ${index})`);
          expect(ran).toMatchObject({ exitCode: index, stdout: `${index}\n` });
        }
        await runIn(sandbox, 'touch /tmp/enough');
        await noisy;
      });
    });
  });
}

async function open(sandbox: SandboxHandle, env: Readonly<Record<string, string>> = {}): Promise<ExecutionId> {
  const executionId = ids.next('execution');
  await sandbox.background.openShell({ executionId, token: 5, cwd: '/workspace', env });
  return executionId;
}

async function inShell(
  sandbox: SandboxHandle,
  shell: ExecutionId,
  command: string | readonly string[],
  change: Partial<ExecRequest> = {},
): ReturnType<typeof runIn> {
  return runIn(sandbox, command, { shell, ...change });
}
