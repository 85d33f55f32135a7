import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Clock, type Logger, OpencodeToolsError, type StoreMaintenance } from '@opencode-tools/core';
import type { RegistryPlace, Store } from '@opencode-tools/persistence';
import type { Environment } from '../configuration/environment.ts';
import type { Configuration } from '../configuration/load-configuration.ts';
import { environmentVariable } from '../configuration/keys.ts';

interface Tools {
  readonly environment: Environment;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Opens the registry where the home says it is; a new home's where the configuration says. */
export async function openStore(configuration: Configuration, tools: Tools): Promise<Store> {
  const { clock, logger } = tools;
  const place = await placeOf(configuration, tools.environment);
  if (place.engine === 'sqlite' && configuration.database !== 'sqlite' && isInHome(configuration.home)) {
    throw stillInHome(configuration.home);
  }
  if (place.engine === 'sqlite') {
    const { openSqliteStore } = await import('@opencode-tools/persistence/sqlite');
    return await openSqliteStore({ directory: configuration.home, clock, logger });
  }
  const { openPostgresStore } = await import('@opencode-tools/persistence/postgres');
  const { engine: _, ...connection } = place;
  return await openPostgresStore({ ...connection, homeDirectory: configuration.home, clock, logger });
}

/** Gives the maintenance of the registry, without opening it. */
export async function maintainStore(configuration: Configuration, tools: Tools): Promise<StoreMaintenance> {
  const { openMaintenance } = await import('@opencode-tools/persistence');
  const place = await placeOf(configuration, tools.environment);
  const { home: directory, retention } = configuration;
  const { clock, logger } = tools;
  return openMaintenance({ directory, place, keepBackups: retention.backups, clock, logger });
}

/**
 * Decides where the registry of a home is. What the home itself says wins: the configuration speaks for new homes.
 *
 * @throws OpencodeToolsError `OCT_INVALID_CONFIG`
 */
async function placeOf(configuration: Configuration, environment: Environment): Promise<RegistryPlace> {
  const { readHomeFile } = await import('@opencode-tools/persistence');
  const home = readHomeFile(configuration.home);
  const configured = addressOf(configuration.database, environment);
  if (home?.database != null) {
    const { urlFrom, location } = home.database;
    const url = environment[urlFrom] ?? configured?.url;
    if (url === undefined || url === '')
      throw addressMissing(urlFrom, `The registry of ${configuration.home} is at ${location}`);
    return { engine: 'postgres', url, urlFrom, ...(await connectionOf(configuration)) };
  }
  if (configured === null || isInHome(configuration.home)) return { engine: 'sqlite' };
  if (configured.url === undefined)
    throw addressMissing(configured.urlFrom, `The key database names ${configured.urlFrom}`);
  return {
    engine: 'postgres',
    url: configured.url,
    urlFrom: configured.urlFrom,
    ...(await connectionOf(configuration)),
  };
}

const isInHome = (home: string): boolean => existsSync(join(home, 'registry.db'));

/** Null for SQLite. An address that stands in a file is remembered by the variable that would have it. */
function addressOf(database: string, environment: Environment) {
  if (database === 'sqlite') return null;
  if (!database.startsWith('env:')) return { url: database, urlFrom: environmentVariable('database') };
  const urlFrom = database.slice('env:'.length);
  return { url: environment[urlFrom] === '' ? undefined : environment[urlFrom], urlFrom };
}

async function connectionOf({
  postgres,
}: Configuration): Promise<Omit<RegistryPlace & { engine: 'postgres' }, 'engine' | 'url' | 'urlFrom'>> {
  const { tls: mode, caFile, pool } = postgres;
  if (mode === null) return { pool: { max: pool } };
  const ca = caFile === null ? {} : { ca: await readAuthority(caFile) };
  return { pool: { max: pool }, tls: { mode, ...ca } };
}

async function readAuthority(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new OpencodeToolsError('OCT_INVALID_CONFIG', `The certificate ${file} cannot be read`, {
      remedy: 'Correct the key postgres.ca.',
      details: { key: 'postgres.ca', file },
      cause: error,
    });
  }
}

function addressMissing(variable: string, why: string): OpencodeToolsError {
  return new OpencodeToolsError('OCT_INVALID_CONFIG', `${why}, and ${variable} is not set`, {
    remedy: `Set ${variable} to the address, such as postgres://user:password@host/database.`,
    details: { variable },
  });
}

function stillInHome(directory: string): OpencodeToolsError {
  return new OpencodeToolsError('OCT_INVALID_CONFIG', `The registry of ${directory} is in SQLite, in the home itself`, {
    remedy:
      'Take it over with `opencode-tools db move postgres --url-from NAME`, or set database to sqlite (OPENCODE_TOOLS_DATABASE=sqlite).',
    details: { key: 'database', directory },
  });
}
