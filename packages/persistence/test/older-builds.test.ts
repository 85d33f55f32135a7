import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { latestSchemaVersion } from '../src/index.ts';
import { type Store, openSqliteStore } from '../src/sqlite.ts';
import { maintenanceOf } from './administration.ts';
import { historyFaults } from './check-history.ts';
import { temporaryDirectory } from './open-sqlite-registry.ts';
import { type Child, startChild, startFile } from './start-child.ts';

type Build = 'schema-1' | 'schema-5';

let temporary: ReturnType<typeof temporaryDirectory>;
let directory: string;
let children: Child[];
beforeEach(() => {
  temporary = temporaryDirectory();
  directory = join(temporary.path, 'home');
  children = [];
});
afterEach(async () => {
  for (const { process: child } of children) child.kill('SIGKILL');
  await Promise.all(children.map(({ ended }) => ended));
  temporary.remove();
});

/** Starts a process of an older build: what it is and how it was packed is said in older-builds/README.md. */
function startOlder(build: Build, story: string, argument: string): Child {
  const file = join(temporary.path, `${build}.cjs`);
  const packed = readFileSync(new URL(`older-builds/${build}.cjs.gz`, import.meta.url));
  mkdirSync(temporary.path, { recursive: true });
  writeFileSync(file, gunzipSync(packed));
  const modules = fileURLToPath(new URL('../node_modules', import.meta.url));
  const child = startFile(file, [story, directory, argument], { env: { ...process.env, NODE_PATH: modules } });
  children.push(child);
  return child;
}

async function recordsOfHome() {
  const store = await openSqliteStore({ directory });
  const records = await store.ledger.read('home', { limit: 100 });
  await store.close();
  return records.map(({ type, payload }) => ({
    type,
    processes: (JSON.parse(payload ?? '{}') as { detail?: { processes?: unknown } }).detail?.processes,
  }));
}

async function started(child: Child): Promise<Child> {
  children.push(child);
  await child.said(1);
  return child;
}

/** Every grant that was told is recorded, once; every chain and file is whole. */
async function expectWhole(store: Store, writers: readonly Child[]): Promise<void> {
  const granted = writers.flatMap(({ lines }) => lines.filter((line) => line.startsWith('tsk_')));
  const recorded: string[] = [];
  for (const { id } of (await store.tasks.listTasks({})).items) {
    const records = await store.ledger.read(id, { limit: 10_000 });
    expect(historyFaults(records)).toEqual([]);
    for (const { type, token } of records) if (type === 'lease.acquired') recorded.push(`${id} ${token}`);
    await store.memory.project(id);
    await store.memory.heal(id);
    expect((await store.memory.heal(id)).healed).toEqual([]);
  }
  expect(new Set(granted).size).toBe(granted.length);
  expect(recorded).toEqual(expect.arrayContaining(granted));
  expect(await store.admin.verify()).toMatchObject({ ok: true, problems: [], broken: [] });
}

/** The ledgers of a home come into another one. */
async function expectTakenIn(store: Store): Promise<void> {
  const lines: string[] = [];
  const streams = (await store.ledger.listStreams()).filter((stream) => stream !== 'home');
  for (const stream of streams) for await (const line of store.admin.exportLedger(stream)) lines.push(line);
  const other = await openSqliteStore({ directory: join(temporary.path, 'other') });
  expect(await other.admin.importLedgers(lines)).toEqual({
    chains: streams.length,
    added: lines.length - streams.length,
  });
  expect(await other.admin.verify()).toMatchObject({ ok: true, problems: [] });
  await other.close();
}

test('the previous build and this one work on one home at once', async () => {
  const home = startOlder('schema-5', 'add', '3');
  expect(await home.ended).toMatchObject({ code: 0 });
  const count = '30';
  const newer = await started(startChild('write', [directory, count]));
  const older = startOlder('schema-5', 'write', count);
  const ends = await Promise.all([older, newer].map(({ ended }) => ended));
  expect(ends.map(({ code }) => code)).toEqual([0, 0]);
  const store = await openSqliteStore({ directory });
  await expectWhole(store, [older, newer]);
  await expectTakenIn(store);
  await store.close();
  expect(await startOlder('schema-5', 'open', '').ended).toMatchObject({ code: 0 });
});

test('a build with an older schema that is at work when this one comes stops at a whole change, and says why', async () => {
  expect(await startOlder('schema-1', 'add', '3').ended).toMatchObject({ code: 0 });
  const older = startOlder('schema-1', 'write', '1000000');
  await older.said(5);
  const newer = await started(startChild('write', [directory, '10']));
  expect(await older.ended).toMatchObject({ code: 1 });
  expect(older.lines.at(-1)).toContain('OCT_SCHEMA_TOO_NEW');
  expect(await newer.ended).toMatchObject({ code: 0 });
  const store = await openSqliteStore({ directory });
  await expectWhole(store, [older, newer]);
  await expectTakenIn(store);
  await store.close();
  const late = startOlder('schema-1', 'open', '');
  expect(await late.ended).toMatchObject({ code: 1 });
  expect(late.lines.at(-1)).toContain('OCT_SCHEMA_TOO_NEW');
  const maintenance = await maintenanceOf(directory, { engine: 'sqlite' });
  expect((await maintenance.status()).schemaVersion).toBe(latestSchemaVersion);
  const [migrated] = (await recordsOfHome()).filter(({ type }) => type === 'store.migrated');
  expect(migrated?.processes).toMatchObject([{ pid: older.process.pid, host: null }]);
  const backups = await maintenance.listBackups();
  expect(backups.map(({ schemaVersion }) => schemaVersion)).toEqual([1]);
});

test('a change of schema names who has the home open, and they lose nothing', async () => {
  expect(await startOlder('schema-1', 'add', '3').ended).toMatchObject({ code: 0 });
  const older = startOlder('schema-1', 'write', '1000000');
  await older.said(5);
  const maintenance = await maintenanceOf(directory, { engine: 'sqlite' });
  const program = expect.stringMatching(/^node.* schema-1\.cjs$/);
  const processes = [{ pid: older.process.pid, host: null, program }];
  expect(await maintenance.migrate({ dryRun: true })).toMatchObject({ processes });
  const said = older.lines.length;
  await older.said(said + 3);
  expect(await maintenance.migrate()).toMatchObject({ from: 1, to: latestSchemaVersion, processes });
  expect(await older.ended).toMatchObject({ code: 1 });
  expect(older.lines.at(-1)).toContain('OCT_SCHEMA_TOO_NEW');
  expect(await maintenance.rollback({ to: 1, dryRun: true })).toMatchObject({ processes: [] });
  const store = await openSqliteStore({ directory });
  await expectWhole(store, [older]);
  await store.close();
});
