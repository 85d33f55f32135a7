import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { OpenHome, Operation, SessionId, TaskId } from '@opencode-tools/core';
import { describeTree, testSeed, until } from '@opencode-tools/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type EnginelessHome, callBy, createEnginelessHome } from './support/home-without-engine.ts';

const child = fileURLToPath(new URL('support/work-child.ts', import.meta.url));
/** Every step in a soak; otherwise some, by the seed. */
const stride = process.env['OPENCODE_TOOLS_SOAK'] === '1' ? 1 : 7;
const seed = testSeed();
const call = callBy('after');

console.info(`crash tests of apply in a home: OPENCODE_TOOLS_SEED=${seed}`);

let home: EnginelessHome;
let scratch: string;
let task: TaskId;
let session: SessionId;

function plant(root: string): void {
  for (const directory of ['src', 'gone']) fs.mkdirSync(join(root, directory), { recursive: true });
  for (const name of ['src/a', 'src/b', 'gone/c', 'stays']) fs.writeFileSync(join(root, name), `${name}\n`);
  fs.symlinkSync('stays', join(root, 'link'));
  if (process.getuid?.() === 0) fs.chownSync(root, 4_321, 5_432);
}

function change(root: string): void {
  fs.writeFileSync(join(root, 'src/a'), 'theirs\n');
  for (const name of ['gone', 'link']) fs.rmSync(join(root, name), { recursive: true });
  fs.symlinkSync('src', join(root, 'link'));
  fs.mkdirSync(join(root, 'new/deep'), { recursive: true });
  fs.writeFileSync(join(root, 'new/deep/d'), 'd\n');
}

beforeAll(async () => {
  home = await createEnginelessHome();
  scratch = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'oct-apply-crash-')));
  const { checkpoints, sessions } = home.open.services;
  const source = fresh('source');
  const bind = await home.create({ title: 'changes', workspace: { kind: 'bind', path: source } });
  const volume = { title: 'brings out', workspace: { kind: 'directory', path: source } } as const;
  task = (await home.create({ ...volume, leaseMode: 'exclusive' })).id;
  change(source);
  await checkpoints.create(bind.id, { name: 'changed' }, call);
  const { stream } = await checkpoints.export(bind.id, 'changed', {}, call);
  await checkpoints.import(task, stream, { name: 'changed' }, call);
  // Holds the task all the time, so that nobody else gets its lease.
  session = (await sessions.attach(task, { agent: 'holder', ttlMs: 3_600_000 }, call)).session.id;
});
afterAll(async () => {
  await home.remove();
  fs.rmSync(scratch, { recursive: true, force: true });
});

function fresh(name: string): string {
  const root = join(scratch, name);
  fs.mkdirSync(root);
  plant(root);
  return root;
}

function start(directory: string, verb: string, step: number, signal = 'SIGKILL'): ChildProcess {
  const argv = ['--conditions=@opencode-tools/source', child, home.open.directory, task, session, directory];
  return spawn(process.execPath, [...argv, verb, String(step), signal], { stdio: ['ignore', 'pipe', 'inherit'] });
}

/** @returns how many steps there were, or undefined when it was killed before its end */
async function run(directory: string, verb: string, step = 0): Promise<number | undefined> {
  const running = start(directory, verb, step);
  const said = text(running.stdout as NonNullable<typeof running.stdout>);
  const [code, signal] = (await once(running, 'exit')) as [number | null, string | null];
  if (signal === 'SIGKILL') return undefined;
  expect(code).toBe(0);
  return Number(await said);
}

const shapeOf = (directory: string): readonly string[] =>
  describeTree(directory).map((line) => line.replace(/ \d+:\d+ \d+/, ''));

/** Opens the home as the next command would, without any verb. */
async function openNext(look: (open: OpenHome) => Promise<void>): Promise<void> {
  const open = await home.openAgain();
  try {
    await look(open);
  } finally {
    await open.close();
  }
}

/** Of the first change of one directory, in order. */
async function recordsOf(directory: string): Promise<readonly string[]> {
  const all = await home.open.services.ledger.history(task, { limit: 10_000 });
  const records = all.toSorted((a, b) => a.seq - b.seq).filter(({ type }) => type.startsWith('work.'));
  for (const { operationId } of records) {
    const operation = operationId === null ? undefined : await home.ports.tasks.findOperation(operationId);
    if (operation?.intent['directory'] !== directory) continue;
    return records.filter((record) => record.operationId === operationId).map(({ type }) => type);
  }
  return [];
}

async function openWork(): Promise<readonly Operation[]> {
  return (await home.ports.tasks.listOpenOperations(task)).filter(({ kind }) => kind === 'work');
}

/** Nothing waits, nothing is open, and the directory is in the one state that the ledger tells. */
async function expectSettled(
  directory: string,
  states: { readonly old: readonly string[]; readonly new: readonly string[] },
) {
  const types = await recordsOf(directory);
  expect(await openWork()).toEqual([]);
  expect(shapeOf(directory)).toEqual(types.includes('work.completed') ? states.new : states.old);
  const ends = types.filter((type) => type === 'work.completed' || type === 'work.interrupted');
  expect(ends).toHaveLength(types.includes('work.requested') ? 1 : 0);
  return types;
}

test(`after a kill at any step the next process that opens the home finds the directory old or new, and the ledger says which (seed ${seed})`, async () => {
  const old = shapeOf(fresh('old'));
  const counted = fresh('counted');
  const steps = (await run(counted, 'apply')) ?? 0;
  const states = { old, new: shapeOf(counted) };
  expect(steps).toBeGreaterThan(30);
  const seen = new Set<string>();
  for (let step = 1 + (seed % stride); step <= steps; step += stride) {
    const directory = fresh(`killed-${step}`);
    // A lease is renewed as often as the work takes long, so the last steps are not there each time.
    const ended = await run(directory, 'apply', step);
    if (ended !== undefined && ended < step && step > steps - stride) break;
    expect(ended).toBeUndefined();
    // Whoever puts it right may be killed as well.
    await run(directory, 'open', 1 + ((seed + step * 5) % 14));
    await openNext(async () => undefined);
    const types = await expectSettled(directory, states);
    for (const type of types) seen.add(type);
    await openNext(async (open) => {
      expect((await open.services.doctor.run(call)).recovered).toEqual([]);
    });
    expect(await recordsOf(directory)).toEqual(types);
    expect(fs.readdirSync(join(home.open.directory, 'content', 'works'))).toEqual([]);
    const again = { checkpoint: 'changed', sessionId: session, directory };
    expect(await home.open.services.work.apply(task, again, call)).toMatchObject({ applied: true });
    expect(shapeOf(directory)).toEqual(states.new);
  }
  expect([...seen]).toEqual(expect.arrayContaining(['work.adopted', 'work.interrupted', 'work.completed']));
  expect((await home.open.services.ledger.verify(task)).ok).toBe(true);
}, 600_000);

/** Breaks a change off with most of its steps done. */
async function brokenOff(name: string): Promise<string> {
  const steps = (await run(fresh(`${name}-counted`), 'apply')) ?? 0;
  for (let step = steps; step > 0; step -= 1) {
    const directory = fresh(`${name}-${step}`);
    await run(directory, 'apply', step);
    const isHalf = fs.readdirSync(directory).some((each) => each.startsWith('.opencode-tools-apply-'));
    if (isHalf && fs.existsSync(join(directory, 'new/deep/d'))) return directory;
    await openNext(async () => undefined);
  }
  throw new Error('No step leaves a directory half changed');
}

test('of many processes that find a broken change at once, one settles it', async () => {
  const directory = await brokenOff('crowd');
  await Promise.all(Array.from({ length: 4 }, () => run(directory, 'open')));
  const types = await recordsOf(directory);
  expect(types.filter((type) => type === 'work.adopted')).toHaveLength(1);
  expect(types.filter((type) => type === 'work.completed' || type === 'work.interrupted')).toHaveLength(1);
  expect(await openWork()).toEqual([]);
}, 120_000);

test('the verb that is next used on the task under a lease finds it settled by the same rule', async () => {
  const directory = await brokenOff('verb');
  const { sessions } = home.open.services;
  const { session: next, recovered } = await sessions.attach(task, { agent: 'next', takeover: true }, call);
  expect(recovered).toMatchObject([{ kind: 'work' }]);
  session = next.id;
  expect(fs.readdirSync(directory).filter((each) => each.startsWith('.opencode-tools-'))).toEqual([]);
  expect(await openWork()).toEqual([]);
}, 120_000);

test('a change that a living process is at is left to it', async () => {
  const directory = fresh('alive');
  const running = start(directory, 'apply', 30, 'SIGSTOP');
  const ended = once(running, 'exit');
  await until(() => fs.readFileSync(`/proc/${running.pid}/stat`, 'utf8').includes(') T '));
  const before = await recordsOf(directory);
  await openNext(async (open) => {
    await open.services.doctor.run(call);
  });
  expect(await recordsOf(directory)).toEqual(before);
  expect(await openWork()).toHaveLength(1);
  running.kill('SIGCONT');
  expect((await ended)[0]).toBe(0);
  expect(await recordsOf(directory)).toEqual(['work.requested', 'work.completed']);
}, 120_000);
