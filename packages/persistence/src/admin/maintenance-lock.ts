import { accessSync, constants } from 'node:fs';
import path from 'node:path';
import { OpencodeToolsError } from '@opencode-tools/core';
import Database from 'better-sqlite3';
import { homeError } from '../home/home-file.ts';
import { isBusy } from '../sqlite/sqlite-errors.ts';

/**
 * Lets one process at a time work on the registry of a home as a whole. The lock is the kernel's, on a file of its own,
 * so that it ends with the process that has it.
 *
 * @returns what ends it
 * @throws OpencodeToolsError `OCT_STORE_UNAVAILABLE` when another process is at it; `OCT_STORE_READ_ONLY` where nothing can be written
 */
export function lockMaintenance(directory: string): () => void {
  try {
    accessSync(directory, constants.W_OK);
  } catch (error) {
    throw homeError(directory, error);
  }
  const file = path.join(directory, 'maintenance.lock');
  const database = new Database(file, { timeout: 0 });
  try {
    database.exec('begin exclusive');
  } catch (error) {
    database.close();
    if (!isBusy(error)) throw error;
    throw new OpencodeToolsError('OCT_STORE_UNAVAILABLE', `Another process maintains the registry of ${directory}`, {
      remedy: 'Try again when it has finished.',
      details: { directory },
      cause: error,
    });
  }
  return () => {
    if (database.inTransaction) database.exec('rollback');
    database.close();
  };
}
