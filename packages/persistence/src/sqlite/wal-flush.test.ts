import { fstatSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, expect, test } from 'vitest';
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

function write(durable: boolean): void {
  connection.beginWrite(durable);
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
  write(false);
  expect(committed()).toBe(1);
  rmSync(`${file}-wal`);
  expect(() => write(false)).not.toThrow();
  expect(() => write(true)).toThrow(expect.objectContaining({ code: 'OCT_STORE_UNAVAILABLE' }));
});

test('what is flushed is the log that the database goes on with', () => {
  const flushed: (number | bigint)[] = [];
  const log = new WalFlush(file, (descriptor) => void flushed.push(fstatSync(descriptor).ino));
  for (const rows of [1, 2, 3]) {
    write(true);
    log.flush();
    expect(committed()).toBe(rows);
    connection.command('pragma wal_checkpoint(restart)');
  }
  expect(flushed).toEqual([1, 2, 3].map(() => statSync(`${file}-wal`).ino));
  log.close();
});

test('after a flush has failed nothing counts as durable', () => {
  write(true);
  let fails = true;
  const log = new WalFlush(file, () => {
    if (fails) throw new Error('EIO');
  });
  const unavailable = expect.objectContaining({ code: 'OCT_STORE_UNAVAILABLE' }) as Error;
  expect(() => log.flush()).toThrow(unavailable);
  fails = false;
  expect(() => log.flush()).toThrow(unavailable);
});
