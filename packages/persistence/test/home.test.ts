import * as fs from 'node:fs';
import { join } from 'node:path';
import { sha256 } from '@opencode-tools/core';
import { addTask, sampleActor } from '@opencode-tools/testkit';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openSqliteStore } from '../src/sqlite.ts';
import { temporaryDirectory } from './open-sqlite-registry.ts';
import { startChild } from './start-child.ts';

let temporary: ReturnType<typeof temporaryDirectory>;
let directory: string;
beforeEach(() => {
  temporary = temporaryDirectory();
  directory = join(temporary.path, 'home');
});
afterEach(() => temporary.remove());

/** Who reads what only its owner may change: another user where tests run as root, whom no mode stops. */
const nobody = process.getuid?.() === 0 ? 65_534 : undefined;
const registry = () => join(directory, 'registry.db');
const homeFile = () => join(directory, 'home.json');
const makeHome = async (title = 'kept'): Promise<string> => {
  const store = await openSqliteStore({ directory });
  await addTask(store.tasks, { title });
  await store.close();
  return store.homeId;
};
const change = (sql: string) => {
  const database = new Database(registry());
  database.exec(sql);
  database.close();
};
const attempt = { records: [{ stream: 'home', type: 'home.tried', actor: sampleActor, puts: [] }] } as const;

describe('a new home', () => {
  test('is made once by five processes that open it at the same moment', async () => {
    const children = Array.from({ length: 5 }, () => startChild('open', [directory]));
    const ends = await Promise.all(children.map(({ ended }) => ended));
    expect(ends.map(({ code }) => code)).toEqual([0, 0, 0, 0, 0]);
    const ids = new Set(children.flatMap(({ lines }) => lines));
    expect(ids.size).toBe(1);
    expect(JSON.parse(fs.readFileSync(homeFile(), 'utf8'))).toMatchObject({ v: 1, homeId: [...ids][0] });
    expect(fs.statSync(directory).mode & 0o777).toBe(0o700);
    expect(fs.readdirSync(directory).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  test('begins its ledger with its own creation', async () => {
    const store = await openSqliteStore({ directory });
    expect(await store.ledger.read('home')).toMatchObject([{ seq: 1, type: 'store.created', homeId: store.homeId }]);
    await store.close();
  });

  test.each([
    ['a file', (path: string) => fs.writeFileSync(path, '')],
    ['below a file', (path: string) => fs.writeFileSync(join(path, '..'), '')],
  ])('is refused where its path is %s', async (_, make) => {
    const path = join(directory, 'inner');
    if (_ === 'a file') fs.mkdirSync(directory);
    make(path);
    await expect(openSqliteStore({ directory: path })).rejects.toMatchObject({ code: 'OCT_STORE_UNAVAILABLE' });
  });
});

test.runIf(process.platform === 'linux')('a new home is refused below /proc, at once', async () => {
  await expect(openSqliteStore({ directory: '/proc/x/home' })).rejects.toMatchObject({ code: 'OCT_STORE_UNAVAILABLE' });
});

describe('files of a home', () => {
  const modes = () =>
    Object.fromEntries(
      fs.readdirSync(directory).map((name) => [name, fs.statSync(join(directory, name)).mode & 0o777]),
    );

  test('are for its owner alone, in a directory that existed, and in a home that was open to others', async () => {
    fs.mkdirSync(directory, { mode: 0o755 });
    const store = await openSqliteStore({ directory });
    expect(fs.statSync(directory).mode & 0o777).toBe(0o700);
    expect(modes()).toMatchObject({ 'home.json': 0o600, 'registry.db': 0o600, 'registry.db-wal': 0o600 });
    await store.close();
    fs.chmodSync(directory, 0o755);
    for (const name of ['home.json', 'registry.db']) fs.chmodSync(join(directory, name), 0o644);
    await (await openSqliteStore({ directory })).close();
    expect(fs.statSync(directory).mode & 0o777).toBe(0o700);
    expect(modes()).toMatchObject({ 'home.json': 0o600, 'registry.db': 0o600 });
  });

  test.runIf(process.platform === 'linux')('keep the locks of a store when the home is opened again', async () => {
    const locks = () =>
      fs
        .readFileSync('/proc/locks', 'utf8')
        .split('\n')
        .filter((line) => line.includes(` ${process.pid} `));
    const store = await openSqliteStore({ directory });
    const held = locks().length;
    const other = await openSqliteStore({ directory });
    expect(locks().length).toBeGreaterThanOrEqual(held);
    await Promise.all([store.close(), other.close()]);
  });

  test('are for their owner alone in a directory that holds other things, which stays as it is', async () => {
    fs.mkdirSync(directory, { mode: 0o755 });
    fs.writeFileSync(join(directory, 'other'), '', { mode: 0o644 });
    for (const _ of [1, 2]) await (await openSqliteStore({ directory })).close();
    expect(fs.statSync(directory).mode & 0o777).toBe(0o755);
    expect(modes()).toMatchObject({ 'home.json': 0o600, 'registry.db': 0o600, other: 0o644 });
  });
});

test('a new home is refused where nothing can be made', async () => {
  protect(temporary.path, 0o500, nobody);
  const child = startChild('open', [directory], { becomes: nobody });
  await child.ended;
  fs.chmodSync(temporary.path, 0o700);
  expect(JSON.parse(child.lines[0] ?? '')).toMatchObject({ code: 'OCT_STORE_READ_ONLY' });
  expect(fs.readdirSync(temporary.path)).toEqual([]);
});

describe('an existing home', () => {
  test('is the same home again', async () => {
    const homeId = await makeHome();
    const store = await openSqliteStore({ directory });
    expect(store.homeId).toBe(homeId);
    expect((await store.tasks.listTasks({})).items).toHaveLength(1);
    await store.close();
  });

  test('gets its file back from the registry', async () => {
    const homeId = await makeHome();
    fs.rmSync(homeFile());
    await (await openSqliteStore({ directory })).close();
    expect(fs.readFileSync(homeFile(), 'utf8')).toContain(homeId);
  });

  test('can only be read when file and registry name different homes', async () => {
    await makeHome();
    fs.writeFileSync(homeFile(), JSON.stringify({ v: 1, homeId: `hom_${'0'.repeat(26)}` }));
    const store = await openSqliteStore({ directory });
    expect((await store.tasks.listTasks({})).items).toHaveLength(1);
    await expect(store.tasks.commit(attempt)).rejects.toMatchObject({ code: 'OCT_STORE_READ_ONLY' });
    await store.close();
  });

  test('is not begun anew when its registry is gone or emptied', async () => {
    await makeHome();
    fs.truncateSync(registry(), 0);
    await expect(openSqliteStore({ directory })).rejects.toMatchObject({ code: 'OCT_STATE_CORRUPT' });
    for (const name of fs.readdirSync(directory)) if (name.startsWith('registry')) fs.rmSync(join(directory, name));
    await expect(openSqliteStore({ directory })).rejects.toMatchObject({ code: 'OCT_STATE_CORRUPT' });
    expect(fs.existsSync(registry())).toBe(false);
  });

  test.each([
    ['no database', () => fs.writeFileSync(registry(), 'x'.repeat(10_000))],
    ['the database of something else', () => change('create table songs (title text)')],
  ])('is refused, and left alone, when the registry is %s', async (_, make) => {
    fs.mkdirSync(directory, { mode: 0o700 });
    make();
    const before = sha256(fs.readFileSync(registry()));
    await expect(openSqliteStore({ directory })).rejects.toMatchObject({ code: 'OCT_STATE_CORRUPT' });
    expect(sha256(fs.readFileSync(registry()))).toBe(before);
    expect(fs.existsSync(homeFile())).toBe(false);
  });

  test('is refused, and left alone, when a newer version wrote it', async () => {
    await makeHome();
    change('update meta set schema_version = 99');
    const before = sha256(fs.readFileSync(registry()));
    await expect(openSqliteStore({ directory })).rejects.toMatchObject({ code: 'OCT_SCHEMA_TOO_NEW' });
    expect(sha256(fs.readFileSync(registry()))).toBe(before);
  });

  test('refuses writes as soon as a newer version has migrated it', async () => {
    const store = await openSqliteStore({ directory });
    change('update meta set schema_version = 99');
    await expect(store.tasks.commit(attempt)).rejects.toMatchObject({ code: 'OCT_SCHEMA_TOO_NEW' });
    await store.close();
  });

  test('tells a process once that an epoch began meanwhile', async () => {
    const store = await openSqliteStore({ directory });
    const other = await openSqliteStore({ directory });
    await other.admin.startEpoch('restored');
    await expect(store.tasks.commit(attempt)).rejects.toMatchObject({ code: 'OCT_VERSION_CONFLICT' });
    await store.tasks.commit(attempt);
    await Promise.all([store.close(), other.close()]);
  });

  test('refuses what was planned before an epoch, also when the process has learned of it', async () => {
    const store = await openSqliteStore({ directory });
    const other = await openSqliteStore({ directory });
    const { epoch } = store.tasks;
    await other.admin.startEpoch('restored');
    const both = await Promise.allSettled([store.tasks.commit(attempt), store.tasks.commit(attempt)]);
    const late = await Promise.allSettled([store.tasks.commit({ ...attempt, epoch })]);
    const conflict = expect.objectContaining({ code: 'OCT_VERSION_CONFLICT', details: { epochBefore: 1, epoch: 2 } });
    expect([...both, ...late].map((one) => one.status === 'rejected' && one.reason)).toEqual(Array(3).fill(conflict));
    expect(store.tasks.epoch).toBe(2);
    await store.tasks.commit({ ...attempt, epoch: 2 });
    await Promise.all([store.close(), other.close()]);
  });

  test('can be opened for reading only', async () => {
    await expect(openSqliteStore({ directory, readOnly: true })).rejects.toMatchObject({
      code: 'OCT_STORE_UNAVAILABLE',
    });
    expect(fs.existsSync(directory)).toBe(false);
    await makeHome();
    const store = await openSqliteStore({ directory, readOnly: true });
    expect((await store.tasks.listTasks({})).items).toHaveLength(1);
    await expect(store.tasks.commit(attempt)).rejects.toMatchObject({ code: 'OCT_STORE_READ_ONLY' });
    await store.close();
  });

  test.each([0o700, 0o711])('that this user may not read is told so: mode %o', async (mode) => {
    if (nobody === undefined) return;
    await makeHome();
    fs.chmodSync(temporary.path, 0o755);
    fs.chmodSync(directory, mode);
    const child = startChild('read-only', [directory], { becomes: nobody });
    await child.ended;
    expect(JSON.parse(child.lines[0] ?? '')).toMatchObject({
      code: 'OCT_STORE_UNAVAILABLE',
      message: expect.stringContaining('cannot be read by this user'),
      remedy: expect.stringContaining('another home'),
    });
  });

  test.each(['closed well', 'left open by a killed process'])(
    'can be read when it cannot be written: %s',
    async (how) => {
      if (how === 'closed well') await makeHome('visible');
      else await killedWith('visible');
      fs.chmodSync(temporary.path, 0o755);
      for (const name of fs.readdirSync(directory)) if (name !== 'tasks') protect(join(directory, name), 0o400, nobody);
      protect(directory, 0o500, nobody);
      const child = startChild('read-only', [directory], { becomes: nobody });
      await child.ended;
      fs.chmodSync(directory, 0o700);
      expect(JSON.parse(child.lines[0] ?? '')).toMatchObject({ titles: ['visible'], code: 'OCT_STORE_READ_ONLY' });
    },
  );
});

describe('a store that another process holds', () => {
  test('is waited for, and then refused with the name of the holder', async () => {
    await makeHome();
    const store = await openSqliteStore({ directory, waitMs: 250 });
    const holder = startChild('hold', [directory]);
    await holder.said(1);
    const { pid } = holder.process;
    const pidKnown = process.platform === 'linux' ? pid : null;
    await expect(store.tasks.commit(attempt)).rejects.toMatchObject({
      code: 'OCT_STORE_UNAVAILABLE',
      details: { pid: pidKnown },
    });
    expect((await store.tasks.listTasks({})).items).toHaveLength(1);
    holder.process.stdin?.write('go\n');
    await holder.ended;
    await store.tasks.commit(attempt);
    await store.close();
  });

  test('is written as soon as the holder lets go', async () => {
    await makeHome();
    const store = await openSqliteStore({ directory });
    const holder = startChild('hold', [directory]);
    await holder.said(1);
    const written = store.tasks.commit(attempt);
    holder.process.stdin?.write('go\n');
    await holder.ended;
    expect(await written).toMatchObject([{ type: 'home.tried' }]);
    await store.close();
  });
});

/** A home whose last commit is still in the write-ahead log. */
async function killedWith(title: string): Promise<void> {
  await makeHome(title);
  const writer = startChild('write', [directory, '1000000']);
  await writer.said(3);
  writer.process.kill('SIGKILL');
  await writer.ended;
}

function protect(path: string, mode: number, owner: number | undefined): void {
  fs.chmodSync(path, mode);
  if (owner !== undefined) fs.chownSync(path, owner, owner);
}
