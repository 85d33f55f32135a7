import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { OpenHome, PooledSandbox, ServiceDependencies, Task } from '@opencode-tools/core';
import { until } from '@opencode-tools/testkit';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type TestHome, createTestHome, tester as call } from './support/test-home.ts';

let home: TestHome;
let opened: OpenHome[];
let ports: ServiceDependencies;
beforeEach(async () => {
  home = await createTestHome();
  opened = [];
});
afterEach(async () => {
  for (const open of opened) await open.close();
  await home.remove();
});

const openWith = async (
  size: number,
  mode: 'running' | 'paused' = 'paused',
  decorate: (given: ServiceDependencies) => ServiceDependencies = (given) => given,
): Promise<OpenHome> => {
  const environment = {
    ...process.env,
    OPENCODE_TOOLS_POOL_SIZE: String(size),
    OPENCODE_TOOLS_POOL_MODE: mode,
    OPENCODE_TOOLS_DEFAULT_IMAGE: home.image,
  };
  const open = await home.open({ environment, decorate: (given) => (ports = decorate(given)) });
  opened.push(open);
  return open;
};
const start = async (open: OpenHome): Promise<void> => {
  open.services.housekeeper.start();
  await open.services.housekeeper.turn();
};
const ready = async (open: OpenHome): Promise<readonly PooledSandbox[]> =>
  (await open.services.housekeeper.status()).pooled.filter(({ state }) => state === 'ready');
const onEngine = async (ref: string | null | undefined): Promise<string> =>
  (await home.docker('inspect', '-f', '{{.State.Status}}', ref ?? '')).trim();
const create = async (open: OpenHome): Promise<Task> =>
  open.services.tasks.create({ title: 'paused', image: home.image }, call);
const sh = async (open: OpenHome, task: Task, script: string): Promise<string> => {
  const run = await open.services.executions.run(task.id, { command: { kind: 'script', script } }, call);
  expect(run.execution).toMatchObject({ state: 'exited', exitCode: 0 });
  return run.stdout.text;
};
const refOf = async (task: Task): Promise<string | null | undefined> => (await ports.tasks.findSandbox(task.id))?.ref;

/** Has a process pretend to be one that has ended. */
async function inDeadProcess(): Promise<(given: ServiceDependencies) => ServiceDependencies> {
  const child = spawn('true');
  await once(child, 'exit');
  return (given) => ({
    ...given,
    processes: {
      isAlive: (process) => given.processes.isAlive(process),
      self: () => ({ ...given.processes.self(), pid: child.pid ?? 0 }),
    },
  });
}

test('a sandbox of a paused pool waits paused, is woken by whoever claims it, and stays awake', async () => {
  const open = await openWith(2);
  await start(open);
  const [own, others] = await ready(open);
  expect([await onEngine(own?.ref), await onEngine(others?.ref)]).toEqual(['paused', 'paused']);
  await open.services.housekeeper.turn();
  expect((await ready(open)).map(({ id }) => id)).toEqual([own?.id, others?.id]);

  const task = await create(open);
  expect(await sh(open, task, 'pwd')).toBe('/workspace\n');
  const other = await openWith(0, 'running');
  const second = await create(other);
  expect(await sh(other, second, 'pwd')).toBe('/workspace\n');
  expect(new Set([await refOf(task), await refOf(second)])).toEqual(new Set([own?.ref, others?.ref]));

  await until(async () => (await ready(open)).length === 2);
  expect([await onEngine(own?.ref), await onEngine(others?.ref)]).toEqual(['running', 'running']);
  await open.close();
  expect(await sh(other, task, 'echo still here')).toBe('still here\n');
  expect((await ports.runtime.list({ homeId: open.homeId })).length).toBe(2);
});

test('of many tasks in two processes that want one paused sandbox exactly one has it, and all get one', async () => {
  const first = await openWith(1);
  await start(first);
  const [entry] = await ready(first);
  const second = await openWith(0);
  const tasks = await Promise.all(Array.from({ length: 4 }, () => create(first)));
  await Promise.all(tasks.map((task, index) => sh(index % 2 === 0 ? first : second, task, 'pwd')));
  const refs = await Promise.all(tasks.map(refOf));
  expect(new Set(refs).size).toBe(4);
  expect(refs.filter((ref) => ref === entry?.ref)).toHaveLength(1);
});

test.each([['rm', '-f'], ['kill']])('a paused sandbox that %s took is never handed to a command', async (...verb) => {
  const open = await openWith(1);
  await start(open);
  const [entry] = await ready(open);
  await home.docker(...verb, entry?.ref ?? '');
  const task = await create(open);
  expect(await sh(open, task, 'echo fine')).toBe('fine\n');
  expect(await refOf(task)).not.toBe(entry?.ref);
  await open.services.housekeeper.turn();
  await until(async () => (await ready(open)).length === 1);
  expect(await onEngine((await ready(open))[0]?.ref)).toBe('paused');
});

test('what is being adopted counts: nothing is made in its place meanwhile', async () => {
  const first = await openWith(1, 'paused', await inDeadProcess());
  await start(first);
  const [entry] = await ready(first);
  const made: string[] = [];
  let looks = 0;
  const open = await openWith(1, 'paused', (given) => {
    const { housekeeping } = given;
    const slow: ServiceDependencies['housekeeping'] = new Proxy(housekeeping, {
      get: (object, member) => {
        if (member === 'addPooled') {
          return async (...[added, most]: Parameters<typeof object.addPooled>) => {
            made.push(added.id);
            return object.addPooled(added, most);
          };
        }
        if (member === 'listPooled') {
          return async () => {
            looks += 1;
            return object.listPooled();
          };
        }
        if (member === 'replacePooled') {
          return async (replacing: PooledSandbox) => {
            const replaced = await object.replacePooled(replacing);
            const before = looks;
            // The pool is refilled some time after a kind of sandbox was noted.
            if (replacing.state === 'filling') await until(() => looks > before);
            return replaced;
          };
        }
        const value: unknown = Reflect.get(object, member, object);
        return typeof value === 'function' ? (value.bind(object) as unknown) : value;
      },
    });
    return { ...given, housekeeping: slow };
  });
  await start(open);
  expect(made).toEqual([]);
  expect((await ready(open)).map(({ id }) => id)).toEqual([entry?.id]);
});

test.each([
  ['paused', 'paused'],
  ['paused', 'running'],
  ['running', 'paused'],
] as const)('what a dead process kept %s another keeps %s, and a task can have it', async (before, after) => {
  const first = await openWith(1, before, await inDeadProcess());
  await start(first);
  const [entry] = await ready(first);
  expect(await onEngine(entry?.ref)).toBe(before);

  const open = await openWith(1, after);
  await start(open);
  expect(await ready(open)).toMatchObject([{ id: entry?.id, owner: { pid: process.pid } }]);
  expect(await onEngine(entry?.ref)).toBe(after);
  const task = await create(open);
  expect(await sh(open, task, 'pwd')).toBe('/workspace\n');
  expect(await refOf(task)).toBe(entry?.ref);
  expect(await onEngine(entry?.ref)).toBe('running');
});
