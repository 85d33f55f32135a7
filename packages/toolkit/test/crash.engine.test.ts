import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Call, type OpenHome, type Task, type TaskId, isOpencodeToolsError } from '@opencode-tools/core';
import { type EngineCut, type EngineProxy, openEngineProxy } from '@opencode-tools/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type TestHome, createTestHome } from './support/test-home.ts';

const call: Call = {
  actor: { kind: 'agent', id: 'after', agent: 'after', model: null, session: null, onBehalfOf: null },
};
const child = fileURLToPath(new URL('./support/crash-child.ts', import.meta.url));
/** More steps than any verb has: reaching it without a verb that ran to its end means that the count is wrong. */
const mostSteps = 80;
const soak = process.env['OPENCODE_TOOLS_SOAK'] === '1';
/** Every step in a soak; otherwise some, others with each seed. */
const stride = soak ? 1 : 5;
const seed = Number(process.env['OPENCODE_TOOLS_SEED'] ?? Math.floor(Math.random() * 1_000_000));
/** More than the tree that is read and written holds: reaching it means that the verb was not cut. */
const treeBytes = 300_000;

console.info(`crash tests: OPENCODE_TOOLS_SEED=${seed}`);

describe(`a process killed at any step of a verb (seed ${seed})`, () => {
  let home: TestHome;
  let open: OpenHome;
  let engine: EngineProxy;

  beforeAll(async () => {
    home = await createTestHome();
    open = await home.open();
    engine = await openEngineProxy();
  });
  afterAll(async () => {
    await engine.close();
    await open.close();
    await home.remove();
  });

  const sh = async (task: TaskId, script: string): Promise<string> => {
    const takeover = await open.services.sessions.attach(task, { agent: 'after', takeover: true }, call);
    const run = await open.services.executions.run(
      task,
      { command: { kind: 'script', script }, sessionId: takeover.session.id },
      call,
    );
    await open.services.sessions.detach(takeover.session.id, {}, call);
    return run.stdout.text;
  };

  /** A task whose checkpoint `first` says "old" and whose workspace says "now". */
  const prepare = async (title: string): Promise<Task> => {
    const task = await open.services.tasks.create({ title, image: home.image }, call);
    await sh(task.id, 'echo old >state');
    await open.services.checkpoints.create(task.id, { name: 'first' }, call);
    await sh(task.id, 'echo now >state');
    return task;
  };

  /** Says whether the verb was killed before it had done. */
  const killedAt = async (
    task: TaskId,
    verb: string,
    step: number,
    cut?: Omit<EngineCut, 'reached'>,
  ): Promise<boolean> => {
    const argv = ['--conditions=@opencode-tools/source', child, home.directory, task, verb, String(step)];
    const env = cut === undefined ? process.env : { ...process.env, DOCKER_HOST: engine.endpoint };
    const running = spawn(process.execPath, argv, { stdio: ['ignore', 'inherit', 'inherit'], env });
    engine.cut = cut && { ...cut, reached: () => void running.kill('SIGKILL') };
    const [code, signal] = (await once(running, 'exit')) as [number | null, string | null];
    engine.cut = undefined;
    if (signal === 'SIGKILL') return true;
    expect(code).toBe(0);
    return false;
  };

  /** Kills the verb while a tree is on its way, at its first bytes, at its last, and in between. */
  const withinTrees = async (
    verb: string,
    what: Pick<EngineCut, 'request' | 'of'>,
    check: (task: Task) => Promise<void>,
  ): Promise<number> => {
    const somewhere = Array.from({ length: soak ? 8 : 1 }, () => Math.floor(random() * treeBytes));
    const places = [0, ...somewhere, treeBytes];
    for (const bytes of places) {
      const task = await open.services.tasks.create({ title: `cut after ${bytes} bytes`, image: home.image }, call);
      await sh(task.id, `echo old >state; head -c ${treeBytes} /dev/urandom >large; md5sum large >sum`);
      await open.services.checkpoints.create(task.id, { name: 'first' }, call);
      await sh(task.id, 'echo now >state; echo more >>large; md5sum large >sum');
      expect(await killedAt(task.id, verb, 0, { ...what, bytes })).toBe(true);
      expect(await sh(task.id, 'md5sum -c sum')).toBe('large: OK\n');
      await check(task);
      expect((await open.services.ledger.verify()).ok).toBe(true);
    }
    return places.length;
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
      if (!(await killedAt(task.id, verb, step))) return step - 1;
      await check(task, step);
      expect((await open.services.ledger.verify()).ok).toBe(true);
    }
    throw new Error(`${verb} has more than ${mostSteps} steps`);
  };

  const usable = async (task: Task, contents: readonly string[]): Promise<void> => {
    expect(contents).toContain(await sh(task.id, 'cat state'));
    expect(await sh(task.id, 'echo again >state; cat state')).toBe('again\n');
    const view = await open.services.tasks.view(task.id);
    expect(view.runningExecutions).toEqual([]);
    const { containers, volumes } = (await open.services.tasks.delete(task.id, { force: true }, call)).receipt.removed;
    expect(containers).toBe(1);
    // A restore that was cut off after its last transaction leaves what it had not removed of the two volumes it replaced.
    expect([2, 3, 4]).toContain(volumes);
    expect(await home.objectsOf(task.id)).toEqual([]);
  };

  it('leaves the old or the new files when it is killed while making the first sandbox', async () => {
    const fresh = (): Promise<Task> => open.services.tasks.create({ title: 'first exec', image: home.image }, call);
    const steps = await everyStep('exec', fresh, async (task) => {
      expect(['', 'new\n']).toContain(await sh(task.id, 'cat state 2>/dev/null || true'));
      await sh(task.id, 'echo now >state');
      await usable(task, ['now\n']);
    });
    expect(steps).toBeGreaterThan(10);
  });

  it('has the checkpoint whole or not at all', async () => {
    const steps = await everyStep(
      'checkpoint',
      () => prepare('checkpoint'),
      async (task) => {
        for (const { id } of await open.services.checkpoints.list(task.id)) await open.services.checkpoints.verify(id);
        await usable(task, ['now\n']);
      },
    );
    expect(steps).toBeGreaterThan(10);
  });

  it('has the restored files or those before', async () => {
    const steps = await everyStep(
      'restore',
      () => prepare('restore'),
      (task) => usable(task, ['now\n', 'old\n']),
    );
    expect(steps).toBeGreaterThan(20);
  });

  it('has the checkpoint whole or not at all when it is killed while a tree is read', async () => {
    const request = /^POST \/containers\/\w+\/attach\?.*stdin=false|^GET \/containers\/\w+\/archive/;
    const kills = await withinTrees('checkpoint', { request, of: 'answer' }, async (task) => {
      for (const { id } of await open.services.checkpoints.list(task.id)) await open.services.checkpoints.verify(id);
      await usable(task, ['now\n']);
    });
    expect(kills).toBeGreaterThan(2);
  }, 180_000);

  it('has the restored files or those before when it is killed while a tree is written', async () => {
    const request = /^PUT \/containers\/\w+\/archive/;
    const kills = await withinTrees('restore', { request, of: 'body' }, (task) => usable(task, ['now\n', 'old\n']));
    expect(kills).toBeGreaterThan(2);
  }, 180_000);

  it('has all of the work in the directory of the user or none, and the record says which', async () => {
    const places = new Map<TaskId, string>();
    const fresh = async (): Promise<Task> => {
      const path = await mkdtemp(join(tmpdir(), 'oct-crash-'));
      await writeFile(join(path, 'state'), 'old\n');
      const workspace = { kind: 'directory', path } as const;
      const task = await open.services.tasks.create({ title: 'apply', image: home.image, workspace }, call);
      places.set(task.id, path);
      await sh(task.id, 'echo new >state; echo new >more');
      await open.services.checkpoints.create(task.id, { name: 'first' }, call);
      return task;
    };
    const state = async (path: string): Promise<string> =>
      `${(await readdir(path)).sort().join(' ')} ${await readFile(join(path, 'state'), 'utf8')}`;
    try {
      const steps = await everyStep('apply', fresh, async ({ id }) => {
        const path = places.get(id) ?? '';
        const { session } = await open.services.sessions.attach(id, { agent: 'after', takeover: true }, call);
        const types = (await open.services.ledger.history(id, { limit: 1_000 })).map(({ type }) => type);
        const found = await state(path);
        expect(found).toBe(types.includes('work.completed') ? 'more state new\n' : 'state old\n');
        if (types.includes('work.requested'))
          expect(types.filter((type) => type === 'work.completed' || type === 'work.interrupted')).toHaveLength(1);
        const again = { checkpoint: 'first', sessionId: session.id };
        expect(await open.services.work.apply(id, again, call)).toMatchObject({ applied: true });
        expect(await state(path)).toBe('more state new\n');
        expect(await readdir(join(home.directory, 'content', 'works'))).toEqual([]);
        await open.services.tasks.delete(id, { force: true }, call);
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
        const { receipt } = await open.services.tasks.delete(task.id, { force: true }, call);
        expect(receipt.finalCheckpointId).not.toBeNull();
        expect(await home.objectsOf(task.id)).toEqual([]);
        await expect(open.services.tasks.get(task.id)).rejects.toSatisfy((error) =>
          isOpencodeToolsError(error, 'OCT_TASK_NOT_FOUND'),
        );
      },
    );
    expect(steps).toBeGreaterThan(15);
  });
});

/** Mulberry32: numbers from 0 to 1, the same for the same seed. */
let state = seed;
function random(): number {
  state = (state + 0x6d2b79f5) | 0;
  let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
}
