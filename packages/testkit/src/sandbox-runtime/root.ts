import { describe, expect, test } from 'vitest';
import { runIn } from '../sandbox-samples.ts';
import type { SandboxBed } from './sandbox-bed.ts';

/** What a sandbox says of its root file system. */
export function rootOfSandbox(bed: SandboxBed): void {
  describe('the root file system', () => {
    test('is unchanged at first, and lists what commands did to it', async () => {
      await bed.withSandbox(async (sandbox) => {
        await runIn(sandbox, 'true');
        expect(await sandbox.rootChanges()).toEqual([]);
        await runIn(sandbox, 'echo x >/home/agent/new; echo y >/tmp/elsewhere');
        expect(await sandbox.rootChanges()).toContainEqual({ path: '/home/agent/new', change: 'added' });
      });
    });

    test('is not said to be untouched after a command changed it, however old it makes that look', async () => {
      await bed.withSandbox(async (sandbox) => {
        await runIn(sandbox, 'echo x >/home/agent/new; touch -d "2001-01-01 00:00:00" /home/agent/new /home/agent');
        expect(await sandbox.rootIsUntouched()).toBe(false);
      });
    });

    test('can be read-only', async () => {
      await bed.withSandbox(
        async (sandbox) => {
          const ran = await runIn(sandbox, 'echo x >/workspace/new || echo y >/tmp/new && cat /tmp/new');
          expect(ran).toMatchObject({ stdout: 'y\n' });
        },
        { readOnlyRoot: true },
      );
    });
  });
}
