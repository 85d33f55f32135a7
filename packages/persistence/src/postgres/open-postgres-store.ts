import path from 'node:path';
import {
  type Clock,
  type HomeId,
  type Logger,
  OpencodeToolsError,
  createIds,
  silentLogger,
  systemClock,
} from '@opencode-tools/core';
import { Client, type ClientConfig, Pool, types } from 'pg';
import { backUpBeforeMigrating } from '../admin/back-up-before-migrating.ts';
import { createHomeDirectory } from '../home/home-directory.ts';
import { recordPlace, refuseCopy } from '../home/home-copy.ts';
import { claimHomeFile, readHomeFile, readHomeId, switchHomeDatabase } from '../home/home-file.ts';
import { usersToTell } from '../migrations/users-to-tell.ts';
import { migrate, readIdentity, registerHome } from '../migrations/migrate.ts';
import { latestSchemaVersion } from '../migrations/migrations.ts';
import { type Store, createStore } from '../store.ts';
import type { StoreContext } from '../write/context.ts';
import { applicationName } from './connected-users.ts';
import { PostgresEngine } from './postgres-engine.ts';
import { type PostgresTls, tlsOptions } from './postgres-tls.ts';
import { asStoreError } from './postgres-errors.ts';

export interface OpenPostgresStore {
  /** `postgres://user:password@host:port/database`, with `sslmode` and other parameters as the driver knows them. */
  readonly url: string;
  /** The environment variable that the address comes from; the home remembers it, and never the address. */
  readonly urlFrom?: string;
  /** Absolute path of this host's home directory: task files, outputs, layers. */
  readonly homeDirectory: string;
  /** Connections at most; default 10. */
  readonly pool?: { readonly max?: number };
  /** How the connection is encrypted; as the address says by default. */
  readonly tls?: PostgresTls;
  readonly clock?: Clock;
  readonly logger?: Logger;
  /** How long a statement waits for what another connection has locked, in milliseconds; default 5,000. */
  readonly waitMs?: number;
}

const lockWaitMs = 5_000;
const connectWaitMs = 5_000;
const int8Oid = 20;
const numericOid = 1700;

/**
 * Opens a registry on PostgreSQL, making its tables when they are not there, and registers this host's home in it. A copy of
 * a home that is still where it was is refused.
 *
 * @throws OpencodeToolsError `OCT_STORE_UNAVAILABLE`, `OCT_SCHEMA_TOO_NEW`, `OCT_STATE_CORRUPT`
 */
export async function openPostgresStore(options: OpenPostgresStore): Promise<Store> {
  const directory = path.resolve(options.homeDirectory);
  const clock = options.clock ?? systemClock;
  const logger = options.logger ?? silentLogger;
  createHomeDirectory(directory);
  refuseCopy(directory);
  const engine = openPostgresEngine(options, logger);
  try {
    const homeInFile = readHomeId(directory);
    const ctx = contextFor(engine, clock, homeInFile ?? createIds(clock).next('home'));
    const found = await engine.read(() => readIdentity(engine.traits));
    if (found !== null && found.schemaVersion < latestSchemaVersion) {
      await backUpBeforeMigrating(engine, { directory, clock, logger });
    }
    const identity =
      found?.schemaVersion === latestSchemaVersion
        ? found
        : await migrate(ctx, {
            onEmpty: () => refuseLost(directory, homeInFile),
            users: await usersToTell(engine, found, logger),
          });
    const homeId = homeInFile ?? (await joinRegistry(ctx, directory));
    const known = (await engine.read(() => readIdentity(engine.traits)))?.homes ?? [];
    if (known.includes(homeId)) {
      remember(directory, homeId, engine.location, options.urlFrom);
      recordPlace(directory, logger);
    }
    const writeRefusal = known.includes(homeId) ? null : homeUnknown(directory, homeId, engine.location);
    return createStore({
      engine,
      homeId,
      homeDirectory: directory,
      epoch: identity.epoch,
      clock,
      logger,
      writeRefusal,
    });
  } catch (error) {
    await engine.close();
    throw asStoreError(error, engine.location);
  }
}

/** Lets the home know where its registry is, for whoever opens it without being told. */
function remember(directory: string, homeId: HomeId, location: string, urlFrom: string | undefined): void {
  if (urlFrom === undefined) return;
  const known = readHomeFile(directory)?.database;
  if (known?.location === location && known.urlFrom === urlFrom) return;
  switchHomeDatabase(directory, homeId, { engine: 'postgres', location, urlFrom });
}

/** The engine alone, for whoever administers a database that may hold nothing yet. */
export function openPostgresEngine(options: PostgresConnection, logger: Logger = silentLogger): PostgresEngine {
  const connect = () => new Client(connectionOf(options));
  return new PostgresEngine(withoutCredentials(options.url), createPool(options, logger), connect);
}

type PostgresConnection = Pick<OpenPostgresStore, 'url' | 'pool' | 'tls' | 'waitMs'>;

/** Registers a new home before its file is written, so that a home file always names a home that the registry knows. */
async function joinRegistry(ctx: StoreContext, directory: string): Promise<HomeId> {
  await registerHome(ctx);
  return claimHomeFile(directory, ctx.homeId) ?? ctx.homeId;
}

function contextFor(engine: PostgresEngine, clock: Clock, homeId: HomeId): StoreContext {
  return { engine, homeId, clock, writeRefusal: null, epoch: 1, onAppended: () => undefined };
}

function createPool(options: PostgresConnection, logger: Logger): Pool {
  const pipelined: PipelinedConfig = { ...connectionOf(options), pipeline: true };
  const pool = new Pool({ ...pipelined, max: options.pool?.max ?? 10 });
  pool.on('error', (error) => logger.warn('A connection to the registry was lost', { message: error.message }));
  // One that is lost in use fails the statements on it; without a listener the driver would end the process as well.
  pool.on('connect', (client) => client.on('error', () => undefined));
  return pool;
}

/** The driver's option that its types do not know yet. */
type PipelinedConfig = ClientConfig & { readonly pipeline: boolean };

function connectionOf(options: PostgresConnection): ClientConfig {
  const waitMs = options.waitMs ?? lockWaitMs;
  return {
    connectionString: options.url,
    application_name: applicationName(),
    connectionTimeoutMillis: connectWaitMs,
    lock_timeout: waitMs,
    // A process that is stopped inside a transaction would hold what it locked for good; others wait longer than this.
    idle_in_transaction_session_timeout: Math.round(waitMs * 0.8),
    types: { getTypeParser: typeParser },
    ...tlsOptions(options.tls),
  };
}

/** Counters and sums as numbers: none of ours passes 2^53. */
const typeParser: typeof types.getTypeParser = (oid: number, format?: 'text' | 'binary') =>
  oid === int8Oid || oid === numericOid ? Number : (types.getTypeParser as LooseParser)(oid, format);

type LooseParser = (oid: number, format?: 'text' | 'binary') => (value: string) => unknown;

function withoutCredentials(url: string): string {
  try {
    const parsed = new URL(url);
    return `${parsed.protocol}//${parsed.host}${parsed.pathname}`;
  } catch (error) {
    throw new OpencodeToolsError('OCT_INVALID_CONFIG', 'The address of the registry is no postgres:// URL', {
      cause: error,
    });
  }
}

/** An empty database behind a home that had one would hand out tokens again that it gave before. */
function refuseLost(directory: string, homeInFile: HomeId | undefined): void {
  if (homeInFile === undefined) return;
  throw new OpencodeToolsError(
    'OCT_STATE_CORRUPT',
    `The database is empty, but ${directory} belongs to home ${homeInFile}`,
    {
      remedy: 'Restore the database from a backup, or choose a new home directory.',
      details: { directory, homeId: homeInFile },
    },
  );
}

function homeUnknown(directory: string, homeId: HomeId, location: string): OpencodeToolsError {
  return new OpencodeToolsError('OCT_STORE_READ_ONLY', `The registry ${location} does not know home ${homeId}`, {
    remedy: `Open ${directory} with the registry that it belongs to, or choose a new home directory.`,
    details: { directory, homeId, location },
  });
}
