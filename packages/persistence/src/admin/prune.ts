import { type PruneOptions, type PruneReport, toTimestamp } from '@opencode-tools/core';
import type { StoreContext } from '../write/context.ts';
import { forgetTombstones } from './forget-tombstones.ts';
import { pruneChains } from './prune-chains.ts';
import { pruneOutputs } from './prune-outputs.ts';

const dayMs = 24 * 60 * 60 * 1000;

/** Takes out of the outputs, of every chain and of the tombstones what is past its time. */
export async function prune(ctx: StoreContext, homeDirectory: string, options: PruneOptions): Promise<PruneReport> {
  const dryRun = options.dryRun === true;
  const { keepOutputDays = null, keepLedgerDays, keepTombstoneDays } = options;
  const daysAgo = (days: number): number => ctx.clock.nowMs() - days * dayMs;
  // Outputs go first: it needs no room on the disk, and makes some.
  const outputs =
    keepOutputDays === null
      ? []
      : await pruneOutputs(ctx, homeDirectory, { beforeMs: daysAgo(keepOutputDays), dryRun });
  const chains = keepLedgerDays === null ? [] : await pruneChains(ctx, toTimestamp(daysAgo(keepLedgerDays)), dryRun);
  const tombstones =
    keepTombstoneDays === null ? [] : await forgetTombstones(ctx, toTimestamp(daysAgo(keepTombstoneDays)), dryRun);
  return { dryRun, chains, tombstones, outputs };
}
