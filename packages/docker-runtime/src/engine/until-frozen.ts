import { setTimeout as delay } from 'node:timers/promises';
import { EngineError } from './engine-error.ts';

const mostTries = 8;
const firstWaitMs = 100;

/**
 * Does what freezes a container. With control groups of version 1 the freezer gives up on processes that are busy in the
 * kernel, and thaws the others again; on a loaded host the next try gets there. The waits double, to 13 s in all.
 *
 * @throws EngineError what the engine said at the last try, or anything else that it said
 */
export async function untilFrozen<T>(act: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await act();
    } catch (error) {
      if (tries === mostTries || !cannotFreeze(error)) throw error;
      await delay(firstWaitMs * 2 ** (tries - 1));
    }
  }
}

function cannotFreeze(error: unknown): boolean {
  return error instanceof EngineError && error.status === 500 && error.message.includes('unable to freeze');
}
