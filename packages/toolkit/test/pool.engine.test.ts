import { type OpenHome, type PooledSandbox, type ServiceDependencies, type Task } from '@opencode-tools/core';
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

/** A process's view of the home that keeps so many sandboxes ready once its housekeeper has started. */
const openWith = async (size: number, more: Readonly<Record<string, string>> = {}): Promise<OpenHome> => {
  const open = await home.open({
    environment: {
      ...process.env,
      OPENCODE_TOOLS_POOL_SIZE: String(size),
      OPENCODE_TOOLS_DEFAULT_IMAGE: home.image,
      ...more,
    },
    decorate: (given) => (ports = given),
  });
  opened.push(open);
  return open;
};
const start = async (open: OpenHome): Promise<void> => {
  open.services.housekeeper.start();
  await open.services.housekeeper.turn();
};
const pooled = async (open: OpenHome): Promise<readonly PooledSandbox[]> =>
  (await open.services.housekeeper.status()).pooled;
const states = async (open: OpenHome): Promise<readonly string[]> => (await pooled(open)).map(({ state }) => state);
const sh = async (open: OpenHome, task: Task, script: string): Promise<string> => {
  const run = await open.services.executions.run(task.id, { command: { kind: 'script', script } }, call);
  expect(run.execution).toMatchObject({ state: 'exited', exitCode: 0 });
  return run.stdout.text;
};
const create = async (open: OpenHome, change: object = {}): Promise<Task> =>
  open.services.tasks.create({ title: 'warm', image: home.image, ...change }, call);
/** The engine's description of the container of a task, without what differs between any two containers. */
const described = async (task: Task): Promise<object> => {
  const row = await ports.tasks.findSandbox(task.id);
  const [found] = JSON.parse(await home.docker('inspect', row?.ref ?? '')) as [Record<string, never>];
  const { Config, HostConfig, Mounts, NetworkSettings } = found;
  const text = JSON.stringify({ Config, HostConfig, Mounts, NetworkSettings });
  const plain = text
    .replaceAll(/oct-[a-z0-9-]+/g, 'NAME')
    .replaceAll(/(tsk|opn)_[a-z0-9]+/g, 'ID')
    .replaceAll(/[0-9a-f]{64}/g, 'HEX')
    // An upper is one volume's alone; what it stands on is the same.
    .replaceAll(/"io.opencode-tools.stack":"\w+,/g, '"stack":"UPPER,')
    .replaceAll(/(upperdir|workdir)=[^,]+/g, '$1=UPPER')
    .replaceAll(/"io.opencode-tools.(task|generation)":"[^"]*"/g, '"label":""');
  const parsed = JSON.parse(plain) as { Mounts: { Destination: string }[] };
  parsed.Mounts.sort((a, b) => a.Destination.localeCompare(b.Destination));
  return parsed;
};

test('a task takes a ready sandbox, which is as hardened and as empty as one made for it', async () => {
  const open = await openWith(1);
  const cold = await create(open);
  const look =
    'id -u; id -G; ls -A /workspace /home/agent /tmp; cat /proc/self/status | grep -E "Cap(Eff|Prm|Bnd|Amb)|NoNewPrivs|Seccomp:"; env | sort';
  const seen = await sh(open, cold, look);
  const made = await described(cold);
  await start(open);
  const [entry] = await pooled(open);
  expect(entry).toMatchObject({ state: 'ready', claim: null });

  const task = await create(open);
  expect(await sh(open, task, look)).toBe(seen);
  const row = await ports.tasks.findSandbox(task.id);
  expect(row).toMatchObject({ ref: entry?.ref, workspaceVolume: entry?.workspaceVolume, state: 'running' });
  expect(await described(task)).toEqual(made);
  expect((await open.services.tasks.view(task.id)).workspaceKeeping).toEqual({ store: 'overlay', reason: null });
  expect((await pooled(open)).find(({ id }) => id === entry?.id)).toMatchObject({
    state: 'claimed',
    claim: { taskId: task.id },
  });

  await sh(open, task, 'echo kept >file');
  await open.services.checkpoints.create(task.id, { name: 'one' }, call);
  await sh(open, task, 'echo lost >file');
  await open.services.checkpoints.restore(task.id, 'one', {}, call);
  expect(await sh(open, task, 'cat file')).toBe('kept\n');
  const { removed } = (await open.services.tasks.delete(task.id, {}, call)).receipt;
  expect(removed).toMatchObject({ containers: 1, volumes: 2 });
  expect((await open.services.ledger.verify()).ok).toBe(true);
});

test('a ready sandbox takes no command before it is claimed', async () => {
  const open = await openWith(1);
  await start(open);
  const [entry] = await pooled(open);
  const handle = await ports.runtime.find(entry?.ref ?? '');
  const request = {
    executionId: ports.ids.next('execution'),
    token: 1_000_000,
    command: { kind: 'argv', argv: ['true'] },
    cwd: '/',
    env: {},
    onStdout: () => undefined,
    onStderr: () => undefined,
  } as const;
  await expect(handle?.exec(request)).rejects.toMatchObject({ code: 'OCT_STALE_FENCING_TOKEN' });
});

test('the pool is refilled after a claim, and drained when its process ends', async () => {
  const open = await openWith(2);
  await start(open);
  expect(await states(open)).toEqual(['ready', 'ready']);
  const task = await create(open);
  await sh(open, task, 'true');
  await until(async () => (await states(open)).filter((state) => state === 'ready').length === 2);
  await open.close();
  const after = await openWith(0);
  expect(await states(after)).toEqual(['claimed']);
  expect(await sh(after, task, 'echo still here')).toBe('still here\n');
  await after.services.tasks.delete(task.id, {}, call);
  expect(await pooled(after)).toEqual([]);
  expect(await ports.runtime.list({ homeId: open.homeId })).toEqual([]);
  const volumes = await ports.runtime.volumes.list({ 'io.opencode-tools.home': open.homeId });
  expect(volumes.filter(({ name }) => name.startsWith('oct-pool-'))).toEqual([]);
});

test('of many tasks in two processes that want one sandbox exactly one has it, and all get one', async () => {
  const first = await openWith(1);
  await start(first);
  const [entry] = await pooled(first);
  const second = await openWith(0);
  const tasks = await Promise.all(Array.from({ length: 4 }, () => create(first)));
  const outputs = await Promise.all(tasks.map((task, index) => sh(index % 2 === 0 ? first : second, task, 'pwd')));
  expect(outputs).toEqual(Array.from({ length: 4 }, () => '/workspace\n'));
  const refs = await Promise.all(tasks.map(async ({ id }) => (await ports.tasks.findSandbox(id))?.ref));
  expect(new Set(refs).size).toBe(4);
  expect(refs.filter((ref) => ref === entry?.ref)).toHaveLength(1);
});

test('a sandbox that another process keeps ready can be taken, and its owner lets go of it', async () => {
  const owner = await openWith(1);
  await start(owner);
  const [entry] = await pooled(owner);
  const other = await openWith(0);
  const task = await create(other);
  expect(await sh(other, task, 'echo mine')).toBe('mine\n');
  expect((await ports.tasks.findSandbox(task.id))?.ref).toBe(entry?.ref);
  await owner.services.housekeeper.turn();
  await until(async () => (await states(owner)).includes('ready'));
  await owner.close();
  expect(await sh(other, task, 'echo still mine')).toBe('still mine\n');
});

test('what a sandbox begins with is part of what it can be taken for', async () => {
  const open = await openWith(2);
  const base = await create(open);
  await sh(open, base, 'seq 50 | while read n; do echo $n >f$n; done; echo dot >/home/agent/dot');
  await open.services.checkpoints.create(base.id, { name: 'base' }, call);
  await start(open);
  const fork = async (title: string): Promise<Task> =>
    open.services.tasks.fork(base.id, { title, checkpoint: 'base' }, call);
  const look = 'ls /workspace | wc -l; cat f50 /home/agent/dot';
  expect(await sh(open, await fork('cold'), look)).toBe('50\n50\ndot\n');
  await until(
    async () => new Set((await pooled(open)).filter(({ state }) => state === 'ready').map(({ key }) => key)).size === 2,
  );
  const names = (await pooled(open)).map(({ ref }) => ref);
  const warm = await fork('warm');
  expect(await sh(open, warm, look)).toBe('50\n50\ndot\n');
  expect(names).toContain((await ports.tasks.findSandbox(warm.id))?.ref);

  const empty = await create(open);
  expect(await sh(open, empty, 'ls -A /workspace /home/agent | wc -l')).toBe('3\n');
  expect(names).toContain((await ports.tasks.findSandbox(empty.id))?.ref);
  const other = await create(open, { limits: { pids: 77 } });
  await sh(open, other, 'true');
  expect(JSON.parse(await home.docker('inspect', (await ports.tasks.findSandbox(other.id))?.ref ?? ''))).toMatchObject([
    { HostConfig: { PidsLimit: 77 } },
  ]);
});

test('a ready sandbox that was stopped or removed behind our back is never handed to a command', async () => {
  const open = await openWith(1);
  await start(open);
  const [entry] = await pooled(open);
  await home.docker('rm', '-f', entry?.ref ?? '');
  const task = await create(open);
  expect(await sh(open, task, 'echo fine')).toBe('fine\n');
  const row = await ports.tasks.findSandbox(task.id);
  expect(row).toMatchObject({ state: 'running' });
  expect(row?.ref).not.toBe(entry?.ref);
  expect((await open.services.ledger.verify()).ok).toBe(true);
  await open.services.housekeeper.turn();
  await until(async () => (await states(open)).includes('ready'));
});
