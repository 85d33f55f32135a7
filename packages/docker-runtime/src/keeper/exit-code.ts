import { setTimeout as delay } from 'node:timers/promises';
import type { Containers } from '../engine/containers.ts';
import { hasStatus } from '../engine/engine-error.ts';

const firstPollMs = 2;
const slowestPollMs = 250;
/** An engine that is busy may not answer in time. */
const mostFailures = 3;

/**
 * Waits for the exit code of a process that the engine started: a stream ends somewhat before the engine has noticed the end of its
 * process, or long before it. Null when the engine does not know, or nobody waits any more.
 */
export async function exitCodeOf(
  containers: Containers,
  exec: string,
  waits: () => boolean = () => true,
): Promise<number | null> {
  let failures = 0;
  for (let waitMs = firstPollMs; waits(); waitMs = Math.min(2 * waitMs, slowestPollMs)) {
    try {
      const facts = await containers.inspectExec(exec);
      if (!facts.Running) return facts.ExitCode;
    } catch (error) {
      if (hasStatus(error, 404) || (failures += 1) >= mostFailures) return null;
    }
    await delay(waitMs);
  }
  return null;
}
