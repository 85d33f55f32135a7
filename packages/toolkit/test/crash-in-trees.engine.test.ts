import type { Task } from '@opencode-tools/core';
import { randomFrom, testSeed } from '@opencode-tools/testkit';
import type { EngineCut } from '@opencode-tools/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CrashBed, call, openCrashBed } from './support/crash-bed.ts';

const soak = process.env['OPENCODE_TOOLS_SOAK'] === '1';
const seed = testSeed();
const random = randomFrom(seed);
/** More than the tree that is read and written holds: reaching it means that the verb was not cut. */
const treeBytes = 300_000;

console.info(`crash tests in trees: OPENCODE_TOOLS_SEED=${seed}`);

describe(
  `a process killed while a tree is on its way between home and engine (seed ${seed})`,
  { timeout: 600_000 },
  () => {
    let bed: CrashBed;
    beforeAll(async () => {
      bed = await openCrashBed({ OPENCODE_TOOLS_CHECKPOINTS_LAYERS: 'off' });
    });
    afterAll(() => bed.close());

    /** Kills the verb while a tree is on its way, at its first bytes, at its last, and in between. */
    const withinTrees = async (
      verb: string,
      what: Pick<EngineCut, 'request' | 'of'>,
      check: (task: Task) => Promise<void>,
    ): Promise<number> => {
      const somewhere = Array.from({ length: soak ? 8 : 1 }, () => Math.floor(random() * treeBytes));
      const places = [0, ...somewhere, treeBytes];
      for (const bytes of places) {
        const task = await bed.open.services.tasks.create(
          { title: `cut after ${bytes} bytes`, image: bed.home.image },
          call,
        );
        await bed.sh(task.id, `echo old >state; head -c ${treeBytes} /dev/urandom >large; md5sum large >sum`);
        await bed.open.services.checkpoints.create(task.id, { name: 'first' }, call);
        await bed.sh(task.id, 'echo now >state; echo more >>large; md5sum large >sum');
        expect(await bed.killedAt(task.id, verb, 0, { ...what, bytes })).toBe(true);
        expect(await bed.sh(task.id, 'md5sum -c sum')).toBe('large: OK\n');
        await check(task);
        expect((await bed.open.services.ledger.verify()).ok).toBe(true);
      }
      return places.length;
    };

    it('has the checkpoint whole or not at all when a tree is read', async () => {
      const request = /^POST \/containers\/\w+\/attach\?.*stdin=|^GET \/containers\/\w+\/archive/;
      const kills = await withinTrees('checkpoint', { request, of: 'answer' }, async (task) => {
        for (const { id } of await bed.open.services.checkpoints.list(task.id))
          await bed.open.services.checkpoints.verify(id);
        await bed.usable(task, ['now\n']);
      });
      expect(kills).toBeGreaterThan(2);
    });

    it('has the restored files or those before when a tree is written', async () => {
      const request = /^PUT \/containers\/\w+\/archive/;
      const kills = await withinTrees('restore', { request, of: 'body' }, (task) =>
        bed.usable(task, ['now\n', 'old\n']),
      );
      expect(kills).toBeGreaterThan(2);
    });
  },
);
