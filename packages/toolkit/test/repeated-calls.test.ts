import { chownSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type Change,
  type HookPort,
  OpencodeToolsError,
  type ServiceDependencies,
  type TaskStore,
} from '@opencode-tools/core';
import { afterEach, describe, expect, it } from 'vitest';
import { type EnginelessHome, callBy, createEnginelessHome } from './support/home-without-engine.ts';

const keyed = { ...callBy('ada'), idempotencyKey: 'k1' };

/** Deleting asks the engine for what is left of a task: here nothing is. */
const emptyEngine = ({ runtime }: ServiceDependencies): Partial<ServiceDependencies> => ({
  runtime: { ...runtime, list: async () => [], volumes: { ...runtime.volumes, list: async () => [] } },
});

/** A store whose `commit` does something else for some changes. */
function committing(tasks: TaskStore, instead: (change: Change) => Promise<never> | undefined): TaskStore {
  return new Proxy(tasks, {
    get: (target, name) => {
      if (name === 'commit') return async (change: Change) => instead(change) ?? target.commit(change);
      const member: unknown = Reflect.get(target, name);
      return typeof member === 'function' ? (member.bind(target) as unknown) : member;
    },
  });
}

function answersAttach({ idempotency }: Change): boolean {
  return idempotency?.verb === 'attach' && idempotency.result !== null;
}

describe('a call that is made twice with one key', () => {
  const homes: EnginelessHome[] = [];
  const newHome = async (more?: Parameters<typeof createEnginelessHome>[0]) => {
    const home = await createEnginelessHome(more);
    homes.push(home);
    return home;
  };
  afterEach(async () => {
    for (const home of homes.splice(0)) await home.remove();
  });

  /** Counts what `task:creating` runs, and holds it until `go`. */
  function countedHooks({ hooks }: ServiceDependencies, counted: { runs: number; go: Promise<void> }): HookPort {
    return {
      listens: (point) => point === 'task:creating' || hooks.listens(point),
      run: async (context) => {
        if (context.point === 'task:creating') {
          counted.runs += 1;
          await counted.go;
        }
        return hooks.run(context);
      },
    };
  }

  it('creates one task and runs its hooks once, also from two processes at the very same time', async () => {
    const gate = Promise.withResolvers<void>();
    const counted = { runs: 0, go: gate.promise };
    const home = await newHome((ports) => ({ hooks: countedHooks(ports, counted) }));
    const other = await home.openAgain();
    const calls = [home.open, other, home.open, other].map((open) =>
      open.services.tasks.create({ title: 'Once' }, keyed).catch((error: unknown) => {
        gate.resolve();
        throw error;
      }),
    );
    const settled = await Promise.allSettled(calls);
    const made = settled.flatMap((each) => (each.status === 'fulfilled' ? [each.value.id] : []));
    expect(new Set(made).size).toBe(1);
    for (const each of settled)
      if (each.status === 'rejected') expect(each.reason).toMatchObject({ code: 'OCT_VERSION_CONFLICT' });
    expect(counted.runs).toBe(1);
    expect((await home.open.services.tasks.list({})).items).toHaveLength(1);
    expect((await other.services.tasks.create({ title: 'Once' }, keyed)).id).toBe(made[0]);
    expect(counted.runs).toBe(1);
  });

  it('runs again when the first one failed', async () => {
    const home = await newHome();
    const create = (path: string) =>
      home.open.services.tasks.create({ title: 'Once', workspace: { kind: 'directory', path } }, keyed);
    await expect(create('/no/such/directory')).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
    await expect(create('/no/such/directory')).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
    expect((await home.open.services.tasks.create({ title: 'Else' }, keyed)).title).toBe('Else');
  });

  it('restores again when the operation of the first one never began', async () => {
    const base = realpathSync(mkdtempSync(join(tmpdir(), 'oct-repeated-')));
    try {
      const path = join(base, 'project');
      mkdirSync(path);
      if (process.getuid?.() === 0) chownSync(path, 4_321, 5_432);
      writeFileSync(join(path, 'kept'), 'kept');
      let away = true;
      const refused = new OpencodeToolsError('OCT_LEASE_LOST', "The lease is another agent's");
      const begins = ({ records }: Change) => records.some(({ type }) => type === 'restore.requested');
      const home = await newHome(({ tasks }) => ({
        tasks: committing(tasks, (change) => (away && begins(change) ? Promise.reject(refused) : undefined)),
      }));
      const { checkpoints } = home.open.services;
      const { id } = await home.create({ workspace: { kind: 'bind', path } });
      const first = await checkpoints.create(id, { name: 'first' }, callBy('ada'));
      const restore = () => checkpoints.restore(id, 'first', {}, keyed);
      await expect(restore()).rejects.toMatchObject({ code: 'OCT_LEASE_LOST' });
      expect(await home.ports.tasks.findIdempotency('k1')).toBeUndefined();
      away = false;
      expect((await restore()).checkpoint.id).toBe(first.id);
    } finally {
      rmSync(base, { recursive: true, force: true });
    }
  });

  it('leaves no session behind when the answer to attaching could not be kept', async () => {
    let away = true;
    const refused = new OpencodeToolsError('OCT_STORE_UNAVAILABLE', 'The registry is away');
    const home = await newHome(({ tasks }) => ({
      tasks: committing(tasks, (change) => (away && answersAttach(change) ? Promise.reject(refused) : undefined)),
    }));
    const { services } = home.open;
    const { id } = await services.tasks.create({ title: 'Attach once' }, callBy('ada'));
    const attach = () => services.sessions.attach(id, { agent: 'ada' }, keyed);
    await expect(attach()).rejects.toMatchObject({ code: 'OCT_STORE_UNAVAILABLE' });
    away = false;
    expect((await attach()).displaced).toEqual([]);
  });

  it.each(['hooks', 'answer'])(
    'keeps others out for half a minute only when its process dies at the %s of attaching',
    async (where) => {
      const reached = Promise.withResolvers<void>();
      const over = Promise.withResolvers<never>();
      over.promise.catch(() => undefined);
      let first = true;
      const die = (): Promise<never> => {
        first = false;
        reached.resolve();
        return over.promise;
      };
      const home = await newHome(({ tasks, hooks }) => ({
        tasks: committing(tasks, (change) =>
          first && where === 'answer' && answersAttach(change) ? die() : undefined,
        ),
        hooks: {
          listens: (point) => point === 'task:starting' || hooks.listens(point),
          run: (context) =>
            first && where === 'hooks' && context.point === 'task:starting' ? die() : hooks.run(context),
        },
      }));
      const { sessions, tasks } = home.open.services;
      const { id } = await tasks.create({ title: 'Attach once' }, callBy('ada'));
      const dead = sessions.attach(id, { agent: 'ada' }, keyed);
      await reached.promise;
      const survivor = await home.openAgain();
      home.clock.move(30_001);
      const attached = await survivor.services.sessions.attach(id, { agent: 'bob' }, callBy('bob'));
      expect(attached.displaced.map(({ agent }) => agent)).toEqual(['ada']);
      expect(Date.parse(attached.lease.expiresAt) - home.clock.nowMs()).toBeGreaterThan(800_000);
      over.reject(new Error('gone'));
      await expect(dead).rejects.toThrow('gone');
    },
  );

  it('gives the key of a process that died back after half a minute', async () => {
    const home = await newHome();
    await home.ports.tasks.commit({
      records: [],
      idempotency: {
        key: 'k1',
        verb: 'create',
        argumentsDigest: 'a'.repeat(64),
        operationId: 'opn_00000000000000000000000001',
        result: null,
        reservedForMs: 30_000,
      },
    });
    const create = () => home.open.services.tasks.create({ title: 'Mine' }, keyed);
    await expect(create()).rejects.toMatchObject({ code: 'OCT_IDEMPOTENCY_MISMATCH' });
    home.clock.move(30_001);
    expect((await create()).title).toBe('Mine');
  });

  it('deletes a task by its title, and answers for it when the title is gone', async () => {
    const home = await newHome(emptyEngine);
    const { tasks } = home.open.services;
    await home.create({ title: 'Old' });
    const first = await tasks.delete(await tasks.resolve('Old', keyed), {}, keyed);
    const second = await tasks.delete(await tasks.resolve('Old', keyed), {}, keyed);
    expect(second.receipt).toEqual(first.receipt);
    const notFound = { code: 'OCT_TASK_NOT_FOUND' };
    await expect(tasks.resolve('Old')).rejects.toMatchObject(notFound);
    await expect(tasks.resolve('Old', { idempotencyKey: 'k2' })).rejects.toMatchObject(notFound);
    await expect(tasks.resolve('Other', keyed)).rejects.toMatchObject(notFound);
  });

  it('renames a task by its title, and answers the same when it has another', async () => {
    const home = await newHome();
    const { tasks } = home.open.services;
    await home.create({ title: 'Old' });
    const rename = async () => tasks.update(await tasks.resolve('Old', keyed), { title: 'New' }, keyed);
    expect(await rename()).toEqual(await rename());
  });
});
