import { createIds, largestFencingToken, systemClock } from '@opencode-tools/core';
import { describe, expect, test } from 'vitest';
import { agentProcesses, runIn } from '../sandbox-samples.ts';
import { until } from '../until.ts';
import type { SandboxBed } from './sandbox-bed.ts';

const ids = createIds(systemClock);

/** What the fence of a sandbox holds off and ends. */
export function fenceOfSandbox(bed: SandboxBed): void {
  describe('the fence', () => {
    test('refuses commands under a lower or revoked token', async () => {
      await bed.withSandbox(
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

    test('lets the largest token pass, and there is none above it', async () => {
      expect(await runIn(bed.shared(), 'echo up', { token: largestFencingToken })).toMatchObject({ stdout: 'up\n' });
      await expect(runIn(bed.shared(), 'true', { token: largestFencingToken + 1 })).rejects.toMatchObject({
        code: 'OCT_INVALID_ARGUMENT',
      });
    });

    test('ends what runs under an excluded token, and nothing else', async () => {
      await bed.withSandbox(async (sandbox) => {
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
      await bed.withSandbox(async (sandbox) => {
        const same = await bed.other().find(sandbox.ref);
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
      await bed.withSandbox(async (sandbox) => {
        const executionId = ids.next('execution');
        const running = runIn(sandbox, 'setsid sleep 921 & sleep 922', { executionId });
        await until(async () => (await agentProcesses(sandbox)).some((line) => line.startsWith('sleep 922')));
        const same = await bed.other().find(sandbox.ref);
        expect((await same?.endExecution(executionId))?.ended).toBeGreaterThanOrEqual(2);
        expect(await running).toMatchObject({ reason: 'cancelled' });
        expect(await same?.endExecution(executionId)).toEqual({ ended: 0 });
        expect(await agentProcesses(sandbox)).toEqual([]);
      });
    });
  });
}
