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
  return whileSaid('unable to freeze', act);
}

/**
 * Starts a container. A volume of layers is mounted once at a time, and a mount that has gone is still there for whatever was just
 * being started and has a copy of all mounts: other containers, for some milliseconds. The waits are as above.
 *
 * @throws EngineError likewise
 */
export async function untilMounted<T>(act: () => Promise<T>): Promise<T> {
  return whileSaid('device or resource busy', act);
}

async function whileSaid<T>(words: string, act: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await act();
    } catch (error) {
      const again = error instanceof EngineError && error.status === 500 && error.message.includes(words);
      if (!again || tries === mostTries) throw error;
      await delay(firstWaitMs * 2 ** (tries - 1));
    }
  }
}
