import type { OpenHome, ServiceDependencies, Task } from '@opencode-tools/core';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type TestHome, createTestHome, tester as call } from './support/test-home.ts';

let home: TestHome;
let open: OpenHome;
let ports: ServiceDependencies;
beforeEach(async () => {
  home = await createTestHome();
});
afterEach(async () => {
  await open.close();
  await home.remove();
});

const openWith = async (decorate: (given: ServiceDependencies) => ServiceDependencies): Promise<void> => {
  const environment = {
    ...process.env,
    OPENCODE_TOOLS_POOL_SIZE: '1',
    OPENCODE_TOOLS_DEFAULT_IMAGE: home.image,
  };
  open = await home.open({ environment, decorate: (given) => (ports = decorate(given)) });
  open.services.housekeeper.start();
};
/** The object with one method in another's place. */
const replacing = <T extends object, K extends keyof T>(target: T, name: K, method: T[K]): T =>
  new Proxy(target, {
    get: (object, member) => {
      if (member === name) return method;
      const value: unknown = Reflect.get(object, member, object);
      return typeof value === 'function' ? (value.bind(object) as unknown) : value;
    },
  });
const create = async (title: string): Promise<Task> => open.services.tasks.create({ title, image: home.image }, call);
const sh = async (task: Task, script: string): Promise<string> => {
  const run = await open.services.executions.run(task.id, { command: { kind: 'script', script } }, call);
  expect(run.execution).toMatchObject({ state: 'exited', exitCode: 0 });
  return run.stdout.text;
};
/** Begins a command that goes on until it is told. */
const begin = async (task: Task): Promise<{ readonly finish: () => Promise<string> }> => {
  const begun = Promise.withResolvers<void>();
  const script = 'echo begun; while [ ! -e go ]; do sleep 0.1; done; echo done';
  const running = open.services.executions.run(
    task.id,
    { command: { kind: 'script', script }, onOutput: () => begun.resolve() },
    call,
  );
  await Promise.race([begun.promise, running]);
  const finish = async (): Promise<string> => {
    const { ref } = (await ports.tasks.findSandbox(task.id)) ?? {};
    await home.docker('exec', '-u', '1000', ref ?? '', 'touch', '/workspace/go');
    const { execution, stdout } = await running;
    return `${execution.state} ${stdout.text}`;
  };
  return { finish };
};

test('a claim that comes too late ends no command of the task of the same process that was first', async () => {
  const reached = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  let late = true;
  await openWith((given) => ({
    ...given,
    tasks: replacing(given.tasks, 'commit', async (change) => {
      if (change.takes !== undefined && late) {
        late = false;
        reached.resolve();
        await goOn.promise;
      }
      return given.tasks.commit(change);
    }),
  }));
  await open.services.housekeeper.turn();
  const [one, two] = [await create('one'), await create('two')];
  const first = sh(one, 'pwd');
  await reached.promise;
  const second = await begin(two);
  goOn.resolve();
  expect(await first).toBe('/workspace\n');
  expect(await second.finish()).toBe('exited begun\ndone\n');
});

test('a sandbox is held by its process from the moment that its row says that it is ready', async () => {
  const ready = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  await openWith((given) => ({
    ...given,
    housekeeping: replacing(given.housekeeping, 'replacePooled', async (entry) => {
      const replaced = await given.housekeeping.replacePooled(entry);
      if (entry.state !== 'ready') return replaced;
      ready.resolve();
      await goOn.promise;
      return replaced;
    }),
  }));
  const turn = open.services.housekeeper.turn();
  await ready.promise;
  const task = await create('at that moment');
  const command = await begin(task);
  goOn.resolve();
  await turn;
  await open.services.housekeeper.turn();
  expect(await command.finish()).toBe('exited begun\ndone\n');
  expect(await ports.tasks.findSandbox(task.id)).toMatchObject({ state: 'running' });
});
