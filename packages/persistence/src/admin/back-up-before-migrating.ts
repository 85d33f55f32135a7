import { setTimeout as sleep } from 'node:timers/promises';
import { type Clock, type Logger, isOpencodeToolsError } from '@opencode-tools/core';
import { readIdentity } from '../migrations/migrate.ts';
import { latestSchemaVersion } from '../migrations/migrations.ts';
import type { Engine } from '../query/engine.ts';
import { backUp } from './backup.ts';
import { lockMaintenance } from './maintenance-lock.ts';
import { sweepScratch } from './scratch.ts';

const keptBackups = 10;
const patienceMs = 60_000;
const pauseMs = 50;

/** Saves a registry of an older schema before an opening process migrates it; several that open it make one backup. */
export async function backUpBeforeMigrating(
  engine: Engine,
  options: { readonly directory: string; readonly clock: Clock; readonly logger: Logger },
): Promise<void> {
  const unlock = await lockPatiently(options.directory);
  try {
    const identity = await engine.read(() => readIdentity(engine.traits));
    if (identity === null || identity.schemaVersion === latestSchemaVersion) return;
    const ctx = { ...options, place: { engine: 'sqlite' }, keepBackups: keptBackups, onStep: () => undefined } as const;
    sweepScratch(ctx);
    await backUp(ctx, engine, 'before-migrate');
  } finally {
    unlock();
  }
}

async function lockPatiently(directory: string): Promise<() => void> {
  for (const givenUpAt = performance.now() + patienceMs; ;) {
    try {
      return lockMaintenance(directory);
    } catch (error) {
      if (!isOpencodeToolsError(error, 'OCT_STORE_UNAVAILABLE') || performance.now() > givenUpAt) throw error;
      await sleep(pauseMs);
    }
  }
}
