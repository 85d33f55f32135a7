import { copyFileSync, fdatasync, fstatSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ReachesDisk } from '../query/engine.ts';
import { SqliteConnection } from './sqlite-connection.ts';
import { WalFlush } from './wal-flush.ts';

let directory: string;
let file: string;
let connection: SqliteConnection;
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), 'oct-wal-'));
  file = path.join(directory, 'some.db');
  connection = new SqliteConnection(new Database(file));
  connection.useWriteAheadLog();
});
afterEach(() => {
  connection.close();
  rmSync(directory, { recursive: true, force: true });
});

function write(reachesDisk: ReachesDisk = 'before'): void {
  connection.beginWrite(reachesDisk);
  connection.command('create table if not exists words (word text)');
  connection.command(`insert into words values ('one')`);
  connection.commitWrite();
}

function committed(): number {
  const other = new Database(file, { readonly: true });
  try {
    return other.prepare('select word from words').all().length;
  } finally {
    other.close();
  }
}

test('what is written durably says so when its flush fails, and what is not waits for none', () => {
  write('some time');
  expect(committed()).toBe(1);
  rmSync(`${file}-wal`);
  expect(() => write('some time')).not.toThrow();
  expect(() => write()).toThrow(expect.objectContaining({ code: 'OCT_STORE_UNAVAILABLE' }));
});

test('what is flushed is the log that the database goes on with', () => {
  const flushed: (number | bigint)[] = [];
  const log = new WalFlush(file, {
    now: (descriptor) => void flushed.push(fstatSync(descriptor).ino),
    meanwhile: fdatasync,
  });
  for (const rows of [1, 2, 3]) {
    write();
    log.flush();
    expect(committed()).toBe(rows);
    connection.command('pragma wal_checkpoint(restart)');
  }
  expect(flushed).toEqual([1, 2, 3].map(() => statSync(`${file}-wal`).ino));
  log.close();
});

test('after a flush has failed nothing counts as durable', () => {
  write();
  let fails = true;
  const now = (): void => {
    if (fails) throw new Error('EIO');
  };
  const log = new WalFlush(file, { now, meanwhile: fdatasync });
  const unavailable = expect.objectContaining({ code: 'OCT_STORE_UNAVAILABLE' }) as Error;
  expect(() => log.flush()).toThrow(unavailable);
  fails = false;
  expect(() => log.flush()).toThrow(unavailable);
});

test('what goes to the disk meanwhile is waited for, one flush at a time, and its failure is not forgotten', async () => {
  write();
  const done: ((error: Error | null) => void)[] = [];
  const log = new WalFlush(file, { now: () => undefined, meanwhile: (_descriptor, end) => void done.push(end) });
  await log.flushed();
  for (let each = 0; each < 3; each += 1) log.flushMeanwhile();
  log.flush();
  await log.flushed();
  expect(done).toEqual([]);
  log.flushMeanwhile();
  await nextTurn();
  log.flushMeanwhile();
  expect(done).toHaveLength(1);
  let resolved = false;
  const flushed = log.flushed().then(() => (resolved = true));
  done.shift()?.(null);
  await nextTurn();
  expect([done.length, resolved]).toEqual([1, false]);
  log.flush();
  done.shift()?.(new Error('EIO'));
  await flushed;
  expect(() => log.flush()).toThrow(expect.objectContaining({ code: 'OCT_STORE_UNAVAILABLE' }));
  log.flushMeanwhile();
  expect(done).toEqual([]);
  log.close();
});

test('a process that changes much makes room in the log, which any other reads, also when it is killed', () => {
  for (let rows = 1; rows <= 40; rows += 1) write(rows % 2 === 0 ? 'before' : 'meanwhile');
  expect(statSync(`${file}-wal`).size).toBeGreaterThan(2 * 1024 ** 2);
  expect(committed()).toBe(40);
  const other = path.join(directory, 'left-by-a-kill.db');
  for (const suffix of ['', '-wal']) copyFileSync(file + suffix, other + suffix);
  const reopened = new Database(other);
  expect(reopened.prepare('select count(*) as words from words').get()).toEqual({ words: 40 });
  expect(reopened.pragma('integrity_check', { simple: true })).toBe('ok');
  reopened.close();
});

test('two that write in turn with room ahead lose nothing of one another', () => {
  const second = new SqliteConnection(new Database(file));
  second.useWriteAheadLog();
  for (let round = 1; round <= 400; round += 1) {
    write();
    second.beginWrite('before');
    second.command(`insert into words values ('${'two'.repeat(500)}')`);
    second.commitWrite();
  }
  expect(committed()).toBe(800);
  second.close();
});
