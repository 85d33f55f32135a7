import type { Kernel } from '../kernel.ts';
import { discard } from './pooled-parts.ts';
import type { WarmPool } from './warm-pool.ts';

/** Adopts what a dead process kept ready as far as this one wants it, and removes the rest. Claimed ones are tasks'. */
export async function settleAbandoned(kernel: Kernel, pool: WarmPool): Promise<void> {
  const { housekeeping, processes, logger } = kernel.deps;
  for (const entry of await housekeeping.listPooled()) {
    if (entry.claim !== null || processes.isAlive(entry.owner)) continue;
    try {
      if (entry.state === 'ready' && pool.wants(entry.key) && (await pool.adopt(entry))) continue;
      await discard(kernel, entry);
    } catch (error) {
      logger.warn('A sandbox that a dead process kept ready was not settled', {
        sandbox: entry.name,
        error: String(error),
      });
    }
  }
}
