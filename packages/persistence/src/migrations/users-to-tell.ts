import type { Logger, StoreUser } from '@opencode-tools/core';
import type { Engine } from '../query/engine.ts';
import type { StoreIdentity } from './migrate.ts';
import { latestSchemaVersion } from './migrations.ts';

/** Finds who has a registry open that is about to be migrated by a process which opens it, and names them in a warning. */
export async function usersToTell(
  engine: Engine,
  found: StoreIdentity | null,
  logger: Logger,
): Promise<readonly StoreUser[]> {
  if (found === null || found.schemaVersion === latestSchemaVersion) return [];
  const processes = await engine.users();
  if (processes.length > 0) {
    const named = processes.map((user) => ({ ...user }));
    logger.warn('The schema changes while other processes have the home open: start them again', { processes: named });
  }
  return processes;
}
