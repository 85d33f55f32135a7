import { isOpencodeToolsError } from '@opencode-tools/core';
import { type StoreIdentity, readIdentity } from '../migrations/migrate.ts';
import type { Engine } from '../query/engine.ts';
import type { MaintenanceContext } from './maintenance-context.ts';
import { structureProblems } from './verify-registry.ts';
import { openPlace } from './registry-place.ts';

/** The registry that a home has now. */
export type CurrentRegistry = UsableRegistry | UnusableRegistry;

export interface UsableRegistry extends AsyncDisposable {
  readonly usable: true;
  readonly engine: Engine;
  readonly identity: StoreIdentity;
}

interface UnusableRegistry extends AsyncDisposable {
  readonly usable: false;
  /** Why, in one line. */
  readonly fault: string;
  /** An empty database, for something to be put in; null when there is only a damaged file, or none. */
  readonly engine: Engine | null;
}

/**
 * Opens what is there and says whether it can be used.
 *
 * @throws OpencodeToolsError `OCT_SCHEMA_TOO_NEW`; `OCT_STORE_UNAVAILABLE` for a server that does not answer: that is not a
 *   registry that is gone
 */
export async function openCurrent(ctx: MaintenanceContext): Promise<CurrentRegistry> {
  let engine: Engine | undefined;
  try {
    engine = await openPlace(ctx.directory, ctx.place);
    if (engine === undefined) return unusable('There is no registry', null);
    const { traits } = engine;
    const identity = await engine.read(() => readIdentity(traits));
    if (identity === null) return unusable('The database is empty', engine);
    const found = engine;
    return { usable: true, engine, identity, [Symbol.asyncDispose]: () => found.close() };
  } catch (error) {
    await engine?.close();
    if (!isOpencodeToolsError(error, 'OCT_STATE_CORRUPT')) throw error;
    return unusable(error.message, null);
  }
}

/** The same, and a file whose structure is damaged cannot be used either, however much of it can be read. */
export async function openIntact(ctx: MaintenanceContext): Promise<CurrentRegistry> {
  const current = await openCurrent(ctx);
  if (!current.usable) return current;
  const [problem] = await structureProblems(current.engine);
  if (problem === undefined) return current;
  await current.engine.close();
  return unusable(`The file is damaged: ${problem}`, null);
}

function unusable(fault: string, engine: Engine | null): UnusableRegistry {
  return { usable: false, fault, engine, [Symbol.asyncDispose]: async () => engine?.close() };
}
