import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { runIn } from '../sandbox-samples.ts';
import { until } from '../until.ts';
import type { SandboxBed } from './sandbox-bed.ts';

const mixture = `text() { i=0; while [ $i -lt 20000 ]; do echo "line $i of a log that says much the same again"; i=$((i+1)); done; }
head -c 3000000 /dev/urandom >/tmp/chance; text >/tmp/text
for round in 1 2 3; do cat /tmp/text; head -c 1000000 /tmp/chance; head -c 5000001 /dev/zero; tail -c 700001 /tmp/chance; done >/tmp/mixture
tail -c 1999999 /tmp/mixture >/tmp/other; cat /tmp/text /tmp/text >>/tmp/other
for f in mixture other; do sha256sum </tmp/$f; done`;

const digestOf = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** What becomes of long outputs of commands, however well they could be packed. */
export function outputsOfSandbox(bed: SandboxBed): void {
  describe('a long output', () => {
    test('comes through byte for byte, beside one on the other stream', async () => {
      const made = await runIn(bed.shared(), mixture);
      const digests = made.stdout.split('\n').map((line) => line.slice(0, 64));
      const stderr: Buffer[] = [];
      const ran = await runIn(
        bed.shared(),
        'cat /tmp/other >&2 & cat /tmp/mixture; wait; cat /tmp/text; echo end >&2',
        {
          onStderr: (chunk) => void stderr.push(Buffer.from(chunk)),
        },
      );
      const text = (await runIn(bed.shared(), 'cat /tmp/text')).stdoutBytes;
      const [mixed, rest] = [ran.stdoutBytes.subarray(0, -text.length), ran.stdoutBytes.subarray(-text.length)];
      const errors = Buffer.concat(stderr);
      expect([digestOf(mixed), digestOf(errors.subarray(0, -4))]).toEqual(digests.slice(0, 2));
      expect(rest.equals(text)).toBe(true);
      expect(errors.subarray(-4).toString()).toBe('end\n');
    });

    test('comes through whole when whoever takes it is slow now and then', async () => {
      let bytes = 0;
      let atOnce = 0;
      let most = 0;
      const ran = await runIn(bed.shared(), 'head -c 80000000 /dev/zero; echo end', {
        onStdout: (chunk) => {
          bytes += chunk.length;
          atOnce += chunk.length;
          most = Math.max(most, atOnce);
          return new Promise<void>((resolve) => {
            setImmediate(() => {
              atOnce = 0;
              resolve();
            });
          });
        },
      });
      expect(ran).toMatchObject({ reason: 'exited', exitCode: 0 });
      expect(bytes).toBe(80_000_004);
      expect(most).toBeLessThan(1_000_000);
    });

    test('is there up to where its command was ended, without a hole', async () => {
      const ran = await runIn(bed.shared(), 'seq 1 1000000000', { timeoutMs: 700 });
      expect(ran).toMatchObject({ reason: 'timeout', exitCode: null });
      const lines = ran.stdout.split('\n');
      const last = lines.pop() ?? '';
      expect(lines.length).toBeGreaterThan(1_000);
      expect(lines.findIndex((line, index) => line !== String(index + 1))).toBe(-1);
      expect(String(lines.length + 1).startsWith(last)).toBe(true);
    });

    test('of what a command left behind waits for no reader', async () => {
      for (const name of ['first', 'second']) {
        const script = `(head -c 3000000 /dev/zero; sleep 0.2; head -c 3000000 /dev/zero >&2 && : >/tmp/${name}) & echo ${name}`;
        expect((await runIn(bed.shared(), script)).stdoutBytes.toString().replaceAll('\0', '')).toBe(`${name}\n`);
      }
      await until(async () => (await runIn(bed.shared(), 'ls /tmp/first /tmp/second')).exitCode === 0);
    });

    test('cannot be given by a command as if it were packed', async () => {
      const forged = String.raw`i=0; while [ $i -lt 20000 ]; do printf '\036%032x=65536 4\nabcd' $i; i=$((i+1)); done`;
      const ran = await runIn(bed.shared(), forged);
      const expected = Array.from(
        { length: 20_000 },
        (_, i) => `\u001e${i.toString(16).padStart(32, '0')}=65536 4\nabcd`,
      );
      expect(ran.stdout === expected.join('')).toBe(true);
    });
  });
}
