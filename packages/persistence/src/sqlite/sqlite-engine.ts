import { statSync } from 'node:fs';
import type DatabaseConstructor from 'better-sqlite3';
import type { Engine, WriteOptions } from '../query/engine.ts';
import { type Outcome, type Plan, type Statement, driveNow } from '../query/plan.ts';
import { sqliteTraits } from '../query/traits.ts';
import { asStoreError } from './sqlite-errors.ts';
import type { WriteGate } from './write-gate.ts';

type Connection = DatabaseConstructor.Database;
type Prepared = DatabaseConstructor.Statement<unknown[], Record<string, unknown>>;

const mostPrepared = 500;

/**
 * SQLite through two connections of one process: writes take turns on one, reads go through the other and never wait for
 * them. A plan runs without leaving the call, so no transaction is open while anything else happens.
 */
export class SqliteEngine implements Engine {
  readonly traits = sqliteTraits;
  readonly location: string;
  readonly #gate: WriteGate;
  readonly #writer: SqliteConnection;
  readonly #openReader: () => Connection;
  #reader: SqliteConnection | null = null;
  #closed = false;

  constructor(location: string, writer: Connection, openReader: () => Connection, gate: WriteGate) {
    this.location = location;
    this.#writer = new SqliteConnection(writer);
    this.#openReader = openReader;
    this.#gate = gate;
  }

  async read<T>(plan: () => Plan<T>): Promise<T> {
    return this.#gate.retry(() => this.#readConnection().run(plan()), this.#context('read'));
  }

  async snapshot<T>(plan: () => Plan<T>): Promise<T> {
    return this.#gate.retry(() => this.#readConnection().transaction('begin', plan), this.#context('read'));
  }

  async write<T>(plan: () => Plan<T>, options: WriteOptions = {}): Promise<T> {
    const synchronous = options.durable === false ? 'NORMAL' : 'FULL';
    return this.#gate.inTurn(() => {
      this.#writer.synchronous(synchronous);
      return this.#writer.transaction('begin immediate', plan);
    }, this.#context('write'));
  }

  /** Reads through the writing connection, before anything about the file has been changed. */
  async inspect<T>(plan: () => Plan<T>): Promise<T> {
    return this.#gate.retry(() => this.#writer.run(plan()), this.#context('read'));
  }

  async useWriteAheadLog(): Promise<void> {
    await this.#gate.retry(() => this.#writer.useWriteAheadLog(), this.#context('read'));
  }

  async sizeBytes(): Promise<number> {
    return ['', '-wal'].reduce(
      (sum, suffix) => sum + (statSync(this.location + suffix, { throwIfNoEntry: false })?.size ?? 0),
      0,
    );
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    await this.#gate.idle();
    this.#closed = true;
    this.#reader?.close();
    this.#writer.close();
  }

  #readConnection(): SqliteConnection {
    this.#reader ??= new SqliteConnection(this.#openReader());
    return this.#reader;
  }

  #context(what: 'read' | 'write') {
    return { location: this.location, what, asError: (error: unknown) => asStoreError(error, this.location) };
  }
}

/** One connection with its prepared statements. */
class SqliteConnection {
  readonly #connection: Connection;
  readonly #prepared = new Map<string, Prepared>();
  #synchronous = '';

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  run<T>(plan: Plan<T>): T {
    return driveNow(plan, (statement) => this.#execute(statement));
  }

  transaction<T>(begin: 'begin' | 'begin immediate', plan: () => Plan<T>): T {
    this.#statement(begin).run();
    try {
      const result = this.run(plan());
      this.#statement('commit').run();
      return result;
    } catch (error) {
      if (this.#connection.inTransaction) this.#statement('rollback').run();
      throw error;
    }
  }

  useWriteAheadLog(): void {
    this.#connection.pragma('journal_mode = WAL');
  }

  synchronous(level: 'NORMAL' | 'FULL'): void {
    if (this.#synchronous === level) return;
    this.#connection.pragma(`synchronous = ${level}`);
    this.#synchronous = level;
  }

  close(): void {
    this.#connection.close();
  }

  #execute(statement: Statement<unknown>): Outcome {
    const { sql, parameters } = statement.compile(sqliteTraits);
    const prepared = this.#statement(sql);
    if (prepared.reader) {
      const rows = prepared.all(...parameters);
      return { rows, changes: rows.length };
    }
    return { rows: [], changes: prepared.run(...parameters).changes };
  }

  #statement(sql: string): Prepared {
    const found = this.#prepared.get(sql);
    if (found !== undefined) return found;
    if (this.#prepared.size >= mostPrepared) this.#prepared.clear();
    const prepared = this.#connection.prepare<unknown[], Record<string, unknown>>(sql);
    this.#prepared.set(sql, prepared);
    return prepared;
  }
}
