import { randomBytes } from 'node:crypto';
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type HomeId, OpencodeToolsError, isId } from '@opencode-tools/core';
import { type HomePlace, placeIn, placeOf } from './home-place.ts';

const homeFileVersion = 1;

function homeFilePath(directory: string): string {
  return path.join(directory, 'home.json');
}

/** Where the registry of a home is, when that is not in the home itself. Holds no credentials. */
export interface HomeDatabase {
  readonly engine: 'postgres';
  /** Address without user and password, for people. */
  readonly location: string;
  /** The environment variable that has the address. */
  readonly urlFrom: string;
}

interface HomeFile {
  readonly homeId: HomeId;
  readonly database: HomeDatabase | null;
}

/**
 * Reads which home a directory is; undefined when nothing says so.
 *
 * @throws OpencodeToolsError `OCT_STATE_CORRUPT`, `OCT_SCHEMA_TOO_NEW`
 */
export function readHomeId(directory: string): HomeId | undefined {
  return readHomeFile(directory)?.homeId;
}

/** Reads which home a directory is, and where its registry is. @throws OpencodeToolsError `OCT_STATE_CORRUPT`, `OCT_SCHEMA_TOO_NEW` */
export function readHomeFile(directory: string): HomeFile | undefined {
  let text: string;
  try {
    text = readFileSync(homeFilePath(directory), 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw unreadable(directory, error) ?? homeError(directory, error);
  }
  return parseHomeFile(directory, text);
}

/** Reads of which home a directory says that it is and where it was, in any version of the file: nulls where it says nothing. */
export function peekHomeFile(directory: string): { readonly homeId: string | null; readonly place: HomePlace | null } {
  let parsed: Unchecked | null = null;
  try {
    parsed = parseOrNull(readFileSync(homeFilePath(directory), 'utf8'));
  } catch {
    // Gone, or not for us to read.
  }
  return { homeId: typeof parsed?.homeId === 'string' ? parsed.homeId : null, place: placeIn(parsed?.place) };
}

/** Says in the home file where the registry is, and where the home; whoever reads sees the old or the new. */
export function switchHomeDatabase(directory: string, homeId: HomeId, database: HomeDatabase | null): void {
  const temporary = temporaryPath(directory);
  try {
    writeWhole(temporary, { homeId, database, place: placeOf(directory) });
    renameSync(temporary, homeFilePath(directory));
  } catch (error) {
    rmSync(temporary, { force: true });
    throw homeError(directory, error);
  }
}

/** Writes which home a directory is, whole, unless another process has; returns what the file says then. */
export function claimHomeFile(directory: string, homeId: HomeId): HomeId | undefined {
  const temporary = temporaryPath(directory);
  try {
    writeWhole(temporary, { homeId, database: null, place: placeOf(directory) });
    linkSync(temporary, homeFilePath(directory));
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw homeError(directory, error);
  } finally {
    rmSync(temporary, { force: true });
  }
  return readHomeId(directory);
}

function writeWhole(file: string, { homeId, database, place }: HomeFile & { readonly place: HomePlace }): void {
  const content = { v: homeFileVersion, homeId, ...(database === null ? {} : { database }), place };
  writeFileSync(file, `${JSON.stringify(content)}\n`, { mode: 0o600, flush: true });
}

/** A home may be used from several containers at once, and each has a process 1. */
function temporaryPath(directory: string): string {
  return `${homeFilePath(directory)}.${process.pid}-${randomBytes(4).toString('hex')}.tmp`;
}

/** What to do about a full disk of a home. */
export const makeRoom =
  'Make room on the disk, then try again; `opencode-tools db prune --output-days 30` removes old outputs.';

export function homeError(directory: string, error: unknown): unknown {
  const errno = errnoOf(error);
  const options = { details: { directory, errno }, cause: error };
  if (errno === 'EACCES' || errno === 'EPERM' || errno === 'EROFS') {
    return new OpencodeToolsError('OCT_STORE_READ_ONLY', `The home directory ${directory} cannot be written`, options);
  }
  if (errno === '') return error;
  if (errno === 'ENOSPC' || errno === 'EDQUOT') {
    return new OpencodeToolsError('OCT_STORE_UNAVAILABLE', `There is no room left in the home directory ${directory}`, {
      ...options,
      remedy: makeRoom,
    });
  }
  return new OpencodeToolsError(
    'OCT_STORE_UNAVAILABLE',
    `The home directory ${directory} cannot be used (${errno})`,
    options,
  );
}

/** What is there for others, and not for this user, whether it may be written or not. */
function unreadable(directory: string, error: unknown): OpencodeToolsError | undefined {
  const errno = errnoOf(error);
  if (errno !== 'EACCES' && errno !== 'EPERM') return undefined;
  return new OpencodeToolsError(
    'OCT_STORE_UNAVAILABLE',
    `The home directory ${directory} cannot be read by this user`,
    {
      remedy: 'Act as the user whose home it is, or name another home: --home, or OPENCODE_TOOLS_HOME.',
      details: { directory, errno },
      cause: error,
    },
  );
}

export function errnoOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

function parseHomeFile(directory: string, text: string): HomeFile {
  const file = homeFilePath(directory);
  const parsed = parseOrNull(text);
  if (typeof parsed?.v === 'number' && parsed.v > homeFileVersion) {
    throw new OpencodeToolsError('OCT_SCHEMA_TOO_NEW', `${file} has version ${parsed.v}; ${homeFileVersion} is known`);
  }
  if (typeof parsed?.homeId === 'string' && isId('home', parsed.homeId)) {
    return { homeId: parsed.homeId, database: databaseIn(parsed.database) };
  }
  throw new OpencodeToolsError('OCT_STATE_CORRUPT', `${file} does not name a home`, {
    remedy: 'Move it aside: it is written again from the registry.',
    details: { file },
  });
}

function databaseIn(value: unknown): HomeDatabase | null {
  const { engine, location, urlFrom } = (value ?? {}) as Partial<HomeDatabase>;
  if (engine !== 'postgres' || typeof urlFrom !== 'string') return null;
  return { engine, urlFrom, location: typeof location === 'string' ? location : '' };
}

interface Unchecked {
  readonly v?: unknown;
  readonly homeId?: unknown;
  readonly database?: unknown;
  readonly place?: unknown;
}

function parseOrNull(text: string): Unchecked | null {
  try {
    return JSON.parse(text) as Unchecked | null;
  } catch {
    return null;
  }
}
