import { existsSync, linkSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { type HomeId, OpencodeToolsError } from '@opencode-tools/core';
import { applyMigrations } from '../migrations/migrate.ts';
import { latestSchemaVersion } from '../migrations/migrations.ts';
import type { Engine } from '../query/engine.ts';
import { type Plan, firstRow } from '../query/plan.ts';
import type { Traits } from '../query/traits.ts';
import { commitFile, fileTime } from './files.ts';
import { replaceRows } from './load-rows.ts';
import { type MaintenanceContext, storeContext } from './maintenance-context.ts';
import { raw, rawPer } from './raw.ts';
import { type RegistryFacts, differences, readFacts } from './registry-facts.ts';
import { sqliteFileOf } from './registry-place.ts';
import { type Scratch, backupDirectory } from './scratch.ts';
import { readTokens } from './seen-tokens.ts';
import { SqliteRows } from './sqlite-file.ts';
import { type StartEpoch, startEpochPlan } from './start-epoch.ts';

interface Installed {
  readonly epoch: number;
}

/**
 * Puts the contents of a scratch registry in the place of a registry that is in use, in one transaction of its own
 * database: whoever has it open goes on in the new epoch, and nobody ever sees half of either.
 *
 * @param expected what the registry must still hold; undefined when it holds nothing
 * @returns null when it has changed since
 */
export async function replaceContents(
  ctx: MaintenanceContext,
  engine: Engine,
  made: Scratch,
  start: StartEpoch & { readonly homeId: HomeId; readonly expected?: RegistryFacts; readonly schemaVersion: number },
): Promise<Installed | null> {
  const { traits } = engine;
  return engine.write(function* () {
    yield* applyMigrations(traits, start.schemaVersion, latestSchemaVersion);
    yield* holdWriters(traits);
    const { expected } = start;
    if (expected !== undefined) {
      const now = yield* readFacts();
      if (now.epoch !== expected.epoch || differences(expected, { ...now, counts: expected.counts }).length > 0)
        return null;
    }
    const seenTokens = new Map([...(start.seenTokens ?? []), ...(yield* readTokens())]);
    const meta = yield* firstRow(raw<{ epoch: number }>('select epoch from meta'));
    yield* replaceRows(traits.engine, new SqliteRows(made.file));
    yield raw('update meta set moved_to = null');
    const { epoch } = yield* startEpochPlan(storeContext(ctx, engine, start.homeId), {
      ...start,
      seenTokens,
      after: Math.max(meta?.epoch ?? 0, start.after ?? 0),
    });
    return { epoch };
  });
}

/**
 * Makes a scratch registry the file of a home that has none which can be used. What is there is kept aside with its
 * write-ahead log, which must not meet another database.
 */
export async function installFile(
  ctx: MaintenanceContext,
  made: Scratch,
  start: StartEpoch & { readonly homeId: HomeId },
) {
  const { epoch } = await made.engine.write(() => startEpochPlan(storeContext(ctx, made.engine, start.homeId), start));
  await made.engine.close();
  const file = sqliteFileOf(ctx.directory);
  const aside = existsSync(file)
    ? path.join(backupDirectory(ctx), `${fileTime(ctx.clock.nowMs())}-unreadable.db`)
    : null;
  ctx.onStep('install: keep aside');
  if (aside !== null) linkSync(file, aside);
  for (const suffix of ['-wal', '-shm']) {
    if (!existsSync(file + suffix)) continue;
    if (aside === null) rmSync(file + suffix);
    else renameSync(file + suffix, aside + suffix);
  }
  ctx.onStep('install: rename');
  commitFile(made.file, file);
  return { epoch, keptAside: aside };
}

/** Makes every other writer wait until the transaction ends. */
function* holdWriters(traits: Traits): Plan<void> {
  if (traits.rowLocks) yield rawPer({ sqlite: '', postgres: 'lock table streams, meta in exclusive mode' });
}

export function homeMismatch(directory: string, homeId: HomeId, homes: readonly string[]): OpencodeToolsError {
  return new OpencodeToolsError(
    'OCT_INVALID_ARGUMENT',
    `${directory} is home ${homeId}, but the copy is of ${homes.join(', ') || 'no home'}`,
    { remedy: 'Choose a backup of this home.', details: { directory, homeId, homes } },
  );
}
