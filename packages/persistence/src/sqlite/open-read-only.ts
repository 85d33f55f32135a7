import { chmodSync, copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type DatabaseConstructor from 'better-sqlite3';
import { codeOf } from './sqlite-errors.ts';

type Connection = DatabaseConstructor.Database;
type Connect = (file: string, settings: DatabaseConstructor.Options) => Connection;

/**
 * Opens a database that cannot be written. SQLite needs to write beside a database in WAL mode even to read it; where it
 * cannot, a copy of this moment is read instead.
 */
export function openReadOnly(
  file: string,
  connect: Connect,
): { readonly connection: Connection; readonly another: () => Connection } {
  const direct = () => connect(file, { readonly: true });
  const connection = direct();
  try {
    connection.prepare('select 1 from sqlite_master limit 1').get();
    return { connection, another: direct };
  } catch (error) {
    connection.close();
    if (!/^SQLITE_(?:CANTOPEN|READONLY)/.test(codeOf(error))) throw error;
  }
  return { connection: openCopy(file, connect), another: () => openCopy(file, connect) };
}

function openCopy(file: string, connect: Connect): Connection {
  const directory = mkdtempSync(path.join(tmpdir(), 'oct-read-'));
  try {
    const copy = path.join(directory, 'registry.db');
    for (const suffix of ['', '-wal']) {
      if (!existsSync(file + suffix)) continue;
      copyFileSync(file + suffix, copy + suffix);
      chmodSync(copy + suffix, 0o600);
    }
    const connection = connect(copy, {});
    connection.pragma('journal_mode = MEMORY');
    connection.pragma('query_only = 1');
    return connection;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
