import type { HomeId, PooledSandbox } from '@opencode-tools/core';
import { type Plan, changedRows } from '../query/plan.ts';
import { toRow } from '../rows/entity-rows.ts';
import { versionConflict } from './put-task.ts';
import { replaceVersionStatement } from './row-writer.ts';

/** Replaces an entry of the pool at the version before. @returns false when it is at another one, or gone */
export function* replacePooled(homeId: HomeId, entry: PooledSandbox): Plan<boolean> {
  const row = { ...toRow.pooled(homeId, entry), previous: entry.version - 1 };
  return (yield* changedRows(updatePooled(row))) > 0;
}

/** Takes a sandbox out of the pool within a change, or refuses the whole change. */
export function* takePooled(homeId: HomeId, entry: PooledSandbox): Plan<void> {
  if (yield* replacePooled(homeId, entry)) return;
  throw versionConflict('pooled sandbox', entry.id, entry.version, undefined);
}

const updatePooled = replaceVersionStatement('pooled_sandboxes', ['state', 'version', 'entity']);
