import {
  type ExecOutcome,
  type ExecutionId,
  type SandboxHandle,
  type SpawnRequest,
  createIds,
  systemClock,
} from '@opencode-tools/core';
import { describe, expect, test } from 'vitest';
import { agentProcesses, runIn } from '../sandbox-samples.ts';
import { until } from '../until.ts';
import type { SandboxBed } from './sandbox-bed.ts';

const ids = createIds(systemClock);

/** What commands in the background of a sandbox do. */
export function backgroundOfSandbox(bed: SandboxBed): void {
  describe('commands in the background', () => {
    test('go on without whoever started them, and tell any process how they ended and what they put out', async () => {
      await bed.withSandbox(async (sandbox) => {
        const id = await spawn(
          sandbox,
          'printf "a\\377b"; echo wrong >&2; until [ -e /tmp/go ]; do sleep 0.05; done; exit 7',
        );
        await sandbox[Symbol.asyncDispose]();
        const other = await bed.other().find(sandbox.ref);
        if (other === undefined) throw new Error('the sandbox is not there');
        expect(await other.background.look(id)).toEqual({ kind: 'running' });
        await until(async () => (await text(other, id, 'stdout')).length === 3);
        await runIn(other, ': >/tmp/go');
        expect(await end(other, id)).toMatchObject({ reason: 'exited', exitCode: 7, signal: null });
        expect(Buffer.from(await text(other, id, 'stdout'), 'latin1')).toEqual(Buffer.from('a\xffb', 'latin1'));
        expect(await text(other, id, 'stderr')).toBe('wrong\n');
        await other.background.forget(id);
        expect(await other.background.look(id)).toEqual({ kind: 'none' });
      });
    });

    test('put out as much as they like to whoever takes it, and wait for room when nobody does', async () => {
      await bed.withSandbox(async (sandbox) => {
        const id = await spawn(sandbox, 'head -c 9000000 /dev/zero | tr "\\000" x; echo end');
        await until(async () => (await spooledKib(sandbox)) >= 1_024);
        expect(await sandbox.background.look(id)).toEqual({ kind: 'running' });
        expect(await spooledKib(sandbox)).toBeLessThan(4_096);
        const whole = await text(sandbox, id, 'stdout', 9_000_004);
        expect(whole.length).toBe(9_000_004);
        expect(whole.endsWith('xend\n')).toBe(true);
        expect(await end(sandbox, id)).toMatchObject({ exitCode: 0 });
        expect(await sandbox.background.pull(id, 'stdout', 0)).toBeUndefined();
      });
    });

    test('read what any process writes to them, and its end', async () => {
      await bed.withSandbox(async (sandbox) => {
        const id = await spawn(sandbox, 'while read -r line; do echo "got $line"; done; echo over', {
          openInput: true,
        });
        await sandbox.background.write(id, 5, Buffer.from('one\n'));
        await sandbox.background.write(id, 5, Buffer.from('two\n'));
        await until(async () => (await text(sandbox, id, 'stdout')) === 'got one\ngot two\n');
        await sandbox.background.endInput(id);
        expect(await end(sandbox, id)).toMatchObject({ exitCode: 0 });
        expect(await text(sandbox, id, 'stdout')).toBe('got one\ngot two\nover\n');
        const late = sandbox.background.write(id, 5, Buffer.from('three\n'));
        await expect(late).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
      });
    });

    test('get signals, each as it is, and end by their time limit', async () => {
      await bed.withSandbox(async (sandbox) => {
        const asked = await spawn(sandbox, 'trap "echo hup; exit 9" HUP; echo up; while :; do sleep 0.05; done');
        await until(async () => (await text(sandbox, asked, 'stdout')) === 'up\n');
        expect(await sandbox.background.signal(asked, 'SIGHUP')).toBe(true);
        expect(await end(sandbox, asked)).toMatchObject({ reason: 'exited', exitCode: 9 });
        expect(await text(sandbox, asked, 'stdout')).toBe('up\nhup\n');
        expect(await sandbox.background.signal(asked, 'SIGHUP')).toBe(false);
        const interrupted = await spawn(sandbox, 'sleep 600');
        await sandbox.background.signal(interrupted, 'SIGINT');
        expect(await end(sandbox, interrupted)).toMatchObject({ reason: 'signalled', signal: 'SIGINT' });
        const killed = await spawn(sandbox, 'sleep 600');
        await sandbox.background.signal(killed, 'SIGKILL');
        expect(await end(sandbox, killed)).toMatchObject({ reason: 'signalled', signal: 'SIGKILL' });
        const late = await spawn(sandbox, 'setsid sleep 601 & sleep 602', { timeoutMs: 1_000 });
        expect(await end(sandbox, late)).toMatchObject({ reason: 'timeout' });
        expect(await agentProcesses(sandbox)).toEqual([]);
      });
    });

    test('are ended by a fence and by name, with everything that they started, and keep what they put out', async () => {
      await bed.withSandbox(async (sandbox) => {
        const fenced = await spawn(sandbox, 'echo before; (setsid sleep 611 &); sleep 612');
        const named = await spawn(sandbox, 'sleep 613', { token: 6 });
        await until(async () => (await text(sandbox, fenced, 'stdout')) === 'before\n');
        await sandbox.fence({ minToken: 6, revoked: [] });
        expect(await end(sandbox, fenced)).toMatchObject({ reason: 'fenced' });
        expect(await text(sandbox, fenced, 'stdout')).toBe('before\n');
        expect(await sandbox.background.look(named)).toEqual({ kind: 'running' });
        await sandbox.endExecution(named);
        expect(await end(sandbox, named)).toMatchObject({ reason: 'cancelled' });
        await expect(spawn(sandbox, 'true')).rejects.toMatchObject({ code: 'OCT_STALE_FENCING_TOKEN' });
        expect(await agentProcesses(sandbox, 6)).toEqual([]);
      });
    });

    test('are ended by name however soon after their start, and however busy the sandbox is', async () => {
      await bed.withSandbox(async (sandbox) => {
        const busy = ['a', 'b', 'c', 'd'].map(async () => spawn(sandbox, 'while :; do :; done'));
        await Promise.all(busy);
        for (let round = 0; round < 20; round += 1) {
          const id = await spawn(sandbox, 'sleep 600');
          await sandbox.endExecution(id);
          expect(await end(sandbox, id)).toMatchObject({ reason: 'cancelled' });
          await sandbox.background.forget(id);
        }
      });
    });

    test('do not wait for what they leave behind, which a fence still ends', async () => {
      await bed.withSandbox(async (sandbox) => {
        const id = await spawn(sandbox, '(sleep 621; echo late) & echo done');
        expect(await end(sandbox, id)).toMatchObject({ reason: 'exited', exitCode: 0 });
        expect(await text(sandbox, id, 'stdout')).toBe('done\n');
        expect((await agentProcesses(sandbox)).length).toBeGreaterThan(0);
        await sandbox.fence({ minToken: 6, revoked: [] });
        expect(await agentProcesses(sandbox, 6)).toEqual([]);
      });
    });
  });
}

async function spawn(sandbox: SandboxHandle, script: string, change: Partial<SpawnRequest> = {}): Promise<ExecutionId> {
  const executionId = ids.next('execution');
  const command = { kind: 'script', script } as const;
  const request = { token: 5, command, cwd: '/workspace', env: {}, timeoutMs: 600_000, openInput: false };
  await sandbox.background.spawn({ ...request, executionId, ...change });
  return executionId;
}

async function end(sandbox: SandboxHandle, id: ExecutionId) {
  const seen: ExecOutcome[] = [];
  await until(async () => {
    const state = await sandbox.background.look(id);
    if (state.kind === 'ended') seen.push(state.outcome);
    return state.kind === 'ended';
  });
  return seen[0];
}

async function spooledKib(sandbox: SandboxHandle): Promise<number> {
  const { stdout } = await runIn(sandbox, 'df -P -k /run/oct');
  return Number(stdout.trim().split('\n').at(-1)?.split(/\s+/)[2]);
}

const kept = new Map<string, string>();

/** All of an output so far, or as much as is asked for; what was taken before is remembered, as whoever takes it does. */
async function text(sandbox: SandboxHandle, id: ExecutionId, stream: 'stdout' | 'stderr', length = 0): Promise<string> {
  const key = `${id} ${stream}`;
  await until(async () => {
    const before = kept.get(key) ?? '';
    const bytes = await sandbox.background.pull(id, stream, before.length);
    if (bytes === undefined || bytes.length === 0) return before.length >= length;
    kept.set(key, before + Buffer.from(bytes).toString('latin1'));
    return false;
  });
  return kept.get(key) ?? '';
}
