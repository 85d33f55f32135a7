import { type Logger, OpencodeToolsError } from '@opencode-tools/core';
import { lockMaintenance } from '../admin/maintenance-lock.ts';
import { peekHomeFile, readHomeFile, switchHomeDatabase } from './home-file.ts';
import { type HomePlace, isSameDirectory, placeOf } from './home-place.ts';

/**
 * Says where the home is that a directory is a copy of: the place where it was last opened, when that still holds the same
 * home in another directory. Null for a home that was moved, was put back, or is reached on another way.
 */
export function originalOf(directory: string): string | null {
  const { homeId, place } = peekHomeFile(directory);
  const here = placeOrNull(directory);
  if (homeId === null || place === null || here === null || place.path === here.path) return null;
  const there = placeOrNull(place.path);
  if (there === null || isSameDirectory(there, here)) return null;
  return peekHomeFile(place.path).homeId === homeId ? place.path : null;
}

/**
 * Refuses a copy beside its original: containers and volumes are found by the id of their home, so that each would take
 * the other's for its own.
 *
 * @throws OpencodeToolsError `OCT_STORE_UNAVAILABLE`
 */
export function refuseCopy(directory: string): void {
  const original = originalOf(directory);
  if (original === null) return;
  throw new OpencodeToolsError('OCT_STORE_UNAVAILABLE', `The home ${directory} ${copyFault(original)}`, {
    remedy: `Use ${original}. To go on with ${directory} instead, first delete ${original}, or move it to where nobody opens it.`,
    details: { directory, original },
  });
}

/** What is wrong with a copy, for whoever names the directory. */
export function copyFault(original: string): string {
  return `is a copy of ${original}, which is still there: both would act on the same containers and volumes`;
}

/**
 * Keeps in the home file where the home is, when that is not what the file says. Under the lock of maintenance, as that may
 * be about to write where the registry is; the next open does what could not be done now.
 */
export function recordPlace(directory: string, logger: Logger): void {
  try {
    if (!isPlaceNew(directory)) return;
    const unlock = lockMaintenance(directory);
    try {
      const home = readHomeFile(directory);
      if (home !== undefined && isPlaceNew(directory)) switchHomeDatabase(directory, home.homeId, home.database);
    } finally {
      unlock();
    }
  } catch (error) {
    logger.debug('The place of the home could not be recorded', { directory, error: String(error) });
  }
}

function isPlaceNew(directory: string): boolean {
  const { place } = peekHomeFile(directory);
  const here = placeOf(directory);
  if (place === null) return true;
  if (place.path === here.path) return !isSameDirectory(place, here);
  const there = placeOrNull(place.path);
  return there === null || !isSameDirectory(there, here);
}

function placeOrNull(directory: string): HomePlace | null {
  try {
    return placeOf(directory);
  } catch {
    return null;
  }
}
