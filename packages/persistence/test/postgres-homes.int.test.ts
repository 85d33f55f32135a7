import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { join } from 'node:path';
import {
  type PostgresServer,
  addRows,
  addTask,
  sampleActor,
  sampleNote,
  sampleSession,
  startPostgres,
  until,
} from '@opencode-tools/testkit';
import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { type Store, openPostgresStore } from '../src/postgres.ts';
import { acquire } from './administration.ts';
import { temporaryDirectory } from './open-sqlite-registry.ts';

let server: PostgresServer;
let client: Client;
let temporary: ReturnType<typeof temporaryDirectory>;
let url: string;
let schema: string;
const opened: Store[] = [];
beforeAll(async () => {
  server = await startPostgres();
});
afterAll(async () => server.stop());
beforeEach(async () => {
  temporary = temporaryDirectory();
  schema = `oct_${randomBytes(6).toString('hex')}`;
  url = `${server.url}?options=${encodeURIComponent(`-c search_path=${schema}`)}`;
  client = new Client({ connectionString: url });
  await client.connect();
  await client.query(`create schema ${schema}`);
});
afterEach(async () => {
  for (const store of opened.splice(0)) await store.close();
  await client.end();
  temporary.remove();
});

const open = async (name: string, waitMs?: number): Promise<Store> => {
  const homeDirectory = join(temporary.path, name);
  const store = await openPostgresStore({ url, homeDirectory, ...(waitMs === undefined ? {} : { waitMs }) });
  opened.push(store);
  return store;
};

test('homes of several hosts share the rows, and each keeps the files of its own tasks', async () => {
  const [one, two] = await Promise.all([open('one'), open('two')]);
  expect(one.homeId).not.toBe(two.homeId);
  const task = await addTask(one.tasks);
  await addRows(two.tasks, task.id, { noun: 'note', value: sampleNote(task.id) });
  await Promise.all([one.memory.project(task.id), two.memory.project(task.id)]);
  expect(await two.tasks.getTask(task.id)).toEqual(task);
  expect(fs.existsSync(join(temporary.path, 'one/tasks', task.id, 'log.jsonl'))).toBe(true);
  expect(fs.existsSync(join(temporary.path, 'two/tasks', task.id))).toBe(false);
  expect(await one.ledger.verify(task.id)).toMatchObject({ records: 2, broken: null });
});

test('whoever lets go of a task calls the first in line by name, on whatever host it waits', async () => {
  const [one, two] = await Promise.all([open('one'), open('two')]);
  const task = await addTask(one.tasks);
  const heard: string[] = [];
  client.on('notification', ({ payload }) => heard.push(...(payload ?? '').split(' ')));
  await client.query('listen opencode_tools');
  const { lease } = await acquire(one, task);
  const common = { mode: 'exclusive', maxAgents: 1, ttlMs: 60_000, takeover: false, correlationId: null } as const;
  const request = { ...common, session: sampleSession(task.id), actor: sampleActor };
  const waiting = two.leases.acquireInTurn(request, { waitMs: 60_000 });
  await until(async () => (await client.query('select 1 from lease_waiters')).rowCount === 1);
  expect(heard).not.toContain(request.session.id);
  const { sessionId, id: leaseId, token } = lease;
  const end = { reason: 'done', actor: sampleActor, correlationId: null };
  await one.leases.release({ taskId: task.id, sessionId, leaseId, token }, end);
  expect((await waiting).lease.token).toBe(token + 1);
  await until(() => heard.includes(request.session.id));
});

test('a home is the same home again', async () => {
  const first = await open('one');
  expect((await open('one')).homeId).toBe(first.homeId);
});

test('a copy of a home that is still in its place is refused, and a home that was moved goes on', async () => {
  const { homeId } = await open('one');
  const at = (name: string) => join(fs.realpathSync(temporary.path), name);
  fs.cpSync(at('one'), at('copy'), { recursive: true });
  for (const _ of [1, 2]) {
    await expect(open('copy')).rejects.toMatchObject({
      code: 'OCT_STORE_UNAVAILABLE',
      remedy: expect.stringContaining(at('one')),
    });
  }
  expect((await open('one')).homeId).toBe(homeId);
  fs.renameSync(at('one'), at('moved'));
  expect((await open('moved')).homeId).toBe(homeId);
  expect(fs.readFileSync(at('moved/home.json'), 'utf8')).toContain(at('moved'));
});

test('a home that the registry does not know can only be read', async () => {
  await open('one');
  fs.mkdirSync(join(temporary.path, 'stray'));
  fs.writeFileSync(join(temporary.path, 'stray/home.json'), JSON.stringify({ v: 1, homeId: `hom_${'0'.repeat(26)}` }));
  const store = await open('stray');
  expect((await store.tasks.listTasks({})).items).toEqual([]);
  await expect(addTask(store.tasks)).rejects.toMatchObject({ code: 'OCT_STORE_READ_ONLY' });
});

test('an emptied database behind an existing home is not filled anew', async () => {
  await open('one');
  await client.query(`drop schema ${schema} cascade`);
  await client.query(`create schema ${schema}`);
  await expect(open('one')).rejects.toMatchObject({ code: 'OCT_STATE_CORRUPT' });
  const { rows } = await client.query('select 1 from information_schema.tables where table_schema = $1', [schema]);
  expect(rows).toEqual([]);
});

test('a database that a newer version wrote is refused', async () => {
  const store = await open('one');
  await client.query('update meta set schema_version = 99');
  await expect(addTask(store.tasks)).rejects.toMatchObject({ code: 'OCT_SCHEMA_TOO_NEW' });
  await expect(open('two')).rejects.toMatchObject({ code: 'OCT_SCHEMA_TOO_NEW' });
});

test('what another connection has locked is waited for, but not for ever', async () => {
  const store = await open('one', 200);
  const task = await addTask(store.tasks);
  await client.query('begin');
  await client.query('select 1 from streams for update');
  const note = { noun: 'note', value: sampleNote(task.id) } as const;
  await expect(addRows(store.tasks, task.id, note)).rejects.toMatchObject({ code: 'OCT_STORE_UNAVAILABLE' });
  await client.query('rollback');
  await addRows(store.tasks, task.id, note);
  expect(await store.tasks.listNotes(task.id)).toHaveLength(1);
});

test.each([
  ['no server', 'postgres://postgres@127.0.0.1:1/postgres', 'OCT_STORE_UNAVAILABLE'],
  ['no address', 'not a url', 'OCT_INVALID_CONFIG'],
])('%s is a typed error without credentials', async (_, address, code) => {
  const homeDirectory = join(temporary.path, 'home');
  await expect(openPostgresStore({ url: address, homeDirectory })).rejects.toMatchObject({ code });
  const secret = openPostgresStore({ url: 'postgres://user:secret@127.0.0.1:1/x', homeDirectory });
  await expect(secret).rejects.not.toMatchObject({ message: expect.stringContaining('secret') as string });
});
