import type { SandboxHandle } from '@opencode-tools/core';
import { describe, expect, test } from 'vitest';
import { agentProcesses, runIn } from '../sandbox-samples.ts';
import { until } from '../until.ts';
import type { SandboxBed } from './sandbox-bed.ts';

/** How a sandbox begins, rests, goes on and ends. */
export function lifeOfSandbox(bed: SandboxBed): void {
  describe('the life of a sandbox', () => {
    test('begins once for one operation, however often it is asked for', async () => {
      await bed.withSandbox(async (sandbox, made) => {
        expect((await bed.runtime().create(made)).ref).toBe(sandbox.ref);
        const adopted = await bed.other().create(made);
        expect(adopted.ref).toBe(sandbox.ref);
        expect(await runIn(adopted, 'echo here')).toMatchObject({ stdout: 'here\n' });
        const { homeId, operationId } = made;
        expect(await bed.runtime().list({ homeId, operationId })).toEqual([await sandbox.inspect()]);
      });
    });

    test('begins once when it is asked for several times at once', async () => {
      const made = bed.plan();
      const askers = [bed.runtime(), bed.other(), bed.runtime(), bed.other()];
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
      await bed.withSandbox(async (sandbox) => {
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
      await bed.withSandbox(async (sandbox) => {
        await sandbox.stop(0);
        const same = await bed.other().find(sandbox.ref);
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
      await bed.withSandbox(async (sandbox) => {
        const running = runIn(sandbox, 'trap "echo bye; exit 0" TERM; echo up; while :; do sleep 0.05; done');
        await until(async () => (await agentProcesses(sandbox)).length > 0);
        await sandbox.stop(5_000);
        expect((await running).stdout).toBe('up\nbye\n');
      });
    });

    test('may be paused and unpaused by others at the same time', async () => {
      await bed.withSandbox(async (sandbox) => {
        const same = await bed.other().find(sandbox.ref);
        const paused = async (handle: SandboxHandle | undefined): Promise<void> => {
          await handle?.pause();
          await handle?.unpause();
        };
        for (let round = 0; round < 40; round += 1) await Promise.all([paused(sandbox), paused(same)]);
        expect(await runIn(sandbox, 'echo on')).toMatchObject({ stdout: 'on\n' });
        await same?.[Symbol.asyncDispose]();
      });
    });

    test('pauses and goes on, and can be fenced and destroyed while paused', async () => {
      await bed.withSandbox(async (sandbox) => {
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
      const sandbox = await bed.runtime().create(bed.plan());
      await sandbox.destroy();
      await sandbox.destroy();
      expect(await bed.runtime().find(sandbox.ref)).toBeUndefined();
      await expect(sandbox.inspect()).rejects.toMatchObject({ code: 'OCT_SANDBOX_NOT_FOUND' });
      await expect(runIn(sandbox, 'true')).rejects.toMatchObject({ code: 'OCT_SANDBOX_NOT_FOUND' });
    });

    test('says so to commands beside a stop, whatever moment it comes at', async () => {
      await bed.withSandbox(async (sandbox) => {
        for (let round = 0; round < 3; round += 1) {
          const commands = Array.from({ length: 4 * round + 1 }, async () => runIn(sandbox, 'sleep 0.02; sleep 932'));
          const ends = Promise.allSettled(commands);
          await sandbox.stop(0);
          for (const end of await ends) {
            if (end.status === 'fulfilled') expect(end.value).toMatchObject({ reason: 'sandbox-gone', exitCode: null });
            else expect(end.reason).toMatchObject({ code: 'OCT_SANDBOX_NOT_FOUND' });
          }
          await sandbox.start();
        }
      });
    });

    test('says whether results could be forged', async () => {
      await bed.withSandbox(async (sandbox) => {
        expect(sandbox.forgeableResults).toBe(false);
        expect(await sandbox.inspect()).toMatchObject({ forgeableResults: false });
        const same = await bed.other().find(sandbox.ref);
        expect(await same?.inspect()).toMatchObject({ forgeableResults: false });
      });
    });

    test('ends a command with it', async () => {
      await bed.withSandbox(async (sandbox) => {
        const running = runIn(sandbox, 'echo up; sleep 931');
        await until(async () => (await agentProcesses(sandbox)).length > 0);
        const same = await bed.other().find(sandbox.ref);
        await same?.destroy();
        expect(await running).toMatchObject({ reason: 'sandbox-gone', exitCode: null, stdout: 'up\n' });
      });
    });

    test('ends every process at once when asked', async () => {
      await bed.withSandbox(async (sandbox) => {
        const running = runIn(sandbox, 'env -i setsid sleep 941 & sleep 942 & sleep 943');
        await until(async () => (await agentProcesses(sandbox)).some((line) => line.startsWith('sleep 943')));
        expect((await sandbox.endAll()).ended).toBeGreaterThanOrEqual(3);
        expect(await running).toMatchObject({ exitCode: null });
        expect(await agentProcesses(sandbox)).toEqual([]);
        expect(await sandbox.endAll()).toEqual({ ended: 0 });
      });
    });

    test('takes other limits while it runs and while it is stopped, and keeps what ran', async () => {
      await bed.withSandbox(async (sandbox) => {
        const running = runIn(sandbox, 'sleep 951');
        await until(async () => (await agentProcesses(sandbox)).some((line) => line.startsWith('sleep 951')));
        await sandbox.update({ memoryBytes: 320 * 1024 ** 2, cpus: 1, pids: 200 });
        expect(await sandbox.stats()).toMatchObject({ memoryLimitBytes: 320 * 1024 ** 2, processLimit: 200 });
        expect((await sandbox.endAll()).ended).toBeGreaterThan(0);
        await running;
        await sandbox.stop(0);
        await sandbox.update({ memoryBytes: 128 * 1024 ** 2, cpus: 2, pids: 100 });
        await sandbox.start();
        expect(await sandbox.stats()).toMatchObject({ memoryLimitBytes: 128 * 1024 ** 2, processLimit: 100 });
      });
    });

    test('refuses less memory than is in use', async () => {
      await bed.withSandbox(async (sandbox) => {
        const held = 'head -c 60000000 /dev/zero >/tmp/held';
        expect(await runIn(sandbox, held)).toMatchObject({ exitCode: 0 });
        await expect(sandbox.update({ memoryBytes: 32 * 1024 ** 2, cpus: 1, pids: 100 })).rejects.toMatchObject({
          code: 'OCT_RESOURCE_LIMIT',
          details: { limit: 'memory' },
        });
      });
    });

    test('counts what a directory in it takes up', async () => {
      await runIn(bed.shared(), 'mkdir /tmp/counted; head -c 300000 /dev/zero >/tmp/counted/file');
      const bytes = await bed.shared().measure('/tmp/counted');
      expect(bytes).toBeGreaterThanOrEqual(300_000);
      expect(bytes).toBeLessThan(400_000);
    });

    test('is told of when it ends or runs out of memory', async () => {
      const seen: string[] = [];
      const abort = new AbortController();
      const { homeId } = bed.plan();
      const following = (async () => {
        for await (const { kind, ref } of bed.runtime().events({ homeId, signal: abort.signal })) seen.push(kind + ref);
      })();
      await bed.withSandbox(
        async (sandbox) => {
          // The stream of events begins at some moment after it was asked for.
          await until(async () => {
            await runIn(sandbox, 'tail /dev/zero');
            return seen.includes(`out-of-memory${sandbox.ref}`);
          }, 60_000);
          await sandbox.stop(0);
          await until(() => seen.includes(`ended${sandbox.ref}`));
        },
        { limits: { memoryBytes: 32 * 1024 ** 2, cpus: 2, pids: 64, tmpBytes: 1024 ** 2 } },
      );
      abort.abort();
      await following;
      expect(new Set(seen).size).toBeGreaterThanOrEqual(2);
    });

    test('tells what it uses', async () => {
      const stats = await bed.shared().stats();
      expect(stats.memoryLimitBytes).toBe(256 * 1024 ** 2);
      expect(stats.processes).toBeGreaterThan(0);
    });
  });
}
