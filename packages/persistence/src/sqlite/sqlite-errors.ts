import { OpencodeToolsError, isOpencodeToolsError } from '@opencode-tools/core';
import { makeRoom } from '../home/home-file.ts';
import { schemaChanged } from '../query/schema-changed.ts';

/** A statement met tables of another version of the schema: it was changed after the process had looked. */
const otherSchema = /^(?:no such (?:table|column)|table \S+ has no column)/;

/** True when the same statement may succeed as soon as another connection lets go. */
export function isBusy(error: unknown): boolean {
  const code = codeOf(error);
  return code.startsWith('SQLITE_BUSY') || code.startsWith('SQLITE_LOCKED');
}

/** Turns what the driver throws into an error of ours; ours pass unchanged. */
export function asStoreError(error: unknown, location: string): unknown {
  if (isOpencodeToolsError(error)) return error;
  const code = codeOf(error);
  if (!code.startsWith('SQLITE_')) return error;
  const options = { details: { location, driverCode: code }, cause: error };
  if (code.startsWith('SQLITE_READONLY') || code.startsWith('SQLITE_PERM') || code === 'SQLITE_AUTH') {
    return new OpencodeToolsError('OCT_STORE_READ_ONLY', `The registry ${location} cannot be written`, options);
  }
  if (code.startsWith('SQLITE_NOTADB') || code.startsWith('SQLITE_CORRUPT')) {
    return new OpencodeToolsError('OCT_STATE_CORRUPT', `The registry ${location} is damaged or no database`, {
      ...options,
      remedy:
        'Run `opencode-tools doctor --rebuild` to make it again from the task files, or `opencode-tools db restore`; the file is kept.',
    });
  }
  if (code.startsWith('SQLITE_FULL') || code === 'SQLITE_IOERR_SHMSIZE') {
    return new OpencodeToolsError('OCT_STORE_UNAVAILABLE', `There is no room left for the registry ${location}`, {
      ...options,
      remedy: makeRoom,
    });
  }
  if (code.startsWith('SQLITE_CANTOPEN') || code.startsWith('SQLITE_IOERR') || code.startsWith('SQLITE_PROTOCOL')) {
    return new OpencodeToolsError(
      'OCT_STORE_UNAVAILABLE',
      `The registry ${location} cannot be opened or read`,
      options,
    );
  }
  if (otherSchema.test(messageOf(error))) return schemaChanged(location, messageOf(error), options);
  return new OpencodeToolsError(
    'OCT_INTERNAL',
    `The registry ${location} refused a statement: ${messageOf(error)}`,
    options,
  );
}

export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
