import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { IdempotencyEntry, Task } from '@opencode-tools/core';
import {
  type PostgresServer,
  addTask,
  sampleActor,
  sampleDraft,
  sampleIds,
  sampleNote,
  sampleSession,
  startPostgres,
  until,
} from '@opencode-tools/testkit';
import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { type Store, openPostgresStore } from '../src/postgres.ts';
import { acquire, freshSchema } from './administration.ts';
import { temporaryDirectory } from './open-sqlite-registry.ts';
import { startFile } from './start-child.ts';

let server: PostgresServer;
let url: string;
let temporary: ReturnType<typeof temporaryDirectory>;
let store: Store;
/** A connection that holds what the store's transactions wait for. */
let other: Client;

beforeAll(async () => {
  server = await startPostgres();
});
afterAll(() => server.stop());

beforeEach(async () => {
  temporary = temporaryDirectory();
  url = await freshSchema(server.url);
  store = await openPostgresStore({ url, homeDirectory: join(temporary.path, 'home') });
  other = new Client({ connectionString: url });
  await other.connect();
});
afterEach(async () => {
  await other.end();
  await store.close();
  temporary.remove();
});

test('a transaction whose connection is cut is refused, and the store goes on with another one', async () => {
  const task = await addTask(store.tasks);
  await other.query('begin');
  await other.query('select 1 from streams where stream = $1 for update', [task.id]);
  const cut = write(task).catch((error: unknown) => error);
  const waiting = await waitingForLock();
  await other.query('select pg_terminate_backend($1)', [waiting]);
  expect(await cut).toMatchObject({ code: 'OCT_STORE_UNAVAILABLE' });
  await other.query('rollback');
  await write(task);
  expect(await store.tasks.listNotes(task.id)).toHaveLength(1);
});

test('a follower gets the records of a stream in order, though an earlier transaction came later in line', async () => {
  const task = await addTask(store.tasks);
  const {
    rows: [early],
  } = await other.query<{ id: string }>('select pg_current_xact_id() as id');
  await other.query('begin');
  await other.query('select pg_current_xact_id()');
  for (const _ of [2, 3, 4]) await write(task);
  // The third note stands for a transaction that began before the open one, and waited for the stream longer than the others.
  const aside = new Client({ connectionString: url });
  await aside.connect();
  await aside.query('update ledger set transaction_id = $1 where stream = $2 and seq = 4', [early?.id, task.id]);
  await aside.end();
  const first = await store.ledger.follow({ after: null, streams: [task.id] });
  const second = await store.ledger.follow({ after: first.cursor, streams: [task.id] });
  expect(await store.ledger.waitForMore(second.cursor, { timeoutMs: 0 })).toBe(false);
  await other.query('commit');
  const third = await store.ledger.follow({ after: second.cursor, streams: [task.id] });
  const fourth = await store.ledger.follow({ after: third.cursor, streams: [task.id] });
  const seen = [first, second, third, fourth].flatMap(({ records }) => records.map(({ seq }) => seq));
  expect(seen).toEqual([1, 2, 3, 4]);
});

test('a lease that is renewed while another agent finds it expired is not taken', async () => {
  const task = await addTask(store.tasks);
  const { lease } = await acquire(store, task);
  await other.query('update leases set expires_at_ms = 0');
  await other.query('begin');
  await other.query('update leases set expires_at_ms = $1 where id = $2', [Date.now() + 600_000, lease.id]);
  const taken = request(task, false).catch((error: unknown) => error);
  await waitingForLock();
  await other.query('commit');
  expect(await taken).toMatchObject({ code: 'OCT_LEASE_HELD' });
  expect(await store.leases.listActive(task.id)).toMatchObject([{ id: lease.id }]);
});

test('of two calls that reserve one key at the same time exactly one goes on', async () => {
  const entry = (): IdempotencyEntry => ({
    key: 'key-1',
    verb: 'attach',
    argumentsDigest: 'a'.repeat(64),
    operationId: sampleIds.next('operation'),
    result: null,
    reservedForMs: 30_000,
  });
  const first = entry();
  await other.query('begin');
  await other.query(
    `insert into idempotency (key, verb, arguments_digest, operation_id, result, expires_at_ms)
     values ($1, $2, $3, $4, null, $5)`,
    [first.key, first.verb, first.argumentsDigest, first.operationId, Date.now() + 30_000],
  );
  const second = store.tasks.commit({ records: [], idempotency: entry() }).catch((error: unknown) => error);
  await waitingForLock();
  await other.query('commit');
  expect(await second).toMatchObject({ code: 'OCT_VERSION_CONFLICT' });
  expect(await store.tasks.findIdempotency('key-1')).toMatchObject({ operationId: first.operationId });
});

test('a process that is stopped inside a transaction holds others up for a while, and writes nothing when it wakes', async () => {
  const task = await addTask(store.tasks);
  const child = startFile(fileURLToPath(new URL('stopping-child.ts', import.meta.url)), [url]);
  await until(() => isStopped(child.process.pid));
  const { lease } = await acquire(store, task);
  const head = await store.ledger.head(task.id);
  child.process.kill('SIGCONT');
  await child.ended;
  expect(child.lines).toEqual(['OCT_STORE_UNAVAILABLE']);
  expect(await store.ledger.head(task.id)).toEqual(head);
  expect(await store.leases.listActive(task.id)).toMatchObject([{ id: lease.id }]);
});

function isStopped(pid: number | undefined): boolean {
  return /^\d+ \(.*\) T /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
}

function write(task: Task) {
  return store.tasks.commit({
    records: [sampleDraft(task.id, 'note.added', { noun: 'note', value: sampleNote(task.id) })],
  });
}

function request(task: Task, takeover: boolean) {
  const common = { actor: sampleActor, correlationId: null, mode: 'exclusive', maxAgents: 1, ttlMs: 60_000 } as const;
  return store.leases.acquire({ ...common, session: sampleSession(task.id), takeover });
}

/**
 * The server process of a statement that waits for what `other` has locked. It looks among the locks: the list of
 * activities stays, within a transaction, as it was at the first look, without the connections made since.
 */
async function waitingForLock(): Promise<number> {
  let found: number | undefined;
  await until(async () => {
    const blocked = 'select pid from pg_locks where not granted and pg_backend_pid() = any(pg_blocking_pids(pid))';
    found = (await other.query<{ pid: number }>(blocked)).rows[0]?.pid;
    return found !== undefined;
  });
  return found ?? 0;
}
