import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Receipt, Task } from '@opencode-tools/core';
import { type TestEngine, openTestEngine, randomFrom, testSeed } from '@opencode-tools/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { homeObjects, removeCheckpoints } from './home-objects.ts';
import { type Cli, finish, openCli } from './run-bin.ts';

const soak = process.env['OPENCODE_TOOLS_SOAK'] === '1';
const seed = testSeed();
/** Each kills every one of the five verbs once. */
const rounds = soak ? 40 : 1;

let engine: TestEngine;
let cli: Cli;
/** How long each verb took when it was not killed in time, in milliseconds. */
const durations = new Map<string, number>();

beforeAll(async () => {
  engine = await openTestEngine();
  cli = await openCli({ OPENCODE_TOOLS_REAPER_GRACE: '0ms' });
  await succeed(['list-tasks']);
});
afterAll(async () => {
  await removeCheckpoints(engine, cli);
  await cli[Symbol.asyncDispose]();
  await engine.close();
});

test.each(Array.from({ length: rounds }, (_none, index) => index))(
  `a task whose every verb is killed at a random instant is stopped, resumed and deleted, round %i (seed ${seed})`,
  async (round) => {
    const random = randomFrom(seed + round);
    const title = `Killed in round ${round}`;
    const create = ['create-task', title, '--image', engine.imageId];
    await killWithin(create, random);
    await whole();
    if ((await tasksOf(title)).length === 0) await succeed(create);
    const [task, ...others] = await tasksOf(title);
    expect(others).toEqual([]);
    const id = task?.id ?? '';

    await killWithin(['exec', id, '--', 'sh', '-c', 'echo new >state'], random);
    expect(['', 'new\n']).toContain(await takenOver(id, 'old'));
    await succeed(['checkpoint', id, '--name', 'first']);

    await killWithin(['checkpoint', id, '--name', 'second'], random);
    await whole();
    await succeed(['stop', id]);
    expect(await takenOver(id, 'now')).toBe('old\n');

    await killWithin(['restore-checkpoint', id, 'first'], random);
    expect(['old\n', 'now\n']).toContain(await takenOver(id, 'mine'));

    await killWithin(['cleanup-task', id], random);
    await whole();
    const { receipt } = await cli.json<{ receipt: Receipt }>(['cleanup-task', id, '--force']);
    expect(receipt.taskId).toBe(id);
    makeOld();
    await cli.json(['doctor', '--reap']);
    expect((await homeObjects(engine, cli)).ofTasks).toEqual([]);
  },
);

/** Starts a verb and kills it at a random instant of the time that it takes; it may have ended before. */
async function killWithin(argv: readonly string[], random: () => number): Promise<void> {
  const [verb = ''] = argv;
  const child = cli.start(argv);
  const startedAt = performance.now();
  const timer = setTimeout(() => child.kill('SIGKILL'), random() * (durations.get(verb) ?? 2_500));
  const { code, stderr } = await finish(child);
  clearTimeout(timer);
  if (child.signalCode === 'SIGKILL') return;
  expect({ code, stderr }).toMatchObject({ code: 0 });
  durations.set(verb, performance.now() - startedAt);
}

/** Another agent takes the task over, finds the file as it is, writes it anew, and leaves. Returns what it found. */
async function takenOver(id: string, text: string): Promise<string> {
  await whole();
  const { session } = await cli.json<{ session: { id: string } }>(['resume-task', id, '--agent', 'next', '--takeover']);
  const script = `cat state 2>/dev/null; echo ${text} >state`;
  const ran = await cli.run(['exec', id, '--script', script], { env: { OPENCODE_TOOLS_SESSION: session.id } });
  expect(ran).toMatchObject({ code: 0 });
  await succeed(['detach', session.id]);
  return ran.stdout;
}

/** The registry is whole, and so are all chains. */
async function whole(): Promise<void> {
  expect(await cli.run(['--json', 'db', 'verify'])).toMatchObject({ code: 0 });
}

async function tasksOf(title: string): Promise<readonly Task[]> {
  const { tasks } = await cli.json<{ tasks: readonly Task[] }>(['list-tasks', '--limit', '500']);
  return tasks.filter((task) => task.title === title);
}

async function succeed(argv: readonly string[]): Promise<void> {
  const { code, stderr } = await cli.run(argv);
  if (code !== 0) throw new Error(`${argv.join(' ')} ended with ${code}: ${stderr}`);
}

/** The reaper trusts no registry that was made just now. */
function makeOld(): void {
  const database = new DatabaseSync(join(cli.home, 'registry.db'));
  database.exec("pragma busy_timeout = 5000; update meta set created_at = '2026-01-01T00:00:00.000Z'");
  database.close();
}
