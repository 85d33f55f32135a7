import type { Fence, SandboxFacts, SandboxHandle, Session, Task } from '@opencode-tools/core';
import { sampleDraft, sampleSandbox, until } from '@opencode-tools/testkit';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type EnginelessHome, callBy, createEnginelessHome } from './support/home-without-engine.ts';
import { withMembers } from './support/with-members.ts';

const ada = callBy('ada');

describe('verbs under a session', () => {
  let home: EnginelessHome;
  let task: Task;
  beforeEach(async () => {
    home = await createEnginelessHome();
    task = await home.create({ leaseMode: 'exclusive' });
  });
  afterEach(() => home.remove());

  const services = () => home.open.services;
  const note = (text: string, session?: Session, call = ada) =>
    services().journal.addNote(task.id, { text, ...(session === undefined ? {} : { sessionId: session.id }) }, call);
  const attach = async (agent: string, more: object = {}): Promise<Session> =>
    (await services().sessions.attach(task.id, { agent, ...more }, callBy(agent))).session;
  const leases = () => home.ports.leases.listActive(task.id);

  it('take a lease of their own where none is given, in the name of who calls, and give it back', async () => {
    await note('one');
    expect(await leases()).toEqual([]);
    expect((await services().sessions.list(task.id))[0]).toMatchObject({
      agent: 'ada',
      ephemeral: true,
      state: 'detached',
      endReason: 'done',
    });
    const person = { actor: { ...ada.actor, kind: 'user', id: 'grace', agent: null } } as const;
    expect(await note('two', undefined, person)).toMatchObject({ agent: 'grace' });
  });

  it('wait no longer in all than they may, also past a process that died meanwhile', async () => {
    const waits: number[] = [];
    const waiting = await createEnginelessHome(({ leases: own, processes }) => ({
      processes: { ...processes, isAlive: () => false },
      leases: withMembers(own, {
        acquireInTurn: async (request, wait) => {
          waits.push(wait.waitMs);
          if (waits.length > 1) return own.acquireInTurn(request, wait);
          const { session } = request;
          const ids = { id: 'ses_00000000000000000000000001', leaseId: 'lse_00000000000000000000000001' } as const;
          const held = { ...session, ...ids, ephemeral: true, process: processes.self() };
          await own.acquire({ ...request, session: held });
          waiting.clock.move(5_000);
          return own.acquire(request);
        },
      }),
    }));
    try {
      const { id } = await waiting.create({ leaseMode: 'exclusive' });
      await waiting.open.services.sessions.attach(id, { agent: 'ada', waitMs: 20_000 }, ada);
      expect(waits).toHaveLength(2);
      expect(waits[1]).toBeLessThanOrEqual(15_000);
    } finally {
      await waiting.remove();
    }
  });

  it('give back the lease of their own also when they fail', async () => {
    await expect(
      services().journal.setTodo(task.id, 'tdo_00000000000000000000000001', { text: 'x' }, ada),
    ).rejects.toThrow('is no todo of this task');
    expect(await leases()).toEqual([]);
  });

  it('wait for nobody: a held task refuses them', async () => {
    await attach('bob');
    await expect(note('one')).rejects.toMatchObject({ code: 'OCT_LEASE_HELD', details: { holder: 'bob' } });
  });

  it('refuse a session of another task, one that does not exist, and one that has ended', async () => {
    const session = await attach('bob');
    const other = await home.create();
    const there = services().journal.addNote(other.id, { text: 'x', sessionId: session.id }, ada);
    await expect(there).rejects.toMatchObject({
      code: 'OCT_INVALID_ARGUMENT',
      details: { argument: 'sessionId', taskId: task.id },
    });
    const unknown = { ...session, id: 'ses_00000000000000000000000001' } as const;
    await expect(note('x', unknown)).rejects.toMatchObject({ code: 'OCT_SESSION_NOT_FOUND' });
    await services().sessions.detach(session.id, {}, callBy('bob'));
    await expect(note('x', session)).rejects.toMatchObject({ code: 'OCT_LEASE_LOST' });
  });

  it('renew their lease once a quarter of its life is over, and also past its end while nobody took it', async () => {
    const session = await attach('bob', { ttlMs: 100_000 });
    const [first] = await leases();
    home.clock.move(20_000);
    await note('young', session);
    expect((await leases())[0]?.renewedAt).toBe(first?.renewedAt);
    home.clock.move(6_000);
    await note('aged', session);
    const renewedAt = Date.parse((await leases())[0]?.renewedAt ?? '');
    expect(renewedAt - Date.parse(first?.renewedAt ?? '')).toBeGreaterThanOrEqual(26_000);
    home.clock.move(500_000);
    await note('expired, not lost', session);
    expect(await services().journal.notes(task.id)).toHaveLength(3);
  });

  it('land nothing once another session has taken the task over', async () => {
    const session = await attach('bob');
    await attach('eve', { takeover: true });
    await expect(note('late', session)).rejects.toMatchObject({ code: 'OCT_LEASE_LOST' });
    expect(await services().journal.notes(task.id)).toEqual([]);
    expect(await services().sessions.get(session.id)).toMatchObject({ state: 'lost', endReason: 'Taken over by eve' });
  });

  it('need the home of the task where they touch its sandbox', async () => {
    const elsewhere = { ...task, homeId: 'hom_00000000000000000000000009', version: 2 } as const;
    await home.ports.tasks.commit({
      records: [sampleDraft(task.id, 'task.updated', { noun: 'task', value: elsewhere })],
    });
    const command = { kind: 'argv', argv: ['true'] } as const;
    await expect(services().executions.run(task.id, { command }, ada)).rejects.toMatchObject({
      code: 'OCT_TASK_ON_OTHER_HOST',
      details: { homeId: elsewhere.homeId },
    });
    await expect(services().tasks.stop(task.id, {}, ada)).rejects.toMatchObject({ code: 'OCT_TASK_ON_OTHER_HOST' });
    await expect(services().tasks.fork(task.id, {}, ada)).rejects.toMatchObject({ code: 'OCT_TASK_ON_OTHER_HOST' });
    await expect(note('rows are shared')).resolves.toMatchObject({ text: 'rows are shared' });
    const bob = await attach('bob');
    expect((await services().tasks.get(task.id)).status).toBe('pending');
    await expect(note('under a lease', bob)).resolves.toMatchObject({ agent: 'bob' });
    await services().sessions.detach(bob.id, {}, callBy('bob'));
    expect(await leases()).toEqual([]);
  });

  it('start, suspend, complete and reopen the task', async () => {
    const status = async (): Promise<string> => (await services().tasks.get(task.id)).status;
    const bob = await attach('bob');
    expect(await status()).toBe('running');
    await services().sessions.detach(bob.id, {}, callBy('bob'));
    expect(await services().tasks.get(task.id)).toMatchObject({ status: 'suspended', statusReason: 'detached' });
    await services().tasks.complete(task.id, { summary: 'well' }, ada);
    expect(await services().tasks.get(task.id)).toMatchObject({ status: 'completed', statusReason: 'well' });
    await attach('eve');
    const types = (await services().ledger.history(task.id, { newestFirst: false, types: ['task.'] })).map(
      ({ type }) => type,
    );
    expect(types).toEqual([
      'task.created',
      'task.started',
      'task.suspended',
      'task.completed',
      'task.reopened',
      'task.resumed',
    ]);
  });
});

describe('the takeover barrier', () => {
  interface Sandbox {
    state: SandboxFacts['state'];
    readonly fences: Fence[];
    readonly steps: string[];
    gone: boolean;
  }
  let home: EnginelessHome;
  let sandbox: Sandbox;
  beforeEach(async () => {
    sandbox = { state: 'running', fences: [], steps: [], gone: false };
    const handle: Partial<SandboxHandle> = {
      ref: 'box',
      inspect: async () => {
        if (sandbox.gone)
          throw Object.assign(new Error('gone'), { name: 'OpencodeToolsError', code: 'OCT_SANDBOX_NOT_FOUND' });
        return { state: sandbox.state } as SandboxFacts;
      },
      endExecution: async () => ({ ended: 1 }),
      unpause: async () => void sandbox.steps.push('unpause'),
      fence: async (fence) => {
        sandbox.steps.push('fence');
        sandbox.fences.push(fence);
        return { ended: 3 };
      },
      exec: ({ signal }) =>
        new Promise((_resolve, reject) => {
          sandbox.steps.push('exec');
          signal?.addEventListener('abort', () => reject(new Error('ended')));
        }),
    };
    home = await createEnginelessHome(({ runtime }) => ({
      runtime: { ...runtime, find: async (ref) => (ref === 'box' ? (handle as SandboxHandle) : undefined) },
    }));
  });
  afterEach(() => home.remove());

  const withSandbox = async (maxAgents: number): Promise<Task> => {
    const task = await home.create({ maxAgents });
    const value = sampleSandbox(task.id, { ref: 'box', state: 'running' });
    await home.ports.tasks.commit({ records: [sampleDraft(task.id, 'sandbox.completed', { noun: 'sandbox', value })] });
    return task;
  };
  const attach = (task: Task, agent: string, takeover = false) =>
    home.open.services.sessions.attach(task.id, { agent, takeover }, callBy(agent));

  it('ends what runs under older tokens before the lease is usable', async () => {
    const task = await withSandbox(4);
    const { lease, endedProcesses } = await attach(task, 'ada', true);
    expect({ state: lease.state, endedProcesses }).toEqual({ state: 'held', endedProcesses: 3 });
    expect(sandbox.fences).toEqual([{ minToken: lease.token, revoked: [] }]);
  });

  it('lets the tokens of other agents live and excludes those between them that have ended', async () => {
    const task = await withSandbox(4);
    const [first, second, third] = [await attach(task, 'a'), await attach(task, 'b'), await attach(task, 'c')];
    home.clock.move(1);
    await home.ports.leases.release(
      { taskId: task.id, sessionId: second.session.id, leaseId: second.lease.id, token: second.lease.token },
      { reason: 'left', actor: ada.actor, correlationId: null },
    );
    const fourth = await attach(task, 'd');
    expect(sandbox.fences.at(-1)).toEqual({ minToken: first.lease.token, revoked: [second.lease.token] });
    expect(fourth.lease.token).toBeGreaterThan(third.lease.token);
  });

  it('wakes a paused sandbox first, so that what it holds can end', async () => {
    sandbox.state = 'paused';
    await attach(await withSandbox(2), 'ada');
    expect(sandbox.steps).toEqual(['unpause', 'fence']);
  });

  it.each(['stopped', 'failed', 'creating'] as const)('has nothing to end in a sandbox that is %s', async (state) => {
    sandbox.state = state;
    const { lease, endedProcesses } = await attach(await withSandbox(2), 'ada');
    expect({ state: lease.state, endedProcesses, steps: sandbox.steps }).toEqual({
      state: 'held',
      endedProcesses: 0,
      steps: [],
    });
  });

  it('has nothing to end in a sandbox that went away', async () => {
    sandbox.gone = true;
    await expect(attach(await withSandbox(2), 'ada')).resolves.toMatchObject({
      lease: { state: 'held' },
      endedProcesses: 0,
    });
  });

  it('aborts what runs in the process that loses its lease, which records nothing more', async () => {
    const task = await withSandbox(1);
    const { session } = await home.open.services.sessions.attach(task.id, { agent: 'ada', ttlMs: 1_000 }, ada);
    const command = { kind: 'script', script: 'sleep 1000' } as const;
    const running = home.open.services.executions.run(task.id, { command, sessionId: session.id }, ada);
    const outcome = running.catch((error: unknown) => error);
    await until(() => sandbox.steps.includes('exec'));
    await attach(task, 'eve', true);
    expect(await outcome).toMatchObject({ code: 'OCT_LEASE_LOST' });
    const types = (await home.open.services.ledger.history(task.id, { types: ['execution.'] })).map(({ type }) => type);
    expect(types).not.toContain('execution.completed');
  });
});
