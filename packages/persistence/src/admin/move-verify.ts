import { OpencodeToolsError } from '@opencode-tools/core';
import type { Engine } from '../query/engine.ts';
import { type MaintenanceContext, storeContext } from './maintenance-context.ts';
import { copyLedgerAgain } from './move-copy.ts';
import { digestRows } from './registry-facts.ts';
import { readShapes } from './table-shapes.ts';
import { verifyRegistry } from './verify-registry.ts';

/**
 * Compares two registries row by row and checks every chain of the second.
 *
 * @throws OpencodeToolsError `OCT_STATE_CORRUPT` naming the first table or record that differs
 */
export async function verifyCopy(ctx: MaintenanceContext, source: Engine, target: Engine): Promise<void> {
  let differing = await differingTables(source, target);
  if (differing.includes('ledger')) {
    await copyLedgerAgain(ctx, source, target);
    differing = await differingTables(source, target);
  }
  const [table] = differing;
  if (table !== undefined) throw notTheSame(`the rows of ${table} differ`);
  const { broken, problems } = await verifyRegistry(storeContext(ctx, target));
  const [first] = broken;
  // The rows are the same, so a chain that is broken here is broken there: moving it hides nothing, and says so.
  if (first !== undefined) ctx.logger.warn('The registry that is moved has a broken chain', { ...first });
  if (problems.length > 0) ctx.logger.warn('The registry that is moved has faults', { problems });
}

async function differingTables(source: Engine, target: Engine): Promise<readonly string[]> {
  const differing: string[] = [];
  for (const shape of await source.read(readShapes)) {
    if (shape.name === 'meta') continue;
    const digests = await Promise.all([source, target].map((engine) => engine.snapshot(() => digestRows(shape))));
    if (new Set(digests).size > 1) differing.push(shape.name);
  }
  return differing;
}

function notTheSame(why: string): OpencodeToolsError {
  return new OpencodeToolsError('OCT_STATE_CORRUPT', `The moved registry is not the same: ${why}`, {
    remedy: 'The old registry goes on as before. Run `opencode-tools db move` again.',
  });
}
