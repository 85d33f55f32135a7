import { type ErrorCode, type JsonObject, OpencodeToolsError, isOpencodeToolsError } from '@opencode-tools/core';
import { type BytePath, toText } from './byte-path.ts';

/** The error number's name of a failed system call, if it is one. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** Says what a failed write into the store means for the caller. */
export function storeFailure(directory: string, error: unknown): OpencodeToolsError {
  if (isOpencodeToolsError(error)) return error;
  const errno = errnoOf(error);
  const details = { directory, errno: errno ?? null };
  if (errno === 'ENOSPC' || errno === 'EDQUOT') {
    return failure('OCT_RESOURCE_LIMIT', `No space is left for the store at ${directory}`, error, details, {
      remedy: 'Free disk space, or move the home to a larger disk, then try again.',
    });
  }
  if (errno === 'EROFS') {
    return failure('OCT_STORE_READ_ONLY', `The store at ${directory} cannot be written`, error, details);
  }
  if (errno === undefined) return failure('OCT_INTERNAL', messageOf(error), error, details);
  return failure('OCT_STORE_UNAVAILABLE', `The store at ${directory} failed: ${messageOf(error)}`, error, details);
}

/** Says what a failed read of a tree on the host means for the caller. */
export function treeFailure(path: BytePath, error: unknown): OpencodeToolsError {
  if (isOpencodeToolsError(error)) return error;
  const shown = shortPath(toText(path));
  const errno = errnoOf(error);
  const message = {
    ENOENT: `No such path: ${shown}`,
    ENOTDIR: `Not a directory: ${shown}`,
    EACCES: `May not be read: ${shown}`,
    EPERM: `May not be read: ${shown}`,
  }[errno ?? ''];
  return failure(
    'OCT_INVALID_ARGUMENT',
    message ?? `Cannot be read: ${shown} (${messageOf(error)})`,
    error,
    {
      path: shown,
      errno: errno ?? null,
    },
    { remedy: 'Name a directory whose files this user may read, and keep it unchanged meanwhile.' },
  );
}

export function corrupt(snapshotId: string, path: string, why: string): OpencodeToolsError {
  return new OpencodeToolsError('OCT_CHECKPOINT_CORRUPT', `Snapshot ${snapshotId} is damaged at ${path}: ${why}`, {
    details: { snapshotId, path },
  });
}

export function invalid(message: string, remedy: string, details: JsonObject = {}): OpencodeToolsError {
  return new OpencodeToolsError('OCT_INVALID_ARGUMENT', message, { remedy, details });
}

/** @throws OpencodeToolsError `OCT_CANCELLED` when the signal has fired */
export function throwIfCancelled(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) {
    throw new OpencodeToolsError('OCT_CANCELLED', 'The work on a workspace was cancelled', { cause: signal.reason });
  }
}

function failure(
  code: ErrorCode,
  message: string,
  cause: unknown,
  details: JsonObject,
  more: { readonly remedy?: string } = {},
): OpencodeToolsError {
  return new OpencodeToolsError(code, message, { cause, details, ...more });
}

function messageOf(error: unknown): string {
  return shortPath(error instanceof Error ? error.message : String(error));
}

/** A path for a message: its beginning and its end where it is long. */
export function shortPath(path: string): string {
  return path.length <= mostShown ? path : `${path.slice(0, mostShown / 2)}…${path.slice(-mostShown / 2)}`;
}

const mostShown = 600;
