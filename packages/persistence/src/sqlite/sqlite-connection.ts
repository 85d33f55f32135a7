import type DatabaseConstructor from 'better-sqlite3';
import { type Outcome, type Plan, type Runner, type Statement, driveNow } from '../query/plan.ts';
import type { ReachesDisk } from '../query/engine.ts';
import type { Row, RowsToLoad } from '../query/rows.ts';
import { sqliteTraits } from '../query/traits.ts';
import { loadInto } from './load-into.ts';
import { WalFlush } from './wal-flush.ts';

export type Connection = DatabaseConstructor.Database;
type Prepared = DatabaseConstructor.Statement<unknown[], Record<string, unknown>>;

const mostPrepared = 500;

/** One connection with its prepared statements. */
export class SqliteConnection {
  readonly #connection: Connection;
  readonly #prepared = new Map<string, Prepared>();
  readonly #scans = new Map<string, DatabaseConstructor.Statement<unknown[], Row>>();
  readonly #runner: Runner<Outcome> = {
    run: (statement) => this.#execute(statement),
    scan: (statement, take) => this.#scan(statement, take),
    load: (rows) => this.#load(rows),
  };
  #level = '';
  #reachesDisk: ReachesDisk = 'before';
  #log: WalFlush | null = null;
  #changes = 0;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  get inTransaction(): boolean {
    return this.#connection.inTransaction;
  }

  /** Grows with every row that is written, whatever becomes of the transaction. */
  get changes(): number {
    return this.#changes;
  }

  run<T>(plan: Plan<T>): T {
    return driveNow(plan, this.#runner);
  }

  /** Runs a command without arguments or rows, such as `begin`. */
  command(sql: string): void {
    this.#statement(sql).run();
  }

  transaction<T>(begin: 'begin' | 'begin immediate', plan: () => Plan<T>): T {
    this.command(begin);
    try {
      const result = this.run(plan());
      this.command('commit');
      return result;
    } catch (error) {
      if (this.inTransaction) this.command('rollback');
      throw error;
    }
  }

  useWriteAheadLog(): void {
    if (this.#connection.pragma('journal_mode = WAL', { simple: true }) !== 'wal') return;
    this.#log = new WalFlush(this.#connection.name);
  }

  beginWrite(reachesDisk: ReachesDisk): void {
    this.#reachesDisk = reachesDisk;
    this.#synchronous(reachesDisk === 'some time' || this.#log !== null ? 'NORMAL' : 'FULL');
    this.command('begin immediate');
  }

  /** What was begun as to be on the disk before is there when this returns. */
  commitWrite(): void {
    if (this.#reachesDisk !== 'some time') this.#log?.prepare();
    this.command('commit');
    if (this.#reachesDisk === 'before') this.#log?.flush();
    else if (this.#reachesDisk === 'meanwhile') this.#log?.flushMeanwhile();
  }

  /** Resolves when nothing is on its way to the disk. */
  async flushed(): Promise<void> {
    await this.#log?.flushed();
  }

  /** A number that changes when another connection has committed (SQLite documentation, pragma data_version). */
  dataVersion(): number {
    return this.#statement('pragma data_version').get()?.['data_version'] as number;
  }

  close(): void {
    this.#log?.close();
    this.#connection.close();
  }

  #synchronous(level: 'NORMAL' | 'FULL'): void {
    if (this.#level === level) return;
    this.#connection.pragma(`synchronous = ${level}`);
    this.#level = level;
  }

  #execute(statement: Statement<unknown>): Outcome {
    const { sql, parameters } = statement.compile(sqliteTraits);
    const prepared = this.#statement(sql);
    if (prepared.reader) {
      const rows = prepared.all(...parameters);
      if (!prepared.readonly) this.#changes += rows.length;
      return { rows, changes: rows.length };
    }
    const { changes } = prepared.run(...parameters);
    this.#changes += changes;
    return { rows: [], changes };
  }

  #scan(statement: Statement<unknown>, take: (row: Row) => void): Outcome {
    const { sql, parameters } = statement.compile(sqliteTraits);
    let changes = 0;
    for (const row of this.#scanOf(sql).iterate(...parameters)) {
      take(row);
      changes += 1;
    }
    return { rows: [], changes };
  }

  #load(rows: RowsToLoad): Outcome {
    const changes = loadInto(this.#connection, rows);
    this.#changes += changes;
    return { rows: [], changes };
  }

  /** What a statement holds is not seen by the collector: one that is made anew for each page of a long walk adds up. */
  #scanOf(sql: string): DatabaseConstructor.Statement<unknown[], Row> {
    const found = this.#scans.get(sql);
    if (found !== undefined) return found;
    if (this.#scans.size >= mostPrepared) this.#scans.clear();
    const prepared = this.#connection.prepare<unknown[], Row>(sql).raw();
    this.#scans.set(sql, prepared);
    return prepared;
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
