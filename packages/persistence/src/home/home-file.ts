import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type HomeId, OpencodeToolsError, isId } from '@opencode-tools/core';

const homeFileVersion = 1;

function homeFilePath(directory: string): string {
  return path.join(directory, 'home.json');
}

/** Makes the home directory, readable by its owner only. @throws OpencodeToolsError `OCT_STORE_READ_ONLY`, `OCT_STORE_UNAVAILABLE` */
export function createHomeDirectory(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw homeError(directory, error);
  }
}

/**
 * Reads which home a directory is; undefined when nothing says so.
 *
 * @throws OpencodeToolsError `OCT_STATE_CORRUPT`, `OCT_SCHEMA_TOO_NEW`
 */
export function readHomeId(directory: string): HomeId | undefined {
  let text: string;
  try {
    text = readFileSync(homeFilePath(directory), 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw homeError(directory, error);
  }
  return parseHomeFile(directory, text);
}

/** Writes which home a directory is, whole, unless another process has; returns what the file says then. */
export function claimHomeFile(directory: string, homeId: HomeId): HomeId | undefined {
  const temporary = `${homeFilePath(directory)}.${process.pid}.tmp`;
  try {
    writeFileSync(temporary, `${JSON.stringify({ v: homeFileVersion, homeId })}\n`, { mode: 0o600, flush: true });
    linkSync(temporary, homeFilePath(directory));
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw homeError(directory, error);
  } finally {
    rmSync(temporary, { force: true });
  }
  return readHomeId(directory);
}

export function homeError(directory: string, error: unknown): unknown {
  const errno = errnoOf(error);
  const options = { details: { directory, errno }, cause: error };
  if (errno === 'EACCES' || errno === 'EPERM' || errno === 'EROFS') {
    return new OpencodeToolsError('OCT_STORE_READ_ONLY', `The home directory ${directory} cannot be written`, options);
  }
  if (errno === '') return error;
  return new OpencodeToolsError(
    'OCT_STORE_UNAVAILABLE',
    `The home directory ${directory} cannot be used (${errno})`,
    options,
  );
}

export function errnoOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

function parseHomeFile(directory: string, text: string): HomeId {
  const file = homeFilePath(directory);
  const parsed = parseOrNull(text);
  if (typeof parsed?.v === 'number' && parsed.v > homeFileVersion) {
    throw new OpencodeToolsError('OCT_SCHEMA_TOO_NEW', `${file} has version ${parsed.v}; ${homeFileVersion} is known`);
  }
  if (typeof parsed?.homeId === 'string' && isId('home', parsed.homeId)) return parsed.homeId;
  throw new OpencodeToolsError('OCT_STATE_CORRUPT', `${file} does not name a home`, {
    remedy: 'Move it aside: it is written again from the registry.',
    details: { file },
  });
}

function parseOrNull(text: string): { readonly v?: unknown; readonly homeId?: unknown } | null {
  try {
    return JSON.parse(text) as { readonly v?: unknown; readonly homeId?: unknown } | null;
  } catch {
    return null;
  }
}
