import { OpencodeToolsError, isOpencodeToolsError, printable } from '@opencode-tools/core';

/** An answer of the engine that is not a success; never leaves this package. */
export class EngineError extends Error {
  override readonly name = 'EngineError';
  /** HTTP status. */
  readonly status: number;

  constructor(status: number, message: string) {
    super(printable(message).trim());
    this.status = status;
  }
}

export function hasStatus(error: unknown, ...statuses: readonly number[]): boolean {
  return error instanceof EngineError && statuses.includes(error.status);
}

/** An engine that was starting a process when the container stopped says so with 500 in place of 409. */
export function saysNotRunning(error: unknown): boolean {
  return hasStatus(error, 409, 500) && error instanceof Error && /container \S+ is not running/i.test(error.message);
}

/** How an engine says that layers of a stack are gone, or are others than those that it was mounted from before. */
const lostMount =
  /failed to mount local volume: mount overlay:.*: (no such file or directory|stale (NFS )?file handle)/is;

/** How an engine says that it cannot fill a new volume with what an image has at its place. */
const noDirectory = /\bsource \S*?(?:\/merged(\/\S+))? is not directory/;

/** Turns whatever a call to the engine threw into an error for callers of the ports. */
export function asPortError(error: unknown, doing: string): OpencodeToolsError {
  if (isOpencodeToolsError(error)) return error;
  const message = error instanceof Error ? error.message : String(error);
  if (/no space left on device/i.test(message)) {
    return new OpencodeToolsError('OCT_RESOURCE_LIMIT', `${doing}: the engine's disk is full`, {
      remedy: 'Free space on the disk that holds the images and volumes of the engine.',
      details: { limit: 'engine-disk' },
      cause: error,
    });
  }
  if (error instanceof EngineError && error.status >= 500 && lostMount.test(message)) {
    const lost = 'the engine has lost files that a volume is mounted from';
    return new OpencodeToolsError('OCT_WORKSPACE_LOST', `${doing}: ${lost}`, { cause: error });
  }
  const [notDirectory, place = 'the place of a volume'] = noDirectory.exec(message) ?? [];
  if (error instanceof EngineError && notDirectory !== undefined) {
    const fact = `the image has no directory at ${place}, but something else`;
    return new OpencodeToolsError('OCT_INVALID_ARGUMENT', `${doing}: ${fact}`, {
      remedy: `Use an image that has a directory or nothing at ${place}: what a sandbox keeps is mounted there.`,
      details: { argument: 'image' },
      cause: error,
    });
  }
  if (error instanceof EngineError && error.status >= 500) {
    return new OpencodeToolsError('OCT_ENGINE_FAILED', `${doing}: the engine answered ${error.status}: ${message}`, {
      details: { status: error.status },
      cause: error,
    });
  }
  return new OpencodeToolsError('OCT_INTERNAL', `${doing}: the engine answered ${message}`, { cause: error });
}
