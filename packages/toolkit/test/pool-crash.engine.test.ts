import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Call, OpenHome, ServiceDependencies, Task } from '@opencode-tools/core';
import { testSeed } from '@opencode-tools/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type TestHome, createTestHome } from './support/test-home.ts';

const call: Call = {
  actor: { kind: 'agent', id: 'after', agent: 'after', model: null, session: null, onBehalfOf: null },
};
const child = fileURLToPath(new URL('./support/crash-child.ts', import.meta.url));
const mostSteps = 80;
const soak = process.env['OPENCODE_TOOLS_SOAK'] === '1';
/** Every step in a soak; otherwise some, by the seed. */
const strides = soak ? { pool: 1, reap: 1 } : { pool: 23, reap: 5 };
/** How the sandboxes of the pool wait: both ways in a soak, otherwise one, by the seed. */
const modes = ['running', 'paused'] as const;
/** A kill costs seconds on a machine that does other things as well. */
const limitMs = soak ? 1_800_000 : 300_000;
const seed = testSeed();

const played = soak ? modes : modes.filter((_mode, index) => index === seed % 2);

console.info(`crash tests of the pool: OPENCODE_TOOLS_SEED=${seed}`);

describe.each(played)(`a housekeeper killed at any step, its pool %s (seed ${seed})`, (mode) => {
  let home: TestHome;
  let open: OpenHome;
  let ports: ServiceDependencies;
  const environment = { ...process.env, OPENCODE_TOOLS_REAPER_GRACE: '0', OPENCODE_TOOLS_POOL_SIZE: '0' };

  beforeAll(async () => {
    home = await createTestHome();
    open = await home.open({ environment, decorate: (given) => (ports = given) });
    await home.sql(`update meta set created_at = '2026-01-01T00:00:00.000Z'`);
    await open.close();
    open = await home.open({ environment, decorate: (given) => (ports = given) });
  });
  afterAll(async () => {
    await open.close();
    await home.remove();
  });

  /** Says whether the verb was killed before it had done. */
  const killedAt = async (task: Task, verb: string, step: number): Promise<boolean> => {
    const argv = ['--conditions=@opencode-tools/source', child, home.directory, task.id, verb, String(step)];
    const pool = { OPENCODE_TOOLS_POOL_SIZE: '1', OPENCODE_TOOLS_POOL_MODE: mode };
    const env = { ...environment, ...pool, OPENCODE_TOOLS_DEFAULT_IMAGE: home.image };
    const running = spawn(process.execPath, argv, { stdio: ['ignore', 'inherit', 'inherit'], env });
    const [code, signal] = (await once(running, 'exit')) as [number | null, string | null];
    if (signal === 'SIGKILL') return true;
    expect(code).toBe(0);
    return false;
  };

  /** Kills the verb at each step of its own. @returns the most steps that the verb can have */
  const everyStep = async (
    verb: keyof typeof strides,
    check: (task: Task) => Promise<void>,
    prepare?: () => Promise<void>,
  ): Promise<number> => {
    const stride = strides[verb];
    for (let step = 1 + (seed % stride); step < mostSteps; step += stride) {
      const task = await open.services.tasks.create({ title: `${verb} ${step}`, image: home.image }, call);
      await prepare?.();
      const killed = await killedAt(task, verb, step);
      await check(task);
      expect((await open.services.ledger.verify()).ok).toBe(true);
      if (!killed) return step - 1;
    }
    throw new Error(`${verb} has more than ${mostSteps} steps`);
  };

  const sh = async (task: Task, script: string): Promise<string> => {
    const { session } = await open.services.sessions.attach(task.id, { agent: 'after', takeover: true }, call);
    const command = { kind: 'script', script } as const;
    const run = await open.services.executions.run(task.id, { command, sessionId: session.id }, call);
    await open.services.sessions.detach(session.id, {}, call);
    return run.stdout.text;
  };
  const objects = async (): Promise<readonly string[]> => [
    ...(await ports.runtime.list({ homeId: open.homeId })).map(({ name }) => name),
    ...(await ports.runtime.volumes.list({ 'io.opencode-tools.home': open.homeId }))
      .map(({ name }) => name)
      .filter((name) => /-(workspace|home)$/.test(name)),
  ];

  it(
    'loses no work and leaves nothing behind while it fills, claims, refills and drains',
    async () => {
      const steps = await everyStep('pool', async (task) => {
        expect(['', 'new\n']).toContain(await sh(task, 'cat state 2>/dev/null || true'));
        expect(await sh(task, 'echo again >state; cat state')).toBe('again\n');
        await open.services.housekeeper.turn();
        const { pooled } = await open.services.housekeeper.status();
        expect(pooled.filter(({ claim }) => claim?.taskId !== task.id)).toEqual([]);
        await open.services.tasks.delete(task.id, { force: true }, call);
        expect(await objects()).toEqual([]);
        expect((await open.services.housekeeper.status()).pooled).toEqual([]);
      });
      expect(steps).toBeGreaterThan(20);
    },
    limitMs,
  );

  it(
    'removes at a later turn what a killed one had proof for, and nothing else',
    async () => {
      const bed = await open.services.tasks.create({ title: 'deleted', image: home.image }, call);
      await sh(bed, 'true');
      await open.services.tasks.delete(bed.id, { force: true }, call);
      const name = (of: string): string => `oct-reap-${open.homeId.slice(-10)}-${of}-workspace`;
      const label = (key: string, value: string): readonly string[] => ['--label', `io.opencode-tools.${key}=${value}`];
      const make = async (of: string, task: string): Promise<void> => {
        await home.docker('volume', 'create', ...label('home', open.homeId), ...label('task', task), name(of));
      };
      await make('unknown', '');
      const steps = await everyStep(
        'reap',
        async () => {
          await open.services.housekeeper.reap({ dryRun: false }, call);
          expect(await objects()).toEqual([name('unknown')]);
        },
        async () => {
          for (const of of ['one', 'two']) await make(of, bed.id);
        },
      );
      expect(steps).toBeGreaterThan(3);
    },
    limitMs,
  );
});
