import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Checkpoint, Task, TaskId } from '@opencode-tools/core';
import { expect, test } from 'vitest';
import { tester as call, useTestHome } from './support/test-home.ts';

const child = fileURLToPath(new URL('support/engine-verb-child.ts', import.meta.url));
const soak = process.env['OPENCODE_TOOLS_SOAK'] === '1';
const rounds = soak ? 20 : 3;
/** How much later the second begins than the first, round by round. */
const stepMs = soak ? 20 : 100;
const bed = useTestHome();

interface End {
  readonly code: string;
  readonly result: string | null;
}

/** A process that has opened the home and waits. */
async function begin(task: TaskId, verb: string, what: string) {
  const argv = ['--conditions=@opencode-tools/source', child, bed.home.directory, task, verb, what];
  const running = spawn(process.execPath, argv, { stdio: ['pipe', 'pipe', 'inherit'] });
  const said: string[] = [];
  const lines = createInterface(running.stdout);
  lines.on('line', (line) => said.push(line));
  const closed = Promise.all([once(running, 'exit'), once(lines, 'close')]);
  while (said.length === 0 && running.exitCode === null) await Promise.race([once(lines, 'line'), closed]);
  return async (): Promise<End> => {
    running.stdin.write('go\n');
    await closed;
    return JSON.parse(said[1] ?? '{}') as End;
  };
}

async function sh(task: TaskId, script: string): Promise<string> {
  const { executions, sessions } = bed.open.services;
  const { session } = await sessions.attach(task, { agent: 'after', takeover: true }, call);
  const run = await executions.run(task, { command: { kind: 'script', script }, sessionId: session.id }, call);
  await sessions.detach(session.id, {}, call);
  return run.stdout.text;
}

/** A task whose workspace is a volume and is at `second` now, with a checkpoint of the time when it was at `first`. */
async function changedTask(): Promise<readonly [Task, Checkpoint]> {
  const { checkpoints, tasks } = bed.open.services;
  const task = await tasks.create({ title: 'changes', image: bed.home.image }, call);
  await sh(task.id, 'echo first >state; mkdir -p d; echo x >d/only-first');
  const first = await checkpoints.create(task.id, { name: 'first' }, call);
  await sh(task.id, 'echo second >state; rm -r d');
  await checkpoints.create(task.id, { name: 'second' }, call);
  await sh(task.id, 'echo third >state');
  return [task, first];
}

async function race(task: TaskId, one: string, other: string, round: number): Promise<readonly [End, End]> {
  const [first, second] = [await begin(task, one, 'first'), await begin(task, other, 'first')];
  const laterMs = (round - 1) * stepMs;
  return Promise.all([
    delay(Math.max(0, -laterMs)).then(() => first()),
    delay(Math.max(0, laterMs)).then(() => second()),
  ]);
}

const told = ['done', 'OCT_LEASE_HELD', 'OCT_LEASE_LOST', 'OCT_VERSION_CONFLICT', 'OCT_CHECKPOINT_NOT_FOUND'];

async function assertWhole(task: TaskId): Promise<void> {
  for (const { checkpoint, damage } of await bed.open.services.checkpoints.check(task))
    expect({ checkpoint: checkpoint.name, damage }).toEqual({ checkpoint: checkpoint.name, damage: [] });
}

test(
  'a checkpoint of a volume that one process restores while another deletes it is restored whole, or gone and nothing changed',
  { timeout: 600_000 },
  async () => {
    const { checkpoints, tasks } = bed.open.services;
    for (let round = 0; round < rounds; round += 1) {
      const [task, first] = await changedTask();
      const [restored, dropped] = await race(task.id, 'restore', 'drop', round);
      expect([...told, 'OCT_POLICY_DENIED']).toContain(restored.code);
      expect([...told, 'OCT_POLICY_DENIED']).toContain(dropped.code);
      expect([restored.code, dropped.code]).toContain('done');
      const state = await sh(task.id, 'cat state; ls d 2>/dev/null || true');
      expect(state).toBe(restored.code === 'done' ? 'first\nonly-first\n' : 'third\n');
      const left = (await checkpoints.list(task.id)).map(({ id }) => id);
      expect(left.includes(first.id)).toBe(dropped.code !== 'done');
      expect(left).toContain((await tasks.get(task.id)).headCheckpointId);
      await assertWhole(task.id);
      await tasks.delete(task.id, { force: true }, call);
      expect(await bed.home.objectsOf(task.id)).toEqual([]);
    }
  },
);

test.each([
  ['deletes', 'delete'],
  ['takes and deletes', 'seize'],
])(
  'a task that one process restores while another %s it is at the checkpoint, or deleted with all that it had',
  { timeout: 600_000 },
  async (_, verb) => {
    const { checkpoints, tasks } = bed.open.services;
    for (let round = 0; round < rounds; round += 1) {
      const [task] = await changedTask();
      const [restored, deleted] = await race(task.id, 'restore', verb, round);
      expect([...told, 'OCT_TASK_NOT_FOUND', 'OCT_SANDBOX_NOT_FOUND', 'OCT_CANCELLED']).toContain(restored.code);
      expect([...told, 'OCT_TASK_NOT_FOUND']).toContain(deleted.code);
      expect([restored.code, deleted.code]).toContain('done');
      if (deleted.code !== 'done') {
        expect(await sh(task.id, 'cat state')).toBe('first\n');
        await tasks.delete(task.id, { force: true }, call);
      }
      expect(await bed.home.objectsOf(task.id)).toEqual([]);
      await assertWhole(task.id);
      // What was there when it began is in one of the checkpoints, whoever saved it.
      const saved = await checkpoints.list(task.id);
      const states: string[] = [];
      for (const { id } of saved) {
        const fork = await tasks.fork(task.id, { checkpoint: id }, call);
        states.push(await sh(fork.id, 'cat state'));
        await tasks.delete(fork.id, { force: true }, call);
      }
      expect(states).toContain('third\n');
      const { task: back } = await tasks.recover(task.id, {}, call);
      expect(['third\n', 'first\n']).toContain(await sh(back.id, 'cat state'));
      await tasks.delete(back.id, { force: true }, call);
    }
  },
);

test.each([
  ['the checkpoint', 'drop'],
  ['the task', 'seize'],
])(
  'a fork that one process makes while another deletes %s has all of it, or is not made',
  { timeout: 600_000 },
  async (_, verb) => {
    const { tasks } = bed.open.services;
    for (let round = 0; round < rounds; round += 1) {
      const [task] = await changedTask();
      const [forked, deleted] = await race(task.id, 'fork', verb, round);
      expect(told).toContain(forked.code);
      expect(deleted.code).toBe('done');
      expect(forked.result).toBe(forked.code === 'done' ? 'first\n' : forked.result);
      const forks = (await tasks.list({})).items.filter(({ forkedFrom }) => forkedFrom?.taskId === task.id);
      expect(forks).toHaveLength(forked.code === 'done' ? 1 : 0);
      for (const { id } of forks) {
        expect(await sh(id, 'cat state d/only-first')).toBe('first\nx\n');
        await assertWhole(id);
        await tasks.delete(id, { force: true }, call);
      }
      if (verb === 'drop') await tasks.delete(task.id, { force: true }, call);
      expect(await bed.home.objectsOf(task.id)).toEqual([]);
    }
  },
);
