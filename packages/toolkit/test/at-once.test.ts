import { spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Task } from '@opencode-tools/core';
import { testSeed } from '@opencode-tools/testkit';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type EnginelessHome, callBy, createEnginelessHome } from './support/home-without-engine.ts';

const child = fileURLToPath(new URL('support/verb-child.ts', import.meta.url));
const soak = process.env['OPENCODE_TOOLS_SOAK'] === '1';
const rounds = soak ? 20 : 3;
/** Every step of a recovery in a soak; otherwise some, by the seed. */
const stride = soak ? 1 : 3;
const seed = testSeed();
const call = callBy('ada');
console.info(`verbs at once: OPENCODE_TOOLS_SEED=${seed}`);

let home: EnginelessHome;
let base: string;
beforeEach(async () => {
  home = await createEnginelessHome();
  base = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'oct-at-once-')));
});
afterEach(async () => {
  await home.remove();
  fs.rmSync(base, { recursive: true, force: true });
});

async function taskIn(name: string): Promise<Task> {
  const path = join(base, name);
  fs.mkdirSync(path);
  fs.writeFileSync(join(path, 'file'), 'first\n');
  if (process.getuid?.() === 0) fs.chownSync(path, 4_321, 5_432);
  return home.create({ title: name, workspace: { kind: 'bind', path } });
}

interface End {
  readonly code: string;
  readonly result: string | null;
  readonly steps: number;
}

/** A process that has opened the home and waits. */
async function begin(task: Task, verb: string, what: string, step = 0) {
  const argv = ['--conditions=@opencode-tools/source', child, home.open.directory, task.id, verb, what, String(step)];
  const running = spawn(process.execPath, argv, { stdio: ['pipe', 'pipe', 'inherit'] });
  const said: string[] = [];
  const lines = createInterface(running.stdout);
  lines.on('line', (line) => said.push(line));
  const closed = Promise.all([once(running, 'exit'), once(lines, 'close')]);
  while (said.length === 0 && running.exitCode === null) await Promise.race([once(lines, 'line'), closed]);
  return {
    /** @returns undefined when it was killed */
    go: async (): Promise<End | undefined> => {
      running.stdin.write('go\n');
      const [[, signal]] = await closed;
      return signal === 'SIGKILL' ? undefined : (JSON.parse(said[1] ?? '{}') as End);
    },
  };
}

async function atOnce(...verbs: readonly (readonly [task: Task, verb: string, what: string])[]) {
  const ready = await Promise.all(verbs.map(([task, verb, what]) => begin(task, verb, what)));
  return Promise.all(ready.map((each) => each.go()));
}

const keptOf = async (task: Task) =>
  (await home.open.services.checkpoints.list(task.id)).filter(({ name }) => name.startsWith('kept: '));

/** What whoever comes second may be told: that another is at it, or was. */
const beaten = [
  'OCT_LEASE_HELD',
  'OCT_LEASE_LOST',
  'OCT_VERSION_CONFLICT',
  'OCT_INVALID_ARGUMENT',
  'OCT_TASK_NOT_FOUND',
];

test('of two processes that keep the same attempt at once both keep that one, once', async () => {
  const { attempts, ledger } = home.open.services;
  for (let round = 0; round < rounds; round += 1) {
    const task = await taskIn(`same-${round}`);
    const [kept, other] = (await attempts.start(task.id, { count: 2 }, call)) as [Task, Task];
    const ends = await atOnce([task, 'keep', kept.id], [task, 'keep', kept.id]);
    for (const end of ends) expect(['done', ...beaten]).toContain(end?.code);
    if ((await attempts.list(task.id)).length > 0) await attempts.keep(task.id, kept.id, {}, call);
    expect(await attempts.list(task.id)).toEqual([]);
    expect(await keptOf(task)).toHaveLength(1);
    expect(await ledger.history(task.id, { types: ['fork.kept'] })).toHaveLength(1);
    expect((await home.open.services.tasks.get(kept.id)).title).toBe(kept.title);
    await expect(home.open.services.tasks.get(other.id)).rejects.toMatchObject({ code: 'OCT_TASK_NOT_FOUND' });
  }
}, 600_000);

test('of two processes that keep different attempts at once one decides, and what it keeps is not deleted', async () => {
  const { attempts, tasks } = home.open.services;
  for (let round = 0; round < rounds; round += 1) {
    const task = await taskIn(`different-${round}`);
    const forks = (await attempts.start(task.id, { count: 2 }, call)) as [Task, Task];
    const ends = await atOnce([task, 'keep', forks[0].id], [task, 'keep', forks[1].id]);
    for (const end of ends) expect(['done', ...beaten]).toContain(end?.code);
    const [decision, ...more] = await keptOf(task);
    expect(more).toEqual([]);
    const kept = forks.find(({ id }) => decision?.reason?.includes(id)) as Task;
    const left = await attempts.list(task.id);
    if (left.length > 0) {
      const other = left.find(({ id }) => id !== kept.id);
      if (other !== undefined)
        await expect(attempts.keep(task.id, other.id, {}, call)).rejects.toMatchObject({
          code: 'OCT_INVALID_ARGUMENT',
          remedy: expect.stringContaining(kept.id) as string,
        });
      await attempts.keep(task.id, kept.id, {}, call);
    }
    expect(await attempts.list(task.id)).toEqual([]);
    expect((await tasks.get(kept.id)).title).toBe(kept.title);
    const gone = forks.filter(({ id }) => id !== kept.id).map(({ id }) => id);
    expect((await tasks.recoverable()).map(({ receipt }) => receipt.taskId)).toEqual(expect.arrayContaining(gone));
  }
}, 600_000);

test('a checkpoint that one process restores while another deletes it is restored whole, or gone and nothing changed', async () => {
  const { checkpoints, tasks } = home.open.services;
  const seen = new Set<string>();
  for (let round = 0; round < (soak ? rounds : 6); round += 1) {
    const task = await taskIn(`restored-${round}`);
    const file = join(base, `restored-${round}`, 'file');
    const { id } = await checkpoints.create(task.id, { name: 'first' }, call);
    fs.writeFileSync(file, 'second\n');
    await checkpoints.create(task.id, { name: 'second' }, call);
    const restoring = await begin(task, 'restore', 'first');
    const removing = await begin(task, 'delete', 'first');
    // The shorter of the two begins later and later.
    const pauseMs = round * 25;
    const [restored, removed] = await Promise.all([restoring.go(), delay(pauseMs).then(() => removing.go())]);
    const text = fs.readFileSync(file, 'utf8');
    const left = (await checkpoints.list(task.id)).map((each) => each.id).includes(id);
    seen.add(`${restored?.code} ${removed?.code}`);
    expect(text).toBe(restored?.code === 'done' ? 'first\n' : 'second\n');
    expect(left).toBe(removed?.code !== 'done');
    expect(restored?.code === 'done' || removed?.code === 'done').toBe(true);
    const { headCheckpointId } = await tasks.get(task.id);
    expect((await checkpoints.list(task.id)).map((each) => each.id)).toContain(headCheckpointId);
    for (const each of await checkpoints.check(task.id)) expect(each.damage).toEqual([]);
    await checkpoints.create(task.id, { name: 'usable' }, call);
  }
  if (soak) expect(seen.size).toBeGreaterThan(1);
}, 600_000);

test(`a recovery that is killed at any step has made its task or none, and with its key it is made once (seed ${seed})`, async () => {
  const { checkpoints, journal, ledger, tasks } = home.open.services;
  const lost = await taskIn('lost');
  await journal.addTodo(lost.id, { text: 'go on' }, call);
  await journal.decide(lost.id, { what: 'so', why: 'why' }, call);
  await checkpoints.create(lost.id, { name: 'last' }, call);
  await tasks.delete(lost.id, {}, call);
  const madeOf = async () =>
    (await tasks.list({})).items.filter(({ forkedFrom }) => forkedFrom?.taskId === lost.id).map(({ id }) => id);
  const counted = await (await begin(lost, 'recover', '-')).go();
  expect(counted?.code).toBe('done');
  const steps = counted?.steps ?? 0;
  expect(steps).toBeGreaterThan(stride);
  const seen = new Set<number>();
  // A key is free half a minute after its process died, so only one is waited for.
  const waitsFor = 1 + (seed % stride);
  // The task is made near the end.
  const isTried = (step: number): boolean => (step - waitsFor) % stride === 0 || step > steps - 8;
  for (let step = waitsFor; step <= steps; step += 1) {
    if (!isTried(step)) continue;
    const before = await madeOf();
    const madeNow = async () => (await madeOf()).filter((id) => !before.includes(id));
    const key = step === waitsFor ? `killed-${step}` : '-';
    // Files are written in a time of their own, so that the last steps need not come.
    if ((await (await begin(lost, 'recover', key, step)).go()) !== undefined) continue;
    const made = await madeNow();
    seen.add(made.length);
    let again = await (await begin(lost, 'recover', key)).go();
    for (; again?.code === 'OCT_VERSION_CONFLICT'; again = await (await begin(lost, 'recover', key)).go())
      expect(again.result).toContain('still under way');
    expect(again?.code).toBe('done');
    const id = again?.result as Task['id'];
    expect(new Set(await madeNow())).toEqual(new Set(key === '-' ? [...made, id] : [id]));
    for (const each of await madeNow()) {
      expect(await journal.todos(each)).toMatchObject([{ text: 'go on' }]);
      expect(await journal.decisions(each)).toMatchObject([{ what: 'so' }]);
      expect(await checkpoints.list(each)).toHaveLength(1);
      expect((await ledger.verify(each)).ok).toBe(true);
    }
  }
  expect([...seen].sort()).toEqual([0, 1]);
  expect((await home.open.store.verify()).problems).toEqual([]);
}, 1_200_000);

test(`a restore under a key that is killed at any step is done once (seed ${seed})`, async () => {
  const { checkpoints, ledger, sessions } = home.open.services;
  const changed = async (name: string): Promise<Task> => {
    const task = await taskIn(name);
    await checkpoints.create(task.id, { name: 'first' }, call);
    fs.writeFileSync(join(base, name, 'file'), 'second\n');
    return task;
  };
  const counted = await (await begin(await changed('counted'), 'restore-keyed', 'counted')).go();
  expect(counted?.code).toBe('done');
  const steps = counted?.steps ?? 0;
  const seen = new Set<boolean>();
  for (let step = 1 + (seed % stride); step <= steps; step += stride) {
    const name = `step-${step}`;
    const [file, since] = [join(base, name, 'file'), join(base, name, 'since')];
    const task = await changed(name);
    if ((await (await begin(task, 'restore-keyed', name, step)).go()) !== undefined) continue;
    // Whoever comes next settles what was left open, and works.
    const { session } = await sessions.attach(task.id, { agent: 'next', takeover: true }, call);
    await sessions.detach(session.id, {}, call);
    const wasDone = fs.readFileSync(file, 'utf8') === 'first\n';
    fs.writeFileSync(since, 'work since\n');
    const again = await (await begin(task, 'restore-keyed', name)).go();
    // A key without an operation is free half a minute later.
    if (again?.code === 'OCT_VERSION_CONFLICT') expect(wasDone).toBe(false);
    else {
      seen.add(wasDone);
      expect(again).toMatchObject({ code: 'done', result: expect.stringMatching(/^first Taken before /) as string });
      expect(fs.readFileSync(file, 'utf8')).toBe('first\n');
      expect(fs.existsSync(since)).toBe(wasDone);
      const types = ['restore.requested'] as const;
      expect(await ledger.history(task.id, { types })).toHaveLength(1);
    }
    for (const each of await checkpoints.check(task.id)) expect(each.damage).toEqual([]);
  }
  expect(seen).toContain(true);
  expect((await home.open.store.verify()).problems).toEqual([]);
}, 1_200_000);
