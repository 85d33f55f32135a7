import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Task, type TaskId, isOpencodeToolsError } from '@opencode-tools/core';
import { randomFrom, testSeed } from '@opencode-tools/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CrashBed, call, openCrashBed } from './support/crash-bed.ts';

/** More steps than any verb has: reaching it without a verb that ran to its end means that the count is wrong. */
const mostSteps = 80;
/** Every step in a soak; otherwise some, by the seed. */
const stride = process.env['OPENCODE_TOOLS_SOAK'] === '1' ? 1 : 5;
const seed = testSeed();
const random = randomFrom(seed);

console.info(`crash tests: OPENCODE_TOOLS_SEED=${seed}`);

describe(`a process killed at any step of a verb (seed ${seed})`, { timeout: 600_000 }, () => {
  let bed: CrashBed;
  beforeAll(async () => {
    bed = await openCrashBed();
  });
  afterAll(() => bed.close());

  /** A task whose checkpoint `first` says "old" and whose workspace says "now". */
  const prepare = async (title: string): Promise<Task> => {
    const task = await bed.open.services.tasks.create({ title, image: bed.home.image }, call);
    await bed.sh(task.id, 'echo old >state');
    await bed.open.services.checkpoints.create(task.id, { name: 'first' }, call);
    await bed.sh(task.id, 'echo now >state');
    return task;
  };

  /**
   * Kills the verb at each step of its own; after every kill the task must be whole and usable. Returns the most steps that
   * the verb can have: the one before the first that it did not reach.
   */
  const everyStep = async (
    verb: string,
    fresh: () => Promise<Task>,
    check: (task: Task, step: number) => Promise<void>,
  ): Promise<number> => {
    const first = 1 + Math.floor(random() * stride);
    for (let step = first; step < mostSteps; step += stride) {
      const task = await fresh();
      if (!(await bed.killedAt(task.id, verb, step))) return step - 1;
      await check(task, step);
      expect((await bed.open.services.ledger.verify()).ok).toBe(true);
    }
    throw new Error(`${verb} has more than ${mostSteps} steps`);
  };

  it('leaves the old or the new files when it is killed while making the first sandbox', async () => {
    const fresh = (): Promise<Task> =>
      bed.open.services.tasks.create({ title: 'first exec', image: bed.home.image }, call);
    const steps = await everyStep('exec', fresh, async (task) => {
      expect(['', 'new\n']).toContain(await bed.sh(task.id, 'cat state 2>/dev/null || true'));
      await bed.sh(task.id, 'echo now >state');
      await bed.usable(task, ['now\n']);
    });
    expect(steps).toBeGreaterThan(10);
  });

  it('has the checkpoint whole or not at all', async () => {
    const steps = await everyStep(
      'checkpoint',
      () => prepare('checkpoint'),
      async (task) => {
        for (const { id } of await bed.open.services.checkpoints.list(task.id))
          await bed.open.services.checkpoints.verify(id);
        await bed.usable(task, ['now\n']);
      },
    );
    expect(steps).toBeGreaterThan(10);
  });

  it('has taken in a checkpoint with its root file system, or leaves neither record nor image of it', async () => {
    const { checkpoints, sessions, tasks } = bed.open.services;
    const source = await prepare('installed');
    await bed.sh(source.id, 'echo one >/opt/tool');
    await checkpoints.create(source.id, { name: 'installed' }, call);
    const { stream } = await checkpoints.export(source.id, 'installed', {}, call);
    await writeFile(join(bed.home.directory, 'exported.tar'), stream);
    const steps = await everyStep(
      'import',
      () => tasks.create({ title: 'takes in', image: bed.home.image }, call),
      async (task) => {
        const { session } = await sessions.attach(task.id, { agent: 'after', takeover: true }, call);
        const labels = { 'io.opencode-tools.kind': 'root', 'io.opencode-tools.task': task.id };
        const images = (await bed.open.images.list({ labels })).map(({ id }) => id);
        const kept = await checkpoints.list(task.id);
        expect(images).toEqual(kept.flatMap(({ root }) => (root === null ? [] : [root.imageId])));
        if (kept.length > 0) {
          await checkpoints.restore(task.id, 'taken in', { sessionId: session.id }, call);
          expect(await bed.sh(task.id, 'cat /opt/tool state')).toBe('one\nnow\n');
        }
        await tasks.delete(task.id, { force: true }, call);
      },
    );
    expect(steps).toBeGreaterThan(8);
    await tasks.delete(source.id, { force: true }, call);
  });

  it('has the restored files or those before', async () => {
    const steps = await everyStep(
      'restore',
      () => prepare('restore'),
      (task) => bed.usable(task, ['now\n', 'old\n']),
    );
    expect(steps).toBeGreaterThan(20);
  });

  it('has all of the work in the directory of the user or none, and the record says which', async () => {
    const places = new Map<TaskId, string>();
    const fresh = async (): Promise<Task> => {
      const path = await mkdtemp(join(tmpdir(), 'oct-crash-'));
      await writeFile(join(path, 'state'), 'old\n');
      const workspace = { kind: 'directory', path } as const;
      const task = await bed.open.services.tasks.create({ title: 'apply', image: bed.home.image, workspace }, call);
      places.set(task.id, path);
      await bed.sh(task.id, 'echo new >state; echo new >more');
      await bed.open.services.checkpoints.create(task.id, { name: 'first' }, call);
      return task;
    };
    const state = async (path: string): Promise<string> =>
      `${(await readdir(path)).sort().join(' ')} ${await readFile(join(path, 'state'), 'utf8')}`;
    try {
      const steps = await everyStep('apply', fresh, async ({ id }) => {
        const path = places.get(id) ?? '';
        const { session } = await bed.open.services.sessions.attach(id, { agent: 'after', takeover: true }, call);
        const types = (await bed.open.services.ledger.history(id, { limit: 1_000 })).map(({ type }) => type);
        const found = await state(path);
        expect(found).toBe(types.includes('work.completed') ? 'more state new\n' : 'state old\n');
        if (types.includes('work.requested'))
          expect(types.filter((type) => type === 'work.completed' || type === 'work.interrupted')).toHaveLength(1);
        const again = { checkpoint: 'first', sessionId: session.id };
        expect(await bed.open.services.work.apply(id, again, call)).toMatchObject({ applied: true });
        expect(await state(path)).toBe('more state new\n');
        expect(await readdir(join(bed.home.directory, 'content', 'works'))).toEqual([]);
        await bed.open.services.tasks.delete(id, { force: true }, call);
      });
      expect(steps).toBeGreaterThan(8);
    } finally {
      for (const path of places.values()) await rm(path, { recursive: true, force: true });
    }
  });

  it('can be deleted again after a deletion that was cut off', async () => {
    const steps = await everyStep(
      'delete',
      () => prepare('delete'),
      async (task) => {
        const { receipt } = await bed.open.services.tasks.delete(task.id, { force: true }, call);
        expect(receipt.finalCheckpointId).not.toBeNull();
        expect(await bed.home.objectsOf(task.id)).toEqual([]);
        await expect(bed.open.services.tasks.get(task.id)).rejects.toSatisfy((error) =>
          isOpencodeToolsError(error, 'OCT_TASK_NOT_FOUND'),
        );
      },
    );
    expect(steps).toBeGreaterThan(15);
  });
});
