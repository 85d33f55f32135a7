import { setTimeout } from 'node:timers/promises';

const moveAttempts = 4;
const movePauseMs = 200;

/** Does what another git, which is at work for a moment or was killed and goes on, may keep from being done. @throws as the last try */
export async function doneAtLast(bring: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await bring();
    } catch (error) {
      if (attempt >= moveAttempts) throw error;
    }
    await setTimeout(attempt * movePauseMs);
  }
}
