import { OpencodeToolsError } from '@opencode-tools/core';
import type { Containers } from '../engine/containers.ts';
import { hasStatus } from '../engine/engine-error.ts';
import { LaneLostError } from '../lane/lane.ts';

/** How long an engine may take to notice that a container ended. */
const endLimitMs = 3_000;

/** Exit codes by which an init says that it cannot run, or does not find, what it was told to start. */
const noProgram = [126, 127];

/**
 * Says what kept a container from starting. Engines refuse to start one without its program, unless an init is started first: then that
 * ends at once.
 */
export async function startError(containers: Containers, id: string, error: unknown): Promise<unknown> {
  const message = error instanceof Error ? error.message : '';
  const refused = hasStatus(error, 400) && /no such file|not found|permission denied/i.test(message);
  const code = !refused && error instanceof LaneLostError ? await endOf(containers, id) : undefined;
  if (code !== undefined && !noProgram.includes(code)) return endedByItself(code, error);
  if (!refused && code === undefined) return error;
  return new OpencodeToolsError('OCT_CAPABILITY_UNSUPPORTED', 'The image cannot be a sandbox: it has no /bin/sh', {
    remedy: 'Use an image with a shell, such as opencode-sandbox-base.',
    details: { capability: 'shell' },
    cause: error,
  });
}

/** What takes commands ends only when it is told to: the shell that was to start it did not. */
function endedByItself(code: number, cause: unknown): OpencodeToolsError {
  return new OpencodeToolsError(
    'OCT_CAPABILITY_UNSUPPORTED',
    `The image cannot be a sandbox: its /bin/sh ended by itself, with ${code}`,
    {
      remedy: 'Use an image whose /bin/sh is a shell that runs what `-c` gives it, such as opencode-sandbox-base.',
      details: { capability: 'a shell that runs commands', exitCode: code },
      cause,
    },
  );
}

/** Undefined when the container goes on. */
async function endOf(containers: Containers, id: string): Promise<number | undefined> {
  return containers.wait(id, endLimitMs).catch(() => undefined);
}

export function isShellless(reason: unknown): boolean {
  return reason instanceof OpencodeToolsError && reason.details.capability === 'shell';
}
