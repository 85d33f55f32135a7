import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { type PostgresServer, startPostgres } from '@opencode-tools/testkit';
import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type RegistryPlace, latestSchemaVersion, openPostgresStore } from '../src/index.ts';
import {
  acquire,
  chains,
  contents,
  fillStore,
  freshSchema,
  homeIn,
  maintenanceOf,
  openAt,
  openToOthers,
  urlFrom,
} from './administration.ts';
import { temporaryDirectory } from './open-sqlite-registry.ts';

let server: PostgresServer;
beforeAll(async () => {
  server = await startPostgres();
});
afterAll(() => server.stop());

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

const fill = async (place: RegistryPlace) => {
  const store = await openAt(directory, place);
  const tasks = await fillStore(store);
  const told = { tasks, contents: await contents(store), chains: await chains(store) };
  await store.close();
  return told;
};
const expectSame = async (place: RegistryPlace, before: Awaited<ReturnType<typeof fill>>) => {
  const store = await openAt(directory, place);
  expect(await contents(store)).toEqual(before.contents);
  const now = await chains(store);
  for (const [stream, hashes] of before.chains) expect(now.get(stream)?.slice(0, hashes.length)).toEqual(hashes);
  expect(await store.admin.verify()).toMatchObject({ ok: true, problems: [] });
  const { lease } = await acquire(store, before.tasks[0] as never);
  expect(lease.token).toBeGreaterThan(2 ** 20);
  await store.memory.project();
  for (const { id } of before.tasks) expect((await store.memory.heal(id)).healed).toEqual([]);
  await store.close();
};

describe('a registry on PostgreSQL', () => {
  test('names who is connected when its schema changes, and refuses who has it open', async () => {
    const { tasks } = await fill(postgres);
    const store = await openAt(directory, postgres);
    const maintenance = await maintenanceOf(directory, postgres);
    const others = [`opencode-tools 4242@elsewhere`, 'opencode-tools', 'psql'].map(
      (application_name) => new Client({ connectionString: postgres.url, application_name }),
    );
    await Promise.all(others.map((client) => client.connect()));
    const report = await maintenance.rollback({ to: latestSchemaVersion - 1 });
    expect(report.processes).toEqual([
      { pid: null, host: '127.0.0.1', program: 'opencode-tools' },
      { pid: 4242, host: 'elsewhere', program: 'opencode-tools' },
    ]);
    await Promise.all(others.map((client) => client.end()));
    const refused = { code: 'OCT_STORE_UNAVAILABLE', remedy: expect.stringContaining('db migrate') };
    await expect(acquire(store, tasks[0] as never)).rejects.toMatchObject(refused);
    await expect(store.housekeeping.listPooled()).rejects.toMatchObject(refused);
    for (let to = latestSchemaVersion - 2; to >= 1; to -= 1)
      expect(await maintenance.rollback({ to })).toMatchObject({ to });
    expect(await maintenance.migrate()).toMatchObject({ processes: [] });
    expect((await acquire(store, tasks[0] as never)).lease.state).toBe('held');
    await store.close();
  });

  test('that is taken is refused by the dry run of a move too, and a dry run back leaves no file', async () => {
    const before = await fill(sqlite);
    const maintenance = await maintenanceOf(directory, sqlite);
    expect(await maintenance.move({ to: postgres, dryRun: true })).toMatchObject({ dryRun: true, resumed: false });
    const other = homeIn(join(temporary.path, 'other'));
    await (await openPostgresStore({ homeDirectory: other, url: postgres.url, urlFrom })).close();
    await expect(maintenance.move({ to: postgres, dryRun: true })).rejects.toMatchObject({
      code: 'OCT_INVALID_ARGUMENT',
    });
    const there = await maintenanceOf(other, postgres);
    const files = fs.readdirSync(other).toSorted();
    expect(await there.move({ to: sqlite, dryRun: true })).toMatchObject({ dryRun: true, resumed: false });
    expect(fs.readdirSync(other).toSorted()).toEqual(
      [...new Set([...files, 'backups', 'maintenance.lock'])].toSorted(),
    );
    const store = await openAt(directory, sqlite);
    expect(await contents(store)).toEqual(before.contents);
    await store.close();
  });

  test('is saved as a file of lines, and restored under a store that is open', async () => {
    const before = await fill(postgres);
    const maintenance = await maintenanceOf(directory, postgres);
    const backup = await maintenance.backup();
    expect(backup.file).toMatch(/-manual\.jsonl$/);
    const store = await openAt(directory, postgres);
    const { lease } = await acquire(store, before.tasks[1] as never);
    expect(await maintenance.restore({ file: backup.file })).toMatchObject({ epoch: 2 });
    expect(await contents(store)).toEqual(before.contents);
    const next = await acquire(store, before.tasks[1] as never);
    expect(next.lease.token).toBeGreaterThan(lease.token + 2 ** 20 - 1);
    await store.close();
  });

  test('goes back to an older schema and forward again', async () => {
    const before = await fill(postgres);
    const maintenance = await maintenanceOf(directory, postgres);
    const back = await maintenance.rollback({ to: 1 });
    expect(back.backup?.reason).toBe('before-rollback');
    const store = await openAt(directory, postgres);
    expect(await contents(store)).toEqual(before.contents);
    await store.close();
    expect((await maintenance.listBackups()).map(({ reason }) => reason)).toEqual([
      'before-migrate',
      'before-rollback',
    ]);
  });

  test('is made again in an empty database from the files', async () => {
    const before = await fill(postgres);
    const empty = { ...postgres, url: await freshSchema(server.url) };
    const maintenance = await maintenanceOf(directory, empty);
    expect(await maintenance.rebuild()).toMatchObject({ tasks: 3, lost: [] });
    await expectSame(empty, before);
  });

  test('is restored from a backup of either engine', async () => {
    const before = await fill(sqlite);
    const backup = await (await maintenanceOf(directory, sqlite)).backup();
    const maintenance = await maintenanceOf(directory, postgres);
    expect(await maintenance.restore({ file: backup.file })).toMatchObject({ saved: null });
    await expectSame(postgres, before);
    const other = await maintenance.backup();
    expect(other.engine).toBe('postgres');
    for (const name of fs.readdirSync(directory)) if (name.startsWith('registry')) fs.rmSync(join(directory, name));
    fs.writeFileSync(
      join(directory, 'home.json'),
      `${JSON.stringify({ v: 1, homeId: (await maintenance.status()).homeId })}\n`,
    );
    await (await maintenanceOf(directory, sqlite)).restore({ file: other.file });
    await expectSame(sqlite, before);
  });
});

/** The indexes of the schema that an address leads to, without its name. */
async function indexesAt(url: string): Promise<readonly string[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query<{ definition: string }>(`select replace(indexdef, current_schema() || '.', '') as
    definition from pg_indexes where schemaname = current_schema() order by indexname`);
  await client.end();
  return rows.map(({ definition }) => definition);
}

async function indexesOfNew(): Promise<readonly string[]> {
  const url = await freshSchema(server.url);
  const store = await openAt(join(temporary.path, 'another'), { engine: 'postgres', url, urlFrom });
  await store.close();
  return indexesAt(url);
}

describe('a move', () => {
  test('to PostgreSQL and back loses nothing, and the home knows where its registry is', async () => {
    const before = await fill(sqlite);
    const there = await maintenanceOf(directory, sqlite);
    expect(await there.move({ to: postgres, dryRun: true })).toMatchObject({ dryRun: true, epoch: null });
    const moved = await there.move({ to: postgres });
    expect(moved).toMatchObject({ resumed: false, epoch: 2 });
    expect(fs.existsSync(moved.keptAs ?? '')).toBe(true);
    const home = JSON.parse(fs.readFileSync(join(directory, 'home.json'), 'utf8')) as { database: unknown };
    expect(home.database).toEqual({
      engine: 'postgres',
      urlFrom,
      location: expect.stringMatching(/^postgres:\/\/127/),
    });
    await expect(openAt(directory, sqlite)).rejects.toMatchObject({ code: 'OCT_STORE_UNAVAILABLE' });
    await expectSame(postgres, before);
    expect(await indexesAt(postgres.url)).toEqual(await indexesOfNew());
    const back = await maintenanceOf(directory, postgres);
    expect(await back.move({ to: sqlite })).toMatchObject({ epoch: 3 });
    expect(fs.readdirSync(directory).filter((name) => name.startsWith('registry.moving'))).toEqual([]);
    expect(openToOthers(directory)).toEqual([]);
    await expectSame(sqlite, before);
    const left = await openAt(directory, postgres);
    await expect(acquire(left, before.tasks[0] as never)).rejects.toMatchObject({ code: 'OCT_STORE_READ_ONLY' });
    await left.close();
  });

  test('takes along what is written while it copies', async () => {
    const before = await fill(sqlite);
    const store = await openAt(directory, sqlite);
    const writing: Promise<unknown>[] = [];
    const maintenance = await maintenanceOf(directory, sqlite, (step) => {
      if (step === 'move: copy' && writing.length < 3) writing.push(acquire(store, before.tasks[0] as never));
    });
    await maintenance.move({ to: postgres });
    await Promise.all(writing);
    const heads = await chains(store);
    await store.close();
    const now = await openAt(directory, postgres);
    for (const [stream, hashes] of heads)
      expect((await chains(now)).get(stream)?.slice(0, hashes.length)).toEqual(hashes);
    await now.close();
  });

  test('into a database with a registry of its own is refused', async () => {
    await fill(sqlite);
    const other = temporaryDirectory();
    await (await openAt(homeIn(other.path), postgres)).close();
    other.remove();
    const maintenance = await maintenanceOf(directory, sqlite);
    await expect(maintenance.move({ to: postgres })).rejects.toMatchObject({ code: 'OCT_INVALID_ARGUMENT' });
    await (await openAt(directory, sqlite)).close();
  });

  test('that finds a record changed in the copy switches nothing and says so', async () => {
    const before = await fill(sqlite);
    const maintenance = await maintenanceOf(directory, sqlite, (step) => {
      // Done before the first row is read: the step waits for it.
      if (step === 'move: verify') changeNow(`update notes set entity = replace(entity, 'G', 'g')`);
    });
    await expect(maintenance.move({ to: postgres })).rejects.toMatchObject({ code: 'OCT_STATE_CORRUPT' });
    const store = await openAt(directory, sqlite);
    await acquire(store, before.tasks[0] as never);
    await store.close();
  });

  /** From another process, because whoever is told of a step cannot wait for an answer. */
  function changeNow(sql: string): void {
    const script = `const { Client } = require('pg'); const [url, sql] = process.argv.slice(1); const client = new Client({ connectionString: url }); client.connect().then(() => client.query(sql)).then(() => client.end());`;
    execFileSync(process.execPath, ['-e', script, postgres.url, sql], { cwd: import.meta.dirname });
  }
});
