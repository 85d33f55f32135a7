import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Call, OpenHome, ServiceDependencies, Task } from '@opencode-tools/core';
import { sampleOperation } from '@opencode-tools/testkit';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { maintainHome } from '../src/index.ts';
import { type TestHome, createTestHome } from './support/test-home.ts';

const call: Call = {
  actor: { kind: 'user', id: 'tester', agent: null, model: null, session: null, onBehalfOf: null },
};
const environment = { ...process.env, OPENCODE_TOOLS_REAPER_GRACE: '0' };

let home: TestHome;
let open: OpenHome;
let ports: ServiceDependencies;
beforeEach(async () => {
  home = await createTestHome();
  open = await home.open({ environment, decorate: (given) => (ports = given) });
});
afterEach(async () => {
  await open.close();
  await home.remove();
});

/** A registry that is old enough to be trusted. */
const age = (): Promise<void> => home.sql(`update meta set created_at = '2026-01-01T00:00:00.000Z'`);
const used = async (title: string): Promise<Task> => {
  const task = await open.services.tasks.create({ title, image: home.image }, call);
  await open.services.executions.run(task.id, { command: { kind: 'script', script: 'echo work >file' } }, call);
  return task;
};
const labels = (of: Readonly<Record<string, string>>): readonly string[] =>
  Object.entries(of).flatMap(([name, value]) => ['--label', `io.opencode-tools.${name}=${value}`]);
const volume = async (name: string, of: Readonly<Record<string, string>>): Promise<string> => {
  const unique = `oct-reap-${open.homeId.slice(-10)}-${name}`;
  await home.docker('volume', 'create', ...labels({ home: open.homeId, kind: 'workspace', ...of }), unique);
  return unique;
};
const container = async (name: string, of: Readonly<Record<string, string>>): Promise<string> => {
  const unique = `oct-reap-${open.homeId.slice(-10)}-${name}`;
  const all = labels({ home: open.homeId, kind: 'sandbox', ...of });
  await home.docker('create', '--name', unique, ...all, home.image, ...sandboxCommand);
  return unique;
};
const network = async (name: string, of: Readonly<Record<string, string>>): Promise<string> => {
  const unique = `oct-reap-${open.homeId.slice(-10)}-${name}`;
  await home.docker('network', 'create', ...labels({ home: open.homeId, kind: 'network', ...of }), unique);
  return unique;
};
/** A container with our labels that no runtime of ours would have made. */
const strange = async (task: string, operation: string): Promise<string> => {
  const name = await container('strange', { task, operation });
  await home.docker('rm', name);
  await home.docker(
    'create',
    '--name',
    name,
    ...labels({ home: open.homeId, kind: 'sandbox', task, operation }),
    home.image,
    'true',
  );
  return name;
};
/** The shape of a main process by which a runtime knows its own. */
const sandboxCommand = ['/bin/sh', '-c', 'true', 'oct-lane', '1000', '1000', 'first'];
/** An operation of the task that a process left as failed. */
const failed = async (task: Task): Promise<string> => {
  const operation = { ...sampleOperation(task.id), kind: 'sandbox', state: 'failed' } as const;
  const records = [
    {
      stream: task.id,
      type: 'sandbox.failed',
      actor: call.actor,
      puts: [{ noun: 'operation', value: operation }],
      token: null,
      operationId: operation.id,
      correlationId: null,
    } as const,
  ];
  await ports.tasks.commit({ records });
  return operation.id;
};
const names = async (): Promise<readonly string[]> =>
  [
    ...(await ports.runtime.list({ homeId: open.homeId })).map(({ name }) => name),
    ...(await ports.runtime.volumes.list({ 'io.opencode-tools.home': open.homeId })).map(({ name }) => name),
    ...(await ports.egress.list()).map(({ name }) => name),
  ]
    .filter((name) => name.startsWith('oct-reap-'))
    .sort();

test('what is provably finished goes after a receipt, and everything else stays', async () => {
  const [task, deleted] = [await used('kept'), await used('deleted')];
  await open.services.tasks.delete(deleted.id, {}, call);
  const operation = await failed(task);
  const finished = [
    await container('half-made', { task: task.id, operation }),
    await volume('of-deleted', { task: deleted.id }),
    await network('network-of-deleted', { task: deleted.id }),
    await volume('half-made-volume', { task: task.id, operation }),
  ].sort();
  const others = 'hom_00000000000000000000000000';
  const stay = [
    await volume('unknown', {}),
    await volume('of-task', { task: task.id }),
    await network('network-of-nobody', {}),
    await strange(task.id, operation),
  ].sort();
  const ofTask = await network('network-of-task', { task: task.id });
  const foreign = await volume('of-another-home', { home: others, task: deleted.id, operation });
  try {
    const fresh = await open.services.housekeeper.reap({ dryRun: false }, call);
    expect(fresh).toMatchObject({
      removed: [],
      untrusted: 'the registry was made or rebuilt less than a minute before this process opened it',
    });
    await age();
    const dry = await open.services.housekeeper.reap({ dryRun: true }, call);
    expect(dry.removed.map(({ object }) => object.name).sort()).toEqual(finished);
    expect(await names()).toEqual([...finished, ...stay, ofTask].sort());

    const report = await open.services.doctor.run(call, { reap: true });
    expect(report.reaping).toMatchObject({ dryRun: false, failed: [], untrusted: null });
    expect(await names()).toEqual([...stay, ofTask].sort());
    expect(report.reaping?.unknown.map(({ object }) => object.name)).toEqual(expect.arrayContaining(stay));
    expect(await home.docker('volume', 'ls', '-q', '--filter', `name=${foreign}`)).toBe(`${foreign}\n`);
    const records = await ports.ledger.read('home');
    expect(records.flatMap(({ type }) => (type.startsWith('object.') ? [type] : []))).toEqual([
      'object.reaping',
      'object.reaped',
    ]);
    expect((await open.services.housekeeper.reap({ dryRun: false }, call)).removed).toEqual([]);
    const run = await open.services.executions.run(task.id, { command: { kind: 'script', script: 'cat file' } }, call);
    expect(run.stdout.text).toBe('work\n');
  } finally {
    await home.docker('volume', 'rm', foreign);
  }
});

test('a volume that is in use is reported as not removed, and goes at a later turn', async () => {
  const deleted = await used('deleted');
  await open.services.tasks.delete(deleted.id, {}, call);
  const name = await volume('busy', { task: deleted.id });
  const holder = await container('holder', { home: 'none', kind: 'none' });
  await home.docker('rm', holder);
  await home.docker('create', '--name', holder, '-v', `${name}:/v`, home.image, 'true');
  await age();
  const report = await open.services.housekeeper.reap({ dryRun: false }, call);
  expect(report.failed.map(({ removal }) => removal.object.name)).toEqual([name]);
  await home.docker('rm', holder);
  expect((await open.services.housekeeper.reap({ dryRun: false }, call)).removed).toHaveLength(1);
  expect(await names()).toEqual([]);
});

test('a changed root file system of an operation that failed is reported, not removed', async () => {
  const task = await used('changed');
  const operation = await failed(task);
  const name = await container('changed', { task: task.id, operation });
  await home.docker('cp', import.meta.filename, `${name}:/work`);
  await age();
  const report = await open.services.housekeeper.reap({ dryRun: false }, call);
  expect(report.removed).toEqual([]);
  expect(report.unknown.map(({ reason }) => reason)).toContainEqual(
    expect.stringContaining('1 changes that nothing saved'),
  );
  expect(await names()).toEqual([name]);
});

test('a home whose database was lost and rebuilt loses nothing', async () => {
  const task = await used('survivor');
  const objects = await home.objectsOf(task.id);
  await ports.memory.project();
  await open.close();
  for (const end of ['', '-wal', '-shm']) await rm(join(home.directory, `registry.db${end}`), { force: true });
  const place = { home: home.directory, cwd: home.directory, environment };
  await (await maintainHome(place)).rebuild();
  open = await home.open({ environment, decorate: (given) => (ports = given) });
  const report = await open.services.doctor.run(call, { reap: true });
  expect(report.reaping).toMatchObject({ removed: [], untrusted: expect.stringContaining('rebuilt') as string });
  expect(await home.objectsOf(task.id)).toEqual(objects);
  const run = await open.services.executions.run(task.id, { command: { kind: 'script', script: 'cat file' } }, call);
  expect(run.stdout.text).toBe('work\n');
});

test('files of a task that the registry does not know are reported', async () => {
  const task = await used('forgotten');
  await ports.memory.project();
  await home.sql(`delete from tasks where id = '${task.id}'`);
  const { unknownMemory } = await open.services.housekeeper.reap({ dryRun: true }, call);
  expect(unknownMemory).toEqual([task.id]);
});
