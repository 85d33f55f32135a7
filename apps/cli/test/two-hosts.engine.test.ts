import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Attachment, Call, OpenHome, Receipt, StoreStatus, Task } from '@opencode-tools/core';
import { type PostgresServer, type TestEngine, openTestEngine, startPostgres, until } from '@opencode-tools/testkit';
import { openHome } from '@opencode-tools/toolkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Cli, finish, openCli } from './run-bin.ts';

const environmentName = 'REGISTRY_OF_THE_TEAM';
let engine: TestEngine;
let server: PostgresServer;
/** Two hosts: each has a home of its own and its own configuration, with the address in a variable and in the file. */
let here: Cli;
let there: Cli;
/** A process that stays, with the home and the configuration of the second host. */
let resident: OpenHome;
let address: string;
beforeAll(async () => {
  engine = await openTestEngine();
  server = await startPostgres({ tls: true });
  address = server.url.replace('postgres@', 'postgres:hunter2@');
  here = await openHost(`env:${environmentName}`, 1);
  there = await openHost(address, 3);
  const cwd = dirname(there.home);
  resident = await openHome({ home: there.home, cwd, environment: { HOME: cwd } });
});
afterAll(async () => {
  for (const id of created) await cleanUp({ id: id as Task['id'] });
  await resident.close();
  await here[Symbol.asyncDispose]();
  await there[Symbol.asyncDispose]();
  await server.stop();
  await engine.close();
});

async function openHost(database: string, pool: number): Promise<Cli> {
  const env = database.startsWith('env:') ? { [environmentName]: address } : {};
  const cli = await openCli(env);
  await configure(cli, database, ['tls: verify', `ca: ${server.authorityFile}`, `pool: ${pool}`]);
  return cli;
}

async function configure(cli: Cli, database: string, postgres: readonly string[]): Promise<void> {
  const directory = join(dirname(cli.home), '.config/opencode-tools');
  await mkdir(directory, { recursive: true });
  const lines = [`database: ${database}`, 'postgres:', ...postgres.map((line) => `  ${line}`)];
  await writeFile(join(directory, 'opencode-tools.yaml'), `${lines.join('\n')}\n`);
}

const created = new Set<string>();

async function createTask(...options: readonly string[]): Promise<Task> {
  const { task } = await here.json<{ task: Task }>(['create-task', 'Shared', '--image', engine.imageId, ...options]);
  created.add(task.id);
  return task;
}

async function cleanUp({ id }: Pick<Task, 'id'>): Promise<Receipt> {
  const { receipt } = await here.json<{ receipt: Receipt }>(['cleanup-task', id, '--force']);
  created.delete(id);
  return receipt;
}

async function attach(cli: Cli, task: Task, agent: string, ...options: readonly string[]): Promise<Attachment> {
  return cli.json<Attachment>(['resume-task', task.id, '--agent', agent, ...options]);
}

const bob: Call = {
  actor: { kind: 'agent', id: 'bob', agent: 'bob', model: null, session: null, onBehalfOf: null },
};

async function succeed(cli: Cli, argv: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await cli.run(argv);
  expect([code, stderr]).toEqual([0, '']);
  return stdout;
}

const refused = (code: string) => ({ stderr: expect.stringContaining(`(OCT_${code})`) as string });

describe('two hosts with one registry on PostgreSQL', () => {
  test('see each other’s tasks, and keep the sandbox with its home', async () => {
    const task = await createTask();
    await succeed(here, ['exec', task.id, '--', 'sh', '-c', 'echo one > file']);
    const { tasks } = await there.json<{ tasks: Task[] }>(['list-tasks']);
    expect(tasks.map(({ id }) => id)).toEqual([task.id]);
    const elsewhere = { code: 125, stderr: expect.stringContaining(`with home ${task.homeId}`) as string };
    expect(await there.run(['exec', task.id, '--', 'true'])).toMatchObject(elsewhere);
    const { services } = resident;
    const [execution] = (await services.executions.list(task.id)).items;
    for (const verb of [
      () => services.executions.readOutput(execution?.id as never, 'stdout'),
      () => services.files.read(task.id, { path: 'file' }, bob),
      () => services.checkpoints.create(task.id, {}, bob),
      () => services.tasks.fork(task.id, {}, bob),
      () => services.tasks.stop(task.id, {}, bob),
      () => services.tasks.delete(task.id, {}, bob),
    ]) {
      await expect(verb()).rejects.toMatchObject({ code: 'OCT_TASK_ON_OTHER_HOST', details: { homeId: task.homeId } });
    }

    const { session } = await attach(there, task, 'bob');
    await services.journal.decide(task.id, { what: 'Ship it', sessionId: session.id }, bob);
    expect(await here.run(['exec', task.id, '--', 'true'])).toMatchObject({ code: 125, ...refused('LEASE_HELD') });
    // The session is a handle on either host: at the task's home it passes the barrier.
    expect(await succeed(here, ['exec', task.id, '--session', session.id, '--', 'cat', 'file'])).toBe('one\n');
    await succeed(there, ['detach', session.id]);
    expect(await succeed(here, ['task-decisions', task.id])).toContain('Ship it');

    const receipt = await cleanUp(task);
    expect(receipt.removed.containers).toBe(1);
    await expect(services.tasks.get(task.id)).rejects.toMatchObject({
      code: 'OCT_TASK_NOT_FOUND',
      details: { receipt: { taskId: task.id } },
    });
  });

  test('stand in one line for a task', async () => {
    const task = await createTask();
    const ada = await attach(here, task, 'ada');
    const first = resident.services.sessions.attach(task.id, { agent: 'bob', waitMs: 60_000 }, bob);
    await untilWaiting(task, 1);
    const second = finish(here.start(['--json', 'resume-task', task.id, '--agent', 'eve', '--wait', '60s']));
    await untilWaiting(task, 2);
    await succeed(here, ['detach', ada.session.id]);
    const { session, lease } = await first;
    expect(lease.token).toBe(ada.lease.token + 1);
    await resident.services.sessions.detach(session.id, {}, bob);
    const { code, stdout } = await second;
    expect(code).toBe(0);
    expect((JSON.parse(stdout) as Attachment).lease.token).toBe(ada.lease.token + 2);
    await cleanUp(task);
  });

  test('compare claims with each other', async () => {
    const task = await createTask('--collaborative');
    await attach(here, task, 'ada', '--write', 'src/**');
    const { sessions } = resident.services;
    const claiming = (glob: string) => sessions.attach(task.id, { agent: 'bob', claims: { write: [glob] } }, bob);
    await expect(claiming('src/a.ts')).rejects.toMatchObject({ code: 'OCT_CLAIM_OVERLAP' });
    await claiming('docs/**');
    const list = await succeed(here, ['claim', 'list', task.id]);
    for (const glob of ['src/**', 'docs/**']) expect(list).toContain(glob);
    await cleanUp(task);
  });

  test('administer it from either', async () => {
    for (const cli of [here, there]) {
      const status = await cli.json<StoreStatus>(['db', 'status']);
      expect(status).toMatchObject({ engine: 'postgres', tasks: 0, location: expect.not.stringContaining('hunter2') });
    }
    await succeed(there, ['db', 'backup', '--reason', 'two hosts']);
    const { stdout } = await there.run(['--json', 'doctor']);
    const { findings } = JSON.parse(stdout) as { findings: { severity: string }[] };
    expect(findings.filter(({ severity }) => severity === 'problem')).toEqual([]);
    expect(stdout).not.toContain('hunter2');
  });

  test('hold the connection to what the configuration says of encryption', async () => {
    await using plain = await openCli();
    await configure(plain, address, ['tls: disable']);
    const unencrypted = await plain.run(['list-tasks']);
    // The system's authorities have not signed the certificate.
    await configure(plain, address, ['tls: verify']);
    const unverified = await plain.run(['list-tasks']);
    for (const ran of [unencrypted, unverified]) {
      expect(ran).toMatchObject({ code: 6, ...refused('STORE_UNAVAILABLE') });
      expect(ran.stderr).not.toContain('hunter2');
    }
    expect(unverified.stderr).toContain('postgres.ca');
    await configure(plain, address, ['tls: require']);
    await succeed(plain, ['list-tasks']);
  });
});

test('a server that is restarted costs a typed error, and then all works again, in resident processes too', async () => {
  const task = await createTask();
  const { services } = resident;
  const { session } = await services.sessions.attach(task.id, { agent: 'bob' }, bob);
  const note = (text: string) => services.journal.addNote(task.id, { text, sessionId: session.id }, bob);
  await server.halt();
  expect(await here.run(['list-tasks'])).toMatchObject({ code: 6, ...refused('STORE_UNAVAILABLE') });
  const verbs = [() => services.tasks.get(task.id), () => note('lost'), () => services.sessions.renew(session.id)];
  for (const verb of verbs) await expect(verb()).rejects.toMatchObject({ code: 'OCT_STORE_UNAVAILABLE' });
  await server.resume();
  await note('kept');
  expect((await services.journal.notes(task.id)).map(({ text }) => text)).toEqual(['kept']);
  // What wakes those who wait works again as well.
  const waiting = services.sessions.attach(task.id, { agent: 'eve', waitMs: 60_000 }, bob);
  await untilWaiting(task, 1);
  await succeed(there, ['detach', session.id]);
  expect((await waiting).session.agent).toBe('eve');
  await cleanUp(task);
  await succeed(here, ['db', 'verify']);
});

/** Asking for a held task without waiting says how many wait. */
async function untilWaiting(task: Task, count: number): Promise<void> {
  const ask = () => resident.services.sessions.attach(task.id, { agent: 'curious' }, bob);
  const waiting = () =>
    ask().then(
      () => 0,
      (error: { details?: { waiting?: number } }) => error.details?.waiting,
    );
  await until(async () => (await waiting()) === count, 30_000);
}
