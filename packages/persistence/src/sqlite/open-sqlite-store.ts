import { accessSync, constants, existsSync } from 'node:fs';
import path from 'node:path';
import {
  type Clock,
  type HomeId,
  type Logger,
  OpencodeToolsError,
  type StoreUser,
  createIds,
  silentLogger,
  systemClock,
} from '@opencode-tools/core';
import Database from 'better-sqlite3';
import { backUpBeforeMigrating } from '../admin/back-up-before-migrating.ts';
import { createHomeDirectory, createPrivateFile } from '../home/home-directory.ts';
import { recordPlace, refuseCopy } from '../home/home-copy.ts';
import { type HomeDatabase, claimHomeFile, errnoOf, homeError, readHomeFile, readHomeId } from '../home/home-file.ts';
import { refuseNetworkFilesystem } from '../home/network-filesystem.ts';
import { type StoreIdentity, migrate, readIdentity } from '../migrations/migrate.ts';
import { latestSchemaVersion } from '../migrations/migrations.ts';
import { usersToTell } from '../migrations/users-to-tell.ts';
import { type Store, createStore } from '../store.ts';
import type { StoreContext } from '../write/context.ts';
import { openReadOnly } from './open-read-only.ts';
import { SqliteEngine } from './sqlite-engine.ts';
import { asStoreError, isBusy } from './sqlite-errors.ts';
import { WriteGate, defaultWaitMs } from './write-gate.ts';

export interface OpenSqliteStore {
  /** Absolute path of the home directory; made when it is not there. */
  readonly directory: string;
  readonly clock?: Clock;
  readonly logger?: Logger;
  /** True opens an existing home for reading only. */
  readonly readOnly?: boolean;
  /** How long a write waits while another process holds the store, in milliseconds; default 5,000. */
  readonly waitMs?: number;
}

/**
 * Opens the registry of a home on SQLite, making both when they are new: any number of processes may do so at once.
 * A home that cannot be written is opened for reading, and each write then says why it is refused. A copy of a home that is
 * still where it was is refused.
 *
 * @throws OpencodeToolsError `OCT_STORE_READ_ONLY` for a new home that cannot be made, `OCT_STORE_UNAVAILABLE`,
 *   `OCT_SCHEMA_TOO_NEW` with nothing touched, `OCT_STATE_CORRUPT`, `OCT_INVALID_CONFIG` for a network file system.
 */
export async function openSqliteStore(options: OpenSqliteStore): Promise<Store> {
  const directory = path.resolve(options.directory);
  const file = path.join(directory, 'registry.db');
  if (options.readOnly !== true) createHomeDirectory(directory);
  else if (!existsSync(file)) throw noRegistry(directory);
  refuseNetworkFilesystem(directory);
  const home = readHomeFile(directory);
  if (home?.database != null) throw registryElsewhere(directory, home.database);
  if (home !== undefined && !existsSync(file)) throw registryLost(directory, home.homeId);
  const refusal = options.readOnly === true ? openedReadOnly(directory) : writeRefusalOf(directory, file);
  if (refusal !== null && !existsSync(file)) throw refusal;
  if (refusal === null) refuseCopy(directory);
  const gate = new WriteGate(file, options.waitMs ?? defaultWaitMs);
  if (refusal !== null) return openForReading(options, directory, file, gate, refusal);
  return openForWriting(options, directory, file, gate);
}

async function openForWriting(
  options: OpenSqliteStore,
  directory: string,
  file: string,
  gate: WriteGate,
): Promise<Store> {
  const clock = options.clock ?? systemClock;
  createPrivateFile(file);
  const engine = new SqliteEngine(file, connect(file), () => connect(file, { readonly: true }), gate);
  try {
    const found = await engine.inspect(() => readIdentity(engine.traits));
    await engine.useWriteAheadLog();
    if (found !== null && found.schemaVersion < latestSchemaVersion) {
      await backUpBeforeMigrating(engine, { directory, clock, logger: options.logger ?? silentLogger });
    }
    const users = await usersToTell(engine, found, options.logger ?? silentLogger);
    const identity = found?.schemaVersion === latestSchemaVersion ? found : await fill(engine, clock, directory, users);
    const homeId = onlyHome(identity, file);
    const homeInFile = readHomeId(directory) ?? claimHomeFile(directory, homeId);
    const writeRefusal = homeInFile === homeId ? null : homesDiffer(directory, homeInFile, homeId);
    if (writeRefusal === null) recordPlace(directory, options.logger ?? silentLogger);
    return createStore({
      engine,
      homeId,
      homeDirectory: directory,
      epoch: identity.epoch,
      clock,
      logger: options.logger ?? silentLogger,
      writeRefusal,
    });
  } catch (error) {
    await engine.close();
    throw asStoreError(error, file);
  }
}

async function openForReading(
  options: OpenSqliteStore,
  directory: string,
  file: string,
  gate: WriteGate,
  writeRefusal: OpencodeToolsError,
): Promise<Store> {
  const opened = openOrRefuse(file);
  const engine = new SqliteEngine(file, opened.connection, opened.another, gate);
  try {
    const identity = await engine.inspect(() => readIdentity(engine.traits));
    if (identity === null) throw noRegistry(directory);
    return createStore({
      engine,
      homeId: onlyHome(identity, file),
      homeDirectory: directory,
      epoch: identity.epoch,
      clock: options.clock ?? systemClock,
      logger: options.logger ?? silentLogger,
      writeRefusal,
    });
  } catch (error) {
    await engine.close();
    throw asStoreError(error, file);
  }
}

/** Fills an empty database, or migrates an older one; the process that comes second finds it done. */
async function fill(
  engine: SqliteEngine,
  clock: Clock,
  directory: string,
  users: readonly StoreUser[],
): Promise<StoreIdentity> {
  const ctx: StoreContext = {
    engine,
    homeId: createIds(clock).next('home'),
    clock,
    writeRefusal: null,
    epoch: 1,
    onAppended: () => undefined,
  };
  const onEmpty = () => {
    const homeInFile = readHomeId(directory);
    if (homeInFile !== undefined) throw registryLost(directory, homeInFile);
  };
  return migrate(ctx, { onEmpty, users });
}

function openOrRefuse(file: string): ReturnType<typeof openReadOnly> {
  try {
    return openReadOnly(file, connect);
  } catch (error) {
    throw asStoreError(error, file);
  }
}

function connect(file: string, settings: Database.Options = {}): Database.Database {
  try {
    return new Database(file, { ...settings, timeout: 0 });
  } catch (error) {
    if (isBusy(error)) throw error;
    throw asStoreError(error, file);
  }
}

function writeRefusalOf(directory: string, file: string): OpencodeToolsError | null {
  for (const target of existsSync(file) ? [directory, file] : [directory]) {
    try {
      accessSync(target, constants.W_OK);
    } catch (error) {
      const refusal = homeError(directory, error);
      if (refusal instanceof OpencodeToolsError && errnoOf(error) !== 'ENOENT') return refusal;
      throw refusal;
    }
  }
  return null;
}

function onlyHome(identity: StoreIdentity, file: string): HomeId {
  const [homeId, ...others] = identity.homes;
  if (homeId !== undefined && others.length === 0) return homeId;
  throw new OpencodeToolsError(
    'OCT_STATE_CORRUPT',
    `The registry ${file} names ${identity.homes.length} homes instead of one`,
  );
}

function openedReadOnly(directory: string): OpencodeToolsError {
  return new OpencodeToolsError('OCT_STORE_READ_ONLY', `The home ${directory} was opened for reading only`, {
    remedy: 'Open it for writing.',
    details: { directory },
  });
}

function noRegistry(directory: string): OpencodeToolsError {
  return new OpencodeToolsError('OCT_STORE_UNAVAILABLE', `There is no registry in ${directory}`, {
    remedy: 'Name the directory of an existing home, or open it for writing to make one.',
    details: { directory },
  });
}

function registryLost(directory: string, homeId: HomeId): OpencodeToolsError {
  return new OpencodeToolsError('OCT_STATE_CORRUPT', `The registry of home ${homeId} is gone from ${directory}`, {
    remedy:
      'Run `opencode-tools doctor --rebuild` to make it again from the task files, or `opencode-tools db restore`. ' +
      'To begin an empty home instead, move home.json aside.',
    details: { directory, homeId },
  });
}

function registryElsewhere(directory: string, { location, urlFrom }: HomeDatabase): OpencodeToolsError {
  return new OpencodeToolsError(
    'OCT_STORE_UNAVAILABLE',
    `The registry of ${directory} is on PostgreSQL at ${location}`,
    {
      remedy: `Set ${urlFrom} to its address, with user and password.`,
      details: { directory, location, urlFrom },
    },
  );
}

function homesDiffer(directory: string, inFile: HomeId | undefined, inDatabase: HomeId): OpencodeToolsError {
  return new OpencodeToolsError(
    'OCT_STORE_READ_ONLY',
    `${directory}/home.json names ${inFile ?? 'no home'}, but its registry belongs to ${inDatabase}`,
    {
      remedy: 'Put home.json and registry.db of the same home together; until then the home can only be read.',
      details: { directory, inFile: inFile ?? null, inDatabase },
    },
  );
}
