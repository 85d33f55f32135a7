import {
  DummyDriver,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type RawBuilder,
  type SqlBool,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
  sql,
} from 'kysely';
import type { Database } from './database.ts';

export type EngineName = 'sqlite' | 'postgres';

/** Whether a word of a search is in many documents, and whether all of its words are. */
interface Commonness {
  readonly common: boolean;
  readonly all: boolean;
}

/** Everything in which the two databases differ for us; consulted instead of asking which one it is. */
export interface Traits {
  readonly engine: EngineName;
  /** Compiles queries; never runs one. */
  readonly db: Kysely<Database>;
  /** True when a row that is read in order to be changed must be locked by the reading statement. */
  readonly rowLocks: boolean;
  /** Counter rows per status: several where transactions would otherwise wait for one row. */
  readonly counterShards: number;
  /** The store's clock in ms, given what the process's clock says. */
  readonly nowMs: (processNowMs: number) => RawBuilder<number>;
  /** What is searched for to find words that start with `word` (letters and digits only). */
  readonly wordPattern: (word: string) => string;
  /** True for a task with a search document that has a word of a pattern. */
  readonly hasWord: (pattern: string, words: Commonness) => RawBuilder<SqlBool>;
  /** True for a task whose workspace is a directory of the host. */
  readonly isBound: RawBuilder<SqlBool>;
  /** Counts documents with a word of a pattern, up to a limit. */
  readonly documentsWithWord: (pattern: string, limit: number) => RawBuilder<{ documents: number }>;
  /** Documents from which on a page of a word is found sooner by going through the tasks in their order (measured). */
  readonly commonDocuments: number;
  /**
   * Transactions that have ended whatever their number: all with a smaller one. Null where transactions end in the order
   * in which they insert, so that the position in the ledger says it all.
   */
  readonly endedBefore: RawBuilder<string> | null;
  /** Column definition of a key that the database counts up. */
  readonly countingKey: string;
  /** Names of the tables that are there. */
  readonly tableNames: RawBuilder<{ name: string }>;
  /** True when a database that holds anything else is not ours to fill. */
  readonly ownsDatabase: boolean;
  /** Makes other migrators wait until the transaction ends; null where beginning to write does. */
  readonly migrationLock: RawBuilder<unknown> | null;
  /** Lets one transaction at a time change how tasks refer to each other; nothing to do where only one writes anyway. */
  readonly graphLock: RawBuilder<unknown>;
}

export const sqliteTraits: Traits = {
  engine: 'sqlite',
  db: new Kysely<Database>({
    dialect: {
      createAdapter: () => new SqliteAdapter(),
      createDriver: () => new DummyDriver(),
      createIntrospector: (db) => new SqliteIntrospector(db),
      createQueryCompiler: () => new SqliteQueryCompiler(),
    },
  }),
  rowLocks: false,
  counterShards: 1,
  nowMs: (processNowMs) => sql`cast(${processNowMs} as integer)`,
  wordPattern: (word) => `"${word}"*`,
  // The sign keeps SQLite from looking the tasks up by their ids one by one.
  hasWord: (pattern, { all }) => sql`${sql.raw(all ? '+tasks.id' : 'tasks.id')} in (select d.task_id
    from search_index i join search_documents d on d.id = i.rowid where i.search_index match ${pattern})`,
  isBound: sql`json_extract(tasks.entity, '$.workspace.mode') = 'bind'`,
  documentsWithWord: (pattern, limit) => sql`select count(*) as documents
    from (select 1 from search_index where search_index match ${pattern} limit ${limit})`,
  commonDocuments: 400,
  endedBefore: null,
  countingKey: 'integer primary key',
  tableNames: sql<{ name: string }>`select name from sqlite_master where type = 'table'`,
  ownsDatabase: true,
  migrationLock: null,
  graphLock: sql`select 1`,
};

export const postgresTraits: Traits = {
  engine: 'postgres',
  db: new Kysely<Database>({
    dialect: {
      createAdapter: () => new PostgresAdapter(),
      createDriver: () => new DummyDriver(),
      createIntrospector: (db) => new PostgresIntrospector(db),
      createQueryCompiler: () => new PostgresQueryCompiler(),
    },
  }),
  rowLocks: true,
  counterShards: 16,
  nowMs: () => sql`(extract(epoch from clock_timestamp()) * 1000)::bigint`,
  wordPattern: (word) => `${word}:*`,
  // The offset keeps PostgreSQL from looking each task's documents up: it takes few words for more common than they are.
  hasWord: (pattern, { common }) => sql`tasks.id in (select task_id from search_documents
    where terms @@ cast(${pattern} as tsquery) ${sql.raw(common ? '' : 'offset 0')})`,
  isBound: sql`tasks.entity::json #>> '{workspace,mode}' = 'bind'`,
  documentsWithWord: (pattern, limit) => sql`select count(*)::int as documents
    from (select 1 from search_documents where terms @@ cast(${pattern} as tsquery) limit ${limit}) found`,
  commonDocuments: 1_500,
  endedBefore: sql`pg_snapshot_xmin(pg_current_snapshot())::text`,
  countingKey: 'bigint generated always as identity primary key',
  tableNames: sql<{
    name: string;
  }>`select table_name as name from information_schema.tables where table_schema = current_schema()`,
  ownsDatabase: false,
  // Any constant will do, as long as every version of ours takes the same.
  migrationLock: sql`select pg_advisory_xact_lock(7236810531)`,
  graphLock: sql`select pg_advisory_xact_lock(7236810532)`,
};
