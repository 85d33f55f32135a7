import { accessSync, constants } from 'node:fs';
import path from 'node:path';
import Database from 'better-sqlite3';
import { createPrivateFile } from '../home/home-directory.ts';
import { applyMigrations } from '../migrations/migrate.ts';
import { latestSchemaVersion } from '../migrations/migrations.ts';
import { allRows } from '../query/plan.ts';
import { sqliteTraits } from '../query/traits.ts';
import { errnoOf } from '../home/home-file.ts';
import { openReadOnly } from '../sqlite/open-read-only.ts';
import { SqliteConnection } from '../sqlite/sqlite-connection.ts';
import { SqliteEngine } from '../sqlite/sqlite-engine.ts';
import { asStoreError } from '../sqlite/sqlite-errors.ts';
import { WriteGate } from '../sqlite/write-gate.ts';
import { type Extra, definitions } from './indexes.ts';
import { quoted, raw } from './raw.ts';
import type { Row, RowSource, SourceTable } from './row-source.ts';
import { readShapes } from './table-shapes.ts';

/** Opens a registry file that is there, or makes one, without asking what is in it. */
export function openSqliteFile(file: string): SqliteEngine {
  createPrivateFile(file);
  return new SqliteEngine(file, connect(file), () => connect(file, { readonly: true }), new WriteGate(file));
}

/** Opens a registry file that is there, and may be one that cannot be written: then it is read, and nothing else. */
export function openFoundFile(file: string): SqliteEngine {
  if (isWritable(path.dirname(file)) && isWritable(file)) return openSqliteFile(file);
  try {
    const { connection, another } = openReadOnly(file, connect);
    return new SqliteEngine(file, connection, another, new WriteGate(file));
  } catch (error) {
    throw asStoreError(error, file);
  }
}

function isWritable(target: string): boolean {
  try {
    accessSync(target, constants.W_OK);
    return true;
  } catch (error) {
    return !['EACCES', 'EPERM', 'EROFS'].includes(errnoOf(error));
  }
}

/** Copies a database as of one moment into a new file, without stopping who writes it. */
export function vacuumInto(file: string, target: string): void {
  const database = connect(file, { readonly: true });
  createPrivateFile(target);
  try {
    database.prepare('vacuum into ?').run(target);
  } finally {
    database.close();
  }
}

/** What SQLite itself finds wrong with a file, in one line each. */
export function integrityProblems(file: string): readonly string[] {
  let database: Database.Database | undefined;
  try {
    database = openReadOnly(file, connect).connection;
    const rows = database.pragma('integrity_check(20)') as readonly { readonly integrity_check: string }[];
    return rows.map((row) => row.integrity_check).filter((text) => text !== 'ok');
  } catch (error) {
    return [error instanceof Error ? error.message : String(error)];
  } finally {
    database?.close();
  }
}

/** The indexes and triggers that the tables of the newest schema have. */
export function currentExtras(): readonly Extra[] {
  const connection = new SqliteConnection(connect(':memory:'));
  try {
    connection.run(applyMigrations(sqliteTraits, 0, latestSchemaVersion));
    return connection.run(allRows(raw<Extra>(definitions)));
  } finally {
    connection.close();
  }
}

/** The rows of a registry file that nobody writes. */
export class SqliteRows implements RowSource {
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
  }

  *tables(): Generator<SourceTable> {
    const database = connect(this.#file, { readonly: true });
    try {
      for (const { name, columns, key } of new SqliteConnection(database).run(readShapes())) {
        const text = `select ${columns.map(quoted).join(', ')} from ${quoted(name)} order by ${key.map(quoted).join(', ')}`;
        yield { name, columns, rows: rowsOf(database, text) };
      }
    } finally {
      database.close();
    }
  }
}

/** Begins to read when the first row is asked for: one query at a time has the connection. */
function rowsOf(database: Database.Database, text: string): Iterable<Row> {
  return { [Symbol.iterator]: () => database.prepare<[], Row>(text).raw().iterate() };
}

function connect(file: string, settings: Database.Options = {}): Database.Database {
  try {
    return new Database(file, { ...settings, timeout: 0 });
  } catch (error) {
    throw asStoreError(error, file);
  }
}
