import { rm } from 'node:fs/promises';
import type { Call, Services, Task } from '@opencode-tools/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type EnginelessHome, callBy, createEnginelessHome } from './support/home-without-engine.ts';
import { withMembers } from './support/with-members.ts';

const ada = callBy('ada');
const script = { kind: 'script', script: 'true' } as const;

describe('what a program gives a verb', () => {
  let home: EnginelessHome;
  let task: Task;
  beforeEach(async () => {
    home = await createEnginelessHome();
    task = await home.create({ leaseMode: 'exclusive' });
  });
  afterEach(() => home.remove());

  const services = () => home.open.services;
  /** A caller without types. */
  const verb = (service: keyof Services, name: string) => {
    const verbs = services()[service] as unknown as Readonly<Record<string, (...given: unknown[]) => unknown>>;
    return async (...given: unknown[]) => verbs[name]?.(...given);
  };
  const records = async () => (await services().ledger.verify()).records;

  it('does nothing for a signal that was aborted before, whatever the verb', async () => {
    const stopped = new AbortController();
    stopped.abort('no more');
    const call: Call = { ...ada, signal: stopped.signal };
    const before = await records();
    const calls: Promise<unknown>[] = [
      services().tasks.create({ title: 'Another' }, call),
      services().tasks.fork(task.id, {}, call),
      services().tasks.update(task.id, { title: 'Another' }, call),
      services().tasks.delete(task.id, { dryRun: true }, call),
      services().sessions.attach(task.id, { agent: 'ada' }, call),
      services().sessions.revoke(task.id, {}, call),
      services().journal.addTodo(task.id, { text: 'one' }, call),
      services().executions.run(task.id, { command: script }, call),
      services().files.read(task.id, { path: 'x' }, call),
      services().sandboxes.pause(task.id, call),
      services().work.settle(call),
      services().doctor.run(call),
    ];
    for (const given of calls) await expect(given).rejects.toMatchObject({ code: 'OCT_CANCELLED', cause: 'no more' });
    expect(await services().sessions.list(task.id)).toEqual([]);
    expect(await records()).toBe(before);
  });

  it('does no more once its signal is aborted between two steps, whatever the reason, and holds no lease', async () => {
    const stopped = new AbortController();
    const stopping = await createEnginelessHome(({ leases }) => ({
      leases: {
        ...leases,
        acquire: (request) => leases.acquire(request).finally(() => stopped.abort('no more')),
        acquireInTurn: (request, wait) => leases.acquireInTurn(request, wait).finally(() => stopped.abort('no more')),
      },
    }));
    const { id } = await stopping.create();
    const { sessions, journal } = stopping.open.services;
    const call: Call = { ...ada, signal: stopped.signal };
    const given = await Promise.allSettled([
      journal.addTodo(id, { text: 'one' }, call),
      sessions.attach(id, { agent: 'ada' }, call),
    ]);
    for (const one of given) expect(one).toMatchObject({ status: 'rejected', reason: { code: 'OCT_CANCELLED' } });
    expect(await journal.todos(id)).toEqual([]);
    expect(await stopping.ports.leases.listActive(id)).toEqual([]);
    await stopping.remove();
  });

  it.each<[keyof Services, string, unknown[], string, string]>([
    ['tasks', 'create', [{}, ada], 'title', 'title: is missing'],
    ['tasks', 'create', [{ title: 5 }, ada], 'title', 'title: is 5'],
    ['tasks', 'create', [{ title: 'x', tilte: 'y' }, ada], 'tilte', 'tilte: is not known'],
    ['tasks', 'create', [{ title: 'x', limits: { memory: 1 } }, ada], 'limits.memory', 'limits.memory: is not known'],
    [
      'tasks',
      'create',
      [{ title: 'x', workspace: { kind: 'dir' } }, ada],
      'workspace.kind',
      'workspace.kind: is "dir"',
    ],
    ['tasks', 'create', [{ title: 'x', labels: { a: 1 } }, ada], 'labels.a', 'labels.a: is 1'],
    ['tasks', 'create', [{ title: 'x', dependsOn: [null] }, ada], 'dependsOn[0]', 'dependsOn[0]: is null'],
    ['tasks', 'create', [{ title: 'x' }], 'call', 'call: is missing'],
    ['tasks', 'create', [{ title: 'x' }, {}], 'call.actor', 'call.actor: is missing'],
    ['tasks', 'create', [{ title: 'x' }, { actor: {} }], 'call.actor.kind', 'call.actor.kind: is missing'],
    ['tasks', 'create', [{ title: 'x' }, { ...ada, signal: 5 }], 'call.signal', 'call.signal: is 5'],
    ['tasks', 'get', [], 'id', 'id: is missing'],
    ['tasks', 'list', [], 'filter', 'filter: is missing'],
    ['executions', 'run', ['tsk_1', {}, ada], 'command', 'command: is missing'],
    ['executions', 'run', ['tsk_1', { command: { kind: 'argv' } }, ada], 'command.argv', 'command.argv: is missing'],
    ['executions', 'secretsNamed', ['x'], 'names', 'names: is "x"'],
    ['journal', 'addTodo', ['tsk_1', { text: 'x', major: 'yes' }, ada], 'major', 'major: is "yes"'],
    ['doctor', 'run', [ada, { reap: 1 }], 'reap', 'reap: is 1'],
  ])('%s.%s refuses %j by name', async (service, name, given, argument, message) => {
    await expect(verb(service, name)(...given)).rejects.toMatchObject({
      name: 'OpencodeToolsError',
      code: 'OCT_INVALID_ARGUMENT',
      details: { argument },
      message,
    });
  });

  it('says what was meant by a mistyped member, and where a session belongs', async () => {
    await expect(verb('sessions', 'attach')(task.id, { agent: 'x', takover: true }, ada)).rejects.toMatchObject({
      remedy: 'Did you mean takeover? Known are: agent, model, takeover, ttlMs, waitMs, claims.',
    });
    const { session } = await services().sessions.attach(task.id, { agent: 'ada' }, ada);
    const call = { ...ada, sessionId: session.id };
    await expect(verb('journal', 'addNote')(task.id, { text: 'x' }, call)).rejects.toMatchObject({
      message: 'call.sessionId: is not known',
      remedy: 'Give sessionId with the options of the verb, which come before its call.',
    });
  });

  it('may leave out of the actor what is null, and any member that is undefined', async () => {
    const given = { actor: { kind: 'user', id: 'grace' }, signal: undefined, sessionId: undefined };
    const created = (await verb('tasks', 'create')({ title: 'x', owner: undefined, other: undefined }, given)) as Task;
    const [first] = await services().ledger.history(created.id);
    expect(first?.actor).toEqual({
      kind: 'user',
      id: 'grace',
      agent: null,
      model: null,
      session: null,
      onBehalfOf: null,
    });
    expect(await services().ledger.verify()).toMatchObject({ ok: true });
  });

  it('is refused by a home that is closed, with what to do', async () => {
    await home.open.close();
    const given = [services().tasks.get(task.id), services().journal.addTodo(task.id, { text: 'one' }, ada)];
    for (const one of given)
      await expect(one).rejects.toMatchObject({
        code: 'OCT_STORE_UNAVAILABLE',
        message: 'The home is closed',
        remedy: 'Open the home again, and use the services that this gives.',
      });
  });

  it('ends with an error of ours when the home is closed while a verb is under way', async () => {
    let holds = false;
    const reached = Promise.withResolvers<void>();
    const isClosed = Promise.withResolvers<void>();
    const held = await createEnginelessHome(({ tasks }) => ({
      tasks: withMembers(tasks, {
        getTask: async (id) => {
          if (holds) {
            reached.resolve();
            await isClosed.promise;
          }
          return tasks.getTask(id);
        },
      }),
    }));
    try {
      const { id } = await held.create();
      holds = true;
      const reading = held.open.services.tasks.view(id);
      await reached.promise;
      await held.open.close();
      isClosed.resolve();
      await expect(reading).rejects.toMatchObject({ code: 'OCT_STORE_UNAVAILABLE' });
    } finally {
      await held.remove();
    }
  });

  it('is refused also when a home could not close all of itself, whose registry is closed all the same', async () => {
    const closing = await createEnginelessHome();
    const { id } = await closing.create();
    closing.ports.workspaces.settle = () => Promise.reject(new Error('no more'));
    await expect(closing.open.close()).rejects.toThrow('no more');
    await expect(closing.ports.tasks.getTask(id)).rejects.toMatchObject({ code: 'OCT_STORE_UNAVAILABLE' });
    await expect(closing.remove()).rejects.toThrow('no more');
    await rm(closing.open.directory, { recursive: true });
  });

  it('is given to a home that closes itself', async () => {
    let closed = home.open;
    {
      await using again = await home.openAgain();
      closed = again;
      expect(await again.services.tasks.get(task.id)).toMatchObject({ id: task.id });
    }
    await expect(closed.services.tasks.get(task.id)).rejects.toMatchObject({ code: 'OCT_STORE_UNAVAILABLE' });
  });
});
