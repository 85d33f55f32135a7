import { execFileSync, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { testSeed } from '@opencode-tools/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type EnginelessHome, callBy, createEnginelessHome } from './support/home-without-engine.ts';

const child = fileURLToPath(new URL('support/work-child.ts', import.meta.url));
/** Every step in a soak; otherwise some, by the seed. */
const stride = process.env['OPENCODE_TOOLS_SOAK'] === '1' ? 1 : 4;
const seed = testSeed();
const call = callBy('after');
const author = 'Ada <ada@example.org>';

console.info(`crash tests of commit in a home: OPENCODE_TOOLS_SEED=${seed}`);

let home: EnginelessHome;
let scratch: string;

beforeAll(async () => {
  home = await createEnginelessHome();
  scratch = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'oct-commit-crash-')));
  if (process.getuid?.() === 0) fs.chmodSync(scratch, 0o755);
});
afterAll(async () => {
  await home.remove();
  fs.rmSync(scratch, { recursive: true, force: true });
});

function git(directory: string, ...args: readonly string[]): string {
  const settings = ['safe.directory=*', 'user.name=t', 'user.email=t@example.org'].flatMap((each) => ['-c', each]);
  return execFileSync('git', ['-C', directory, ...settings, ...args], { encoding: 'utf8', stdio: 'pipe' }).trim();
}

/** A bind task in a repository with one commit and a change. */
async function changed(name: string) {
  const directory = join(scratch, name);
  fs.mkdirSync(directory);
  git(scratch, 'init', '-q', '-b', 'main', directory);
  fs.writeFileSync(join(directory, 'file'), 'first\n');
  git(directory, 'add', 'file');
  git(directory, 'commit', '-qm', 'first');
  fs.writeFileSync(join(directory, 'file'), 'second\n');
  fs.writeFileSync(join(directory, 'new'), 'new\n');
  if (process.getuid?.() === 0) execFileSync('chown', ['-R', '4321:5432', directory]);
  const { id } = await home.create({ title: name, workspace: { kind: 'bind', path: directory } });
  return { directory, id };
}

/** @returns how many steps there were, or undefined when it was killed before its end */
async function run(task: string, directory: string, verb: string, step = 0): Promise<number | undefined> {
  const { session } = await home.open.services.sessions.attach(
    task as never,
    { agent: 'holder', ttlMs: 3_600_000 },
    call,
  );
  const argv = ['--conditions=@opencode-tools/source', child, home.open.directory, task, session.id, directory];
  const ended = spawnSync(process.execPath, [...argv, verb, String(step), 'SIGKILL'], { encoding: 'utf8' });
  await home.open.services.sessions.detach(session.id, {}, call);
  if (ended.signal === 'SIGKILL') return undefined;
  expect(ended).toMatchObject({ status: 0, stderr: '' });
  return Number(ended.stdout);
}

const recordsOf = async (task: string) =>
  (await home.open.services.ledger.history(task as never, { limit: 1_000 }))
    .toSorted((a, b) => a.seq - b.seq)
    .map(({ type }) => type)
    .filter((type) => type.startsWith('work.'));

test(`after a kill at any step the next process finds the commit made or not, and the ledger says which (seed ${seed})`, async () => {
  const whole = await changed('counted');
  const steps = (await run(whole.id, whole.directory, 'commit')) ?? 0;
  expect(steps).toBeGreaterThan(6);
  expect(await recordsOf(whole.id)).toEqual(['work.requested', 'work.completed']);
  const seen = new Set<string>();
  for (let step = 1 + (seed % stride); step <= steps; step += stride) {
    const { directory, id } = await changed(`killed-${step}`);
    // A lease is renewed as often as the work takes long, so the last steps are not there each time.
    const ended = await run(id, directory, 'commit', step);
    if (ended !== undefined && ended < step && step > steps - stride) break;
    expect(ended).toBeUndefined();
    await (await home.openAgain()).close();
    const types = await recordsOf(id);
    for (const type of types) seen.add(type);
    const made = git(directory, 'log', '--format=%s').split('\n').length === 2;
    expect(types.includes('work.completed')).toBe(made);
    expect(git(directory, 'status', '--porcelain')).toBe(made ? '' : 'M file\n?? new');
    // What was noted of a commit that is recorded already goes with the next look.
    const next = await home.openAgain();
    expect((await next.services.doctor.run(call)).recovered).toEqual([]);
    await next.close();
    expect(fs.readdirSync(join(home.open.directory, 'content', 'works'))).toEqual([]);
    const again = home.open.services.work.commit(id, { message: 'Once more', author }, call);
    if (made) await expect(again).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
    else expect(await again).toMatchObject({ committed: true });
    expect(git(directory, 'status', '--porcelain')).toBe('');
  }
  expect([...seen]).toEqual(expect.arrayContaining(['work.interrupted', 'work.completed']));
}, 600_000);

test('of two processes that commit at once one does, and the other has nothing to', async () => {
  const { id, directory } = await changed('at once');
  const other = await home.openAgain();
  const both = [home.open, other].map(({ services }) => services.work.commit(id, { message: 'x', author }, call));
  const ends = await Promise.allSettled(both);
  expect(ends.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  expect(git(directory, 'log', '--format=%s')).toBe('x\nfirst');
  await other.close();
});

test('a volume workspace is not committed so, and nothing is without a message', async () => {
  const volume = await home.create({ title: 'volume', workspace: { kind: 'directory', path: scratch } });
  const refused = { code: 'OCT_INVALID_ARGUMENT' };
  const { work } = home.open.services;
  await expect(work.commit(volume.id, { message: 'x', author }, call)).rejects.toMatchObject(refused);
  const { id } = await changed('empty');
  await expect(work.commit(id, { message: ' \n', author }, call)).rejects.toMatchObject(refused);
});
