import {
  type OpenHome,
  type ServiceDependencies,
  type Task,
  type TaskStatus,
  isOpencodeToolsError,
  taskStatuses,
} from '@opencode-tools/core';
import { type EngineProxy, openEngineProxy, runIn, testSeed } from '@opencode-tools/testkit';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type TestHome, createTestHome, tester as call } from './support/test-home.ts';

const child = fileURLToPath(new URL('./support/crash-child.ts', import.meta.url));

let home: TestHome;
let proxy: EngineProxy;
let open: OpenHome;
let directory: string;
const images: string[] = [];
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'oct-stuck-'));
  home = await createTestHome();
  proxy = await openEngineProxy();
  open = await home.open({ environment: { ...process.env, DOCKER_HOST: proxy.endpoint } });
});
afterAll(async () => {
  await open.close();
  await proxy.close();
  for (const image of images) await home.docker('rmi', '-f', '--no-prune', image);
  await rm(directory, { recursive: true });
  await home.remove();
});

type Verb = 'stop' | 'resume' | 'delete';

const verbs: Readonly<Record<Verb, (task: Task) => Promise<unknown>>> = {
  stop: (task) => open.services.tasks.stop(task.id, { graceMs: 0 }, call),
  resume: async (task) => {
    const { session } = await open.services.sessions.attach(task.id, { agent: 'next', takeover: true }, call);
    try {
      const command = { kind: 'script', script: 'true' } as const;
      const { execution } = await open.services.executions.run(task.id, { command, sessionId: session.id }, call);
      expect(execution.exitCode).toBe(0);
    } finally {
      await open.services.sessions.detach(session.id, {}, call);
    }
  },
  delete: (task) => open.services.tasks.delete(task.id, { force: true }, call),
};

/** Brings a task that has a sandbox to a status, by the verbs that do so. */
const reach: Readonly<Record<TaskStatus, (task: Task) => Promise<unknown>>> = {
  pending: async () => undefined,
  running: (task) => attachAndRun(task),
  suspended: async (task) => {
    await attachAndRun(task);
    await verbs.stop(task);
  },
  completed: async (task) => {
    await attachAndRun(task);
    await open.services.tasks.complete(task.id, {}, call);
  },
  cancelled: async (task) => {
    await attachAndRun(task);
    await open.services.tasks.cancel(task.id, {}, call);
  },
  failed: async (task) => {
    await attachAndRun(task);
    await home.sql(
      `update tasks set status = 'failed', entity = json_set(entity, '$.status', 'failed') where id = '${task.id}'`,
    );
  },
};

async function attachAndRun(task: Task) {
  const command = { kind: 'script', script: 'echo work > kept' } as const;
  return open.services.executions.run(task.id, { command }, call);
}

interface Fault {
  /** Makes the image of the task; the home's by default. */
  readonly image?: () => Promise<string>;
  /** Brings the fault about, and returns what takes it back. */
  readonly happen: (task: Task) => Promise<(() => Promise<void>) | undefined>;
}

const faults: Readonly<Record<string, Fault>> = {
  'the container was removed': {
    happen: async (task) => {
      await removeContainers(task);
      return undefined;
    },
  },
  'container and volumes were removed': {
    happen: async (task) => {
      await removeContainers(task);
      for (const name of await home.objectsOf(task.id)) await home.docker('volume', 'rm', '-f', name);
      return undefined;
    },
  },
  'container and image were removed': {
    image: imageOfItsOwn,
    happen: async (task) => {
      await removeContainers(task);
      const kept = join(directory, `${task.id}.tar`);
      const image = images.at(-1) ?? '';
      await home.docker('save', '-o', kept, image);
      await home.docker('rmi', '-f', '--no-prune', image);
      return async () => void (await home.docker('load', '-i', kept));
    },
  },
  'the engine refuses': {
    happen: async () => {
      proxy.faults.push(/^(?:POST|PUT|DELETE) /);
      return async () => void proxy.faults.splice(0);
    },
  },
  'a dead process has the lease': { happen: (task) => killed(task, 'exec', 3) },
  'a killed process left an operation open': { happen: (task) => killed(task, 'checkpoint', 7) },
  'the home was put back from before': {
    happen: async (task) => {
      let ports: ServiceDependencies | undefined;
      const later = await home.open({ decorate: (given) => (ports = given) });
      const handle = await ports?.runtime.find((await ports.tasks.findSandbox(task.id))?.ref ?? '');
      if ((await handle?.inspect())?.state === 'running') await handle?.fence({ minToken: 2 ** 30, revoked: [] });
      await later.close();
      return undefined;
    },
  },
  'another session is attached': {
    happen: async (task) => {
      await open.services.sessions.attach(task.id, { agent: 'other' }, call);
      return undefined;
    },
  },
};

async function killed(task: Task, verb: string, step: number): Promise<undefined> {
  const argv = ['--conditions=@opencode-tools/source', child, home.directory, task.id, verb, String(step)];
  await once(spawn(process.execPath, argv, { stdio: ['ignore', 'inherit', 'inherit'] }), 'exit');
}

async function imageOfItsOwn(): Promise<string> {
  const container = await home.docker('create', home.image, 'true');
  const image = await home.docker('commit', '--change', `LABEL made=${images.length}`, container.trim());
  await home.docker('rm', container.trim());
  images.push(image.trim());
  return image.trim();
}

async function removeContainers(task: Task): Promise<void> {
  const isContainer = (name: string): boolean => /^[0-9a-f]{12}$/.test(name);
  for (const id of (await home.objectsOf(task.id)).filter(isContainer)) await home.docker('rm', '-f', id);
}

/** Verbs that must get to an end while the fault lasts; the others may say what is wrong, and succeed when it is over. */
async function attempt(verb: Verb, task: Task, mayRefuse: boolean): Promise<void> {
  try {
    await verbs[verb](task);
  } catch (error) {
    if (!mayRefuse || !isOpencodeToolsError(error)) throw error;
    expect(error.remedy).not.toBe('');
  }
}

const soak = process.env['OPENCODE_TOOLS_SOAK'] === '1';
const seed = testSeed();
const orders = [
  ['stop', 'resume', 'delete'],
  ['resume', 'stop', 'delete'],
  ['delete'],
] as const satisfies readonly (readonly Verb[])[];

/** Every status with every order in a soak; otherwise one of them for each fault, which one by the seed. */
function cells(index: number): readonly { readonly status: TaskStatus; readonly order: readonly Verb[] }[] {
  const all = taskStatuses.flatMap((status) => orders.map((order) => ({ status, order })));
  const first = (seed * 7 + index * 5) % all.length;
  return soak ? all : all.slice(first, first + 1);
}

const table = Object.entries(faults).flatMap(([name, fault], index) =>
  cells(index).map((cell) => ({ name, fault, ...cell })),
);
/** What a process remembers of a container that is gone must not stand in the way of these. */
const whileItRuns = ['the container was removed', 'the home was put back from before'].flatMap((name) =>
  (['stop', 'delete'] as const).map((verb) => ({ name, verb })),
);
const running = whileItRuns.map(({ name, verb }) => {
  return {
    name,
    fault: faults[name] as Fault,
    status: 'running' as const,
    order: orders.find(([first]) => first === verb) ?? [],
  };
});

it.each([...running, ...table])(
  `$name, the task is $status: $order gets to an end (seed ${seed})`,
  async ({ name, fault, status, order }) => {
    const image = (await fault.image?.()) ?? home.image;
    const task = await open.services.tasks.create({ title: name, image }, call);
    await reach[status](task);
    expect((await open.services.tasks.get(task.id)).status).toBe(status);
    const undo = await fault.happen(task);
    for (const verb of order) await attempt(verb, task, undo !== undefined);
    await undo?.();
    if (undo !== undefined && (await exists(task))) for (const verb of order) await attempt(verb, task, false);
    await expect(open.services.tasks.get(task.id)).rejects.toMatchObject({ code: 'OCT_TASK_NOT_FOUND' });
    expect(await home.objectsOf(task.id)).toEqual([]);
  },
);

it('a takeover of a sandbox that a newer registry fenced excludes whoever acts under its tokens', async () => {
  const task = await open.services.tasks.create({ title: 'put back', image: home.image }, call);
  await attachAndRun(task);
  let ports: ServiceDependencies | undefined;
  const later = await home.open({ decorate: (given) => (ports = given) });
  const handle = await ports?.runtime.find((await ports.tasks.findSandbox(task.id))?.ref ?? '');
  const newer = 2 ** 30;
  await handle?.fence({ minToken: newer, revoked: [] });
  const under = async (token: number) => handle && runIn(handle, 'echo ran', { token });
  expect(await under(newer)).toMatchObject({ stdout: 'ran\n' });
  const { session } = await open.services.sessions.attach(task.id, { agent: 'next', takeover: true }, call);
  const command = { kind: 'script', script: 'true' } as const;
  const { execution } = await open.services.executions.run(task.id, { command, sessionId: session.id }, call);
  expect(execution.exitCode).toBe(0);
  await expect(under(newer)).rejects.toMatchObject({ code: 'OCT_STALE_FENCING_TOKEN' });
  await later.close();
  await verbs.delete(task);
});

async function exists(task: Task): Promise<boolean> {
  const found = await open.services.tasks.get(task.id).catch((error: unknown) => error);
  return !isOpencodeToolsError(found, 'OCT_TASK_NOT_FOUND');
}
