import { setTimeout as delay } from 'node:timers/promises';

/** Waits until a condition holds, and throws when it does not within the limit (default 30,000 ms). */
export async function until(condition: () => Promise<boolean> | boolean, limitMs = 30_000): Promise<void> {
  const deadline = performance.now() + limitMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`Not within ${limitMs} ms: ${condition.toString()}`);
    await delay(10);
  }
}
