import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { SqliteConnection } from './sqlite-connection.ts';

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

test('each durable commit is flushed into the log that the database goes on with', () => {
  write(true);
  write(false);
  write(true);
  expect(committed()).toBe(3);
});
