import * as fs from 'node:fs';
import { join } from 'node:path';
import { type PostgresServer, startPostgres } from '@opencode-tools/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { type RegistryPlace, latestSchemaVersion, readHomeFile } from '../src/index.ts';
import {
  acquire,
  chains,
  contents,
  fillStore,
  freshSchema,
  homeIn,
  maintenanceOf,
  openAt,
  urlFrom,
} from './administration.ts';
import { memoryDirectory } from './in-memory.ts';
import { temporaryDirectory } from './open-sqlite-registry.ts';
import { type ChildScript, bundleChild, startFile } from './start-child.ts';

/** Each test starts a process per step, on a machine that may be busy. */
vi.setConfig({ testTimeout: 300_000 });

/** Every step begins with homes that are flushed: in memory that costs a fraction. */
vi.stubEnv('TMPDIR', memoryDirectory());

let server: PostgresServer;
let script: ChildScript;
beforeAll(async () => {
  script = await bundleChild('crash-child.ts');
  server = await startPostgres();
});
afterAll(async () => {
  script.remove();
  await server.stop();
});

const sqlite = { engine: 'sqlite' } as const;
let temporary: ReturnType<typeof temporaryDirectory>;
let directory: string;
let postgres: RegistryPlace & { readonly engine: 'postgres' };
beforeEach(async () => {
  temporary = temporaryDirectory();
  directory = homeIn(temporary.path);
  postgres = { engine: 'postgres', url: await freshSchema(server.url), urlFrom };
});
afterEach(() => temporary.remove());

type Told = Awaited<ReturnType<typeof fill>>;

async function fill(place: RegistryPlace) {
  const store = await openAt(directory, place);
  const tasks = await fillStore(store);
  const told = { tasks, contents: await contents(store), chains: await chains(store) };
  await store.close();
  return told;
}

/** Everything is there, as it was or as the verb left it; nothing is stuck; tokens go up; the files agree. */
async function expectWhole(place: RegistryPlace, before: Told): Promise<void> {
  const store = await openAt(directory, place);
  expect(await contents(store)).toEqual(before.contents);
  const now = await chains(store);
  for (const [stream, hashes] of before.chains) expect(now.get(stream)?.slice(0, hashes.length)).toEqual(hashes);
  expect(await store.admin.verify()).toMatchObject({ ok: true, problems: [] });
  await store.memory.project();
  for (const { id } of before.tasks) {
    await store.memory.heal(id);
    expect((await store.memory.heal(id)).healed).toEqual([]);
  }
  await store.close();
}

async function run(verb: string, step: number | string, argument = ''): Promise<string> {
  const child = startFile(script.path, [verb, directory, postgres.url, String(step), argument]);
  const { signal } = await child.ended;
  if (child.lines.length === 0) expect(signal).toBe('SIGKILL');
  return child.lines.join('\n');
}

/** Kills the verb before each of its steps in turn, until it is done without having been killed. */
async function killAtEveryStep(
  verb: string,
  argument: string,
  afterKill: (step: number) => Promise<void>,
): Promise<number> {
  for (let step = 1; ; step += 1) {
    const said = await run(verb, step, argument);
    if (said !== '') {
      expect(said).toMatch(/^done /);
      return step - 1;
    }
    await afterKill(step);
  }
}

const backupsAreWhole = async (place: RegistryPlace) => {
  const maintenance = await maintenanceOf(directory, place);
  for (const { file } of await maintenance.listBackups()) {
    expect(await maintenance.restore({ file, dryRun: true })).toMatchObject({ dryRun: true });
  }
};

test.each(['sqlite', 'postgres'] as const)('a backup that is killed leaves no half copy: %s', async (engine) => {
  const place = engine === 'sqlite' ? sqlite : postgres;
  const before = await fill(place);
  const kills = await killAtEveryStep('backup', engine === 'sqlite' ? '' : 'from-postgres', () =>
    backupsAreWhole(place),
  );
  expect(kills).toBeGreaterThanOrEqual(5);
  await backupsAreWhole(place);
  await expectWhole(place, before);
  const left = fs.readdirSync(join(directory, 'backups')).filter((name) => name.startsWith('.'));
  expect(left).toEqual([]);
});

test.each(['sqlite', 'postgres'] as const)('a change of schema that is killed is old or new: %s', async (engine) => {
  const place = engine === 'sqlite' ? sqlite : postgres;
  const argument = engine === 'sqlite' ? '' : 'from-postgres';
  const before = await fill(place);
  const maintenance = await maintenanceOf(directory, place);
  const schema = async () => (await maintenance.status()).schemaVersion;
  await killAtEveryStep('rollback', argument, async () => expect(await schema()).toBe(latestSchemaVersion));
  expect(await schema()).toBe(1);
  await killAtEveryStep('migrate', argument, async () => expect(await schema()).toBe(1));
  expect(await schema()).toBe(latestSchemaVersion);
  await expectWhole(place, before);
});

test.each(['sqlite', 'postgres'] as const)(
  'a restore that is killed is old or new: %s',
  async (engine) => {
    const place = engine === 'sqlite' ? sqlite : postgres;
    const before = await fill(place);
    const maintenance = await maintenanceOf(directory, place);
    await maintenance.backup({ reason: 'wanted' });
    const store = await openAt(directory, place);
    const { lease } = await acquire(store, before.tasks[0] as never);
    await store.close();
    const argument = engine === 'sqlite' ? '' : 'from-postgres';
    const kills = await killAtEveryStep('restore', argument, async () => {
      expect((await maintenance.status()).epoch).toBe(1);
      await expectWhole(place, before);
    });
    expect(kills).toBeGreaterThanOrEqual(7);
    expect((await maintenance.status()).epoch).toBe(2);
    await expectWhole(place, before);
    const again = await openAt(directory, place);
    expect((await acquire(again, before.tasks[0] as never)).lease.token).toBeGreaterThan(lease.token + 2 ** 20 - 1);
    await again.close();
  },
  120_000,
);

test('a rebuild that is killed can be done again', async () => {
  const before = await fill(sqlite);
  for (const name of fs.readdirSync(directory)) if (name.startsWith('registry')) fs.rmSync(join(directory, name));
  fs.writeFileSync(join(directory, 'registry.db'), 'no database '.repeat(1_000));
  const damaged = fs.readFileSync(join(directory, 'registry.db'), 'utf8');
  await killAtEveryStep('rebuild', '', async () => {
    expect(fs.readFileSync(join(directory, 'registry.db'), 'utf8')).toBe(damaged);
    await expect(openAt(directory, sqlite)).rejects.toMatchObject({ code: 'OCT_STATE_CORRUPT' });
  });
  const kept = fs.readdirSync(join(directory, 'backups')).filter((name) => name.endsWith('-unreadable.db'));
  expect(kept.map((name) => fs.readFileSync(join(directory, 'backups', name), 'utf8'))).toContain(damaged);
  await expectWhole(sqlite, before);
});

const moveSteps = ['prepare', 'copy', 'freeze', 'rest', 'verify', 'epoch', 'switch', 'retire'];

const moveStepsToFile = moveSteps.toSpliced(4, 0, 'indexes').toSpliced(-1, 0, 'point');

test.each(['', 'from-postgres'])(
  'a move that is killed anywhere is gone on with, and loses nothing: %s',
  async (argument) => {
    const [from, to] = argument === '' ? [sqlite, postgres] : [postgres, sqlite];
    const before = await fill(from);
    const isThere = () => (readHomeFile(directory)?.database === null ? 'sqlite' : 'postgres');
    for (const step of argument === '' ? moveSteps : moveStepsToFile) {
      expect(await run('move', `move: ${step}`, argument)).toBe('');
      expect(isThere()).toBe(step === 'retire' ? to.engine : from.engine);
      const store = await openAt(directory, isThere() === from.engine ? from : to);
      expect(await contents(store)).toEqual(before.contents);
      expect(await store.admin.verify()).toMatchObject({ ok: true });
      await store.close();
    }
    expect(await run('move', 0, argument)).toMatch(/^done /);
    await expectWhole(to, before);
  },
  120_000,
);

test('a move that was killed can be given up, and begun anew later', async () => {
  const before = await fill(sqlite);
  const steps: string[] = [];
  for (let step = 1; !steps.includes('moving'); step += 1) {
    await run('move', step);
    const { movingTo } = await (await maintenanceOf(directory, sqlite)).status();
    if (movingTo !== null) steps.push('moving');
  }
  const store = await openAt(directory, sqlite);
  await expect(acquire(store, before.tasks[0] as never)).rejects.toMatchObject({ code: 'OCT_STORE_READ_ONLY' });
  const maintenance = await maintenanceOf(directory, sqlite);
  await maintenance.abandonMove();
  await acquire(store, before.tasks[0] as never);
  await store.close();
  expect(await maintenance.move({ to: postgres })).toMatchObject({ resumed: true });
  await expectWhole(postgres, before);
});
