import { setTimeout as delay } from 'node:timers/promises';
import {
  type ExecOutcome,
  type ExecutionId,
  type OpenTerminal,
  type SandboxHandle,
  type TerminalRequest,
  createIds,
  systemClock,
} from '@opencode-tools/core';
import { describe, expect, test } from 'vitest';
import { agentProcesses, runIn } from '../sandbox-samples.ts';
import { until } from '../until.ts';
import type { SandboxBed } from './sandbox-bed.ts';

const ids = createIds(systemClock);

/** What commands on a terminal of their own do. */
export function terminalsOfSandbox(bed: SandboxBed): void {
  describe('a command on a terminal', () => {
    test('is typed to, told of its size, interrupted by a key, and gives its exit code', async () => {
      await bed.withSandbox(async (sandbox) => {
        const script = `test -t 0 && test -t 2 && echo "[$GIVEN]"
          while read -r line; do echo "[$line]"; [ "$line" = size ] && stty size; done; sleep 755; exit 7`;
        const on = open(sandbox, script, { env: { GIVEN: 'x' }, size: { columns: 91, rows: 31 } });
        await on.shows('[x]\r\n');
        on.terminal().write(Buffer.from('size\r'));
        await on.shows('31 91\r\n');
        on.terminal().resize({ columns: 132, rows: 43 });
        await until(async () => {
          const before = on.shown().length;
          on.terminal().write(Buffer.from('size\r'));
          await until(() => /\d+ \d+\r\n/.test(on.shown().slice(before)));
          return on.shown().includes('43 132\r\n');
        });
        on.terminal().write(Buffer.from([4]));
        await until(async () => (await agentProcesses(sandbox)).some((line) => line.startsWith('sleep 755')));
        on.terminal().write(Buffer.from([3]));
        expect(await on.ended).toMatchObject({ reason: 'exited', exitCode: 130 });
        expect(await open(sandbox, 'exit 7').ended).toMatchObject({ reason: 'exited', exitCode: 7 });
      });
    });

    test('has the last of the sizes that it was told, however fast they came', async () => {
      await bed.withSandbox(async (sandbox) => {
        const on = open(sandbox, 'echo up; while read -r line; do echo "$line $(stty size)."; done');
        await on.shows('up\r\n');
        for (let round = 1; round <= 8; round += 1) {
          for (let more = 9; more >= 0; more -= 1) on.terminal().resize({ columns: 100 + more, rows: 40 + round });
          let asked = 0;
          const says = async (): Promise<string | undefined> => {
            const question = `${round}-${(asked += 1)}`;
            on.terminal().write(Buffer.from(`${question}\r`));
            await on.shows(`${question} `);
            await until(() => on.shown().endsWith('.\r\n'));
            return on.shown().split('\r\n').at(-2);
          };
          await until(async () => (await says())?.endsWith(` ${40 + round} 100.`) ?? false);
          await delay(50);
          expect(await says()).toBe(`${round}-${asked} ${40 + round} 100.`);
        }
        on.terminal().write(Buffer.from([4]));
        expect(await on.ended).toMatchObject({ reason: 'exited', exitCode: 0 });
      });
    });

    test('leaves nothing behind, however it ends, and is no stray to others', async () => {
      await bed.withSandbox(async (sandbox) => {
        const cancel = new AbortController();
        const on = open(sandbox, 'setsid sleep 751 & echo up; sleep 752', { signal: cancel.signal });
        await on.shows('up\r\n');
        await sandbox.endExecution(ids.next('execution'));
        expect((await agentProcesses(sandbox)).filter((line) => line.includes('sleep 75'))).not.toEqual([]);
        cancel.abort();
        expect(await on.ended).toMatchObject({ reason: 'cancelled', exitCode: null });
        expect(await agentProcesses(sandbox)).toEqual([]);
        const left = open(sandbox, 'setsid sleep 753 & echo over');
        expect(await left.ended).toMatchObject({ reason: 'exited', exitCode: 0 });
        expect(await agentProcesses(sandbox)).toEqual([]);
      });
    });

    test('is refused and ended by a fence', async () => {
      await bed.withSandbox(async (sandbox) => {
        const on = open(sandbox, 'echo up; sleep 754');
        await on.shows('up\r\n');
        await sandbox.fence({ minToken: 6, revoked: [] });
        expect(await on.ended).toMatchObject({ reason: 'fenced', exitCode: null });
        expect(await agentProcesses(sandbox, 6)).toEqual([]);
        await expect(open(sandbox, 'true').ended).rejects.toMatchObject({ code: 'OCT_STALE_FENCING_TOKEN' });
        expect(await runIn(sandbox, 'echo on', { token: 6 })).toMatchObject({ stdout: 'on\n' });
      });
    });
  });
}

interface OnTerminal {
  readonly ended: Promise<ExecOutcome>;
  terminal(): OpenTerminal;
  shown(): string;
  shows(text: string): Promise<void>;
}

function open(sandbox: SandboxHandle, script: string, change: Partial<TerminalRequest> = {}): OnTerminal {
  let opened: OpenTerminal | undefined;
  let shown = '';
  const executionId: ExecutionId = ids.next('execution');
  const ended = sandbox.runTerminal({
    executionId,
    token: 5,
    command: { kind: 'script', script },
    cwd: '/workspace',
    env: {},
    size: { columns: 80, rows: 24 },
    onOpen: (terminal) => void (opened = terminal),
    onOutput: (chunk) => void (shown += Buffer.from(chunk).toString()),
    ...change,
  });
  ended.catch(() => undefined);
  return {
    ended,
    shown: () => shown,
    shows: async (text) => until(() => shown.includes(text)),
    terminal: () => {
      if (opened === undefined) throw new Error('there is no terminal yet');
      return opened;
    },
  };
}
