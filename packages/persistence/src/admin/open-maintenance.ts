import { existsSync } from 'node:fs';
import path from 'node:path';
import {
  type Clock,
  type Logger,
  type MaintenanceStatus,
  OpencodeToolsError,
  type RegistryTarget,
  type SchemaChange,
  type StoreBackup,
  type StoreMaintenance,
  silentLogger,
  systemClock,
} from '@opencode-tools/core';
import { copyFault, originalOf, refuseCopy } from '../home/home-copy.ts';
import { homeError, readHomeId } from '../home/home-file.ts';
import { assertWayBack, migrate, rollback, stepsBetween } from '../migrations/migrate.ts';
import { latestSchemaVersion } from '../migrations/migrations.ts';
import type { Engine } from '../query/engine.ts';
import { asStoreError } from '../sqlite/sqlite-errors.ts';
import { backUp, isAutomatic, listBackups } from './backup.ts';
import { type UsableRegistry, openCurrent } from './current-registry.ts';
import { type MaintenanceContext, storeContext } from './maintenance-context.ts';
import { lockMaintenance } from './maintenance-lock.ts';
import { abandonMove, moveRegistry } from './move.ts';
import { movedMark } from './move-marks.ts';
import { rebuildRegistry } from './rebuild.ts';
import { readFacts } from './registry-facts.ts';
import { type RegistryPlace, sqliteFileOf } from './registry-place.ts';
import { restoreBackup } from './restore.ts';
import { sweepScratch } from './scratch.ts';
import { settle } from './settle.ts';
import { verifyRegistry } from './verify-registry.ts';

export interface OpenMaintenance {
  /** Absolute path of the home directory, which must exist. */
  readonly directory: string;
  /** Where the registry is now; in the home by default. */
  readonly place?: RegistryPlace;
  readonly clock?: Clock;
  readonly logger?: Logger;
  /** Automatic backups that are kept; default 10. */
  readonly keepBackups?: number;
  /** Told before each step that a crash could come between; for tests. */
  readonly onStep?: (step: string) => void;
}

const defaultKeep = 10;

/** Gives the maintenance of a home's registry. Nothing is opened before a verb is called, and nothing stays open. */
export function createMaintenance(options: OpenMaintenance): StoreMaintenance {
  const ctx: MaintenanceContext = {
    directory: path.resolve(options.directory),
    place: options.place ?? { engine: 'sqlite' },
    clock: options.clock ?? systemClock,
    logger: options.logger ?? silentLogger,
    keepBackups: options.keepBackups ?? defaultKeep,
    onStep: options.onStep ?? (() => undefined),
  };
  const alone = <T>(work: () => Promise<T>): Promise<T> =>
    typed(ctx, async () => {
      if (!existsSync(ctx.directory)) throw noHome(ctx.directory);
      refuseCopy(ctx.directory);
      const unlock = lockMaintenance(ctx.directory);
      try {
        sweepScratch(ctx);
        return await work();
      } finally {
        unlock();
      }
    });
  return {
    status: () => typed(ctx, () => readStatus(ctx)),
    verify: () =>
      typed(ctx, () =>
        onUsable(ctx, ({ engine }) => verifyRegistry(storeContext(ctx, engine, readHomeId(ctx.directory)))),
      ),
    migrate: (given) => alone(() => migrateSchema(ctx, given?.dryRun === true)),
    rollback: (given) => alone(() => rollBackSchema(ctx, given.to, given.dryRun === true)),
    backup: (given) =>
      alone(() => onUsable(ctx, ({ engine }) => backUp(ctx, engine, slug(given?.reason), given?.dryRun))),
    listBackups: async () => listBackups(ctx),
    restore: (given) => alone(() => settled(ctx, () => restoreBackup(ctx, given))),
    move: (given) => alone(() => settled(ctx, () => moveRegistry(ctx, given), given.to)),
    abandonMove: () => alone(() => abandonMove(ctx)),
    rebuild: (given) => alone(() => settled(ctx, () => rebuildRegistry(ctx, given ?? {}))),
  };
}

/** Turns what the driver and the file system throw into errors of ours: a disk may be full, a file damaged. */
async function typed<T>(ctx: MaintenanceContext, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const known = asStoreError(error, sqliteFileOf(ctx.directory));
    throw known instanceof Error && 'syscall' in known ? homeError(ctx.directory, known) : known;
  }
}

async function settled<T extends { readonly dryRun: boolean }>(
  ctx: MaintenanceContext,
  work: () => Promise<T>,
  moved?: RegistryTarget,
): Promise<T> {
  const report = await work();
  if (!report.dryRun) await settle(ctx, moved);
  return report;
}

async function onUsable<T>(ctx: MaintenanceContext, work: (current: UsableRegistry) => Promise<T>): Promise<T> {
  await using current = await openCurrent(ctx);
  if (current.usable) return await work(current);
  throw new OpencodeToolsError(
    'OCT_STATE_CORRUPT',
    `The registry of ${ctx.directory} cannot be used: ${current.fault}`,
    {
      remedy:
        'Restore a backup with `opencode-tools db restore`, or make it again with `opencode-tools doctor --rebuild`.',
      details: { directory: ctx.directory, fault: current.fault },
    },
  );
}

async function readStatus(ctx: MaintenanceContext): Promise<MaintenanceStatus> {
  await using current = await openCurrent(ctx);
  const { engine } = current;
  const common = {
    homeId: readHomeId(ctx.directory) ?? null,
    engine: ctx.place.engine,
    location: engine?.location ?? sqliteFileOf(ctx.directory),
    latestSchemaVersion,
    sizeBytes: (await engine?.sizeBytes()) ?? 0,
    backups: listBackups(ctx).length,
  };
  if (!current.usable) {
    const unknown = { schemaVersion: null, epoch: null, tasks: null, records: null };
    return { ...common, ...unknown, pendingMigrations: [], movingTo: null, fault: current.fault };
  }
  const { schemaVersion, epoch, tasks, records } = await current.engine.snapshot(readFacts);
  const mark = schemaVersion === latestSchemaVersion ? await movedMark(current.engine) : null;
  const movingTo = mark === null ? null : mark.slice(mark.indexOf(' ') + 1);
  const pendingMigrations = stepsBetween(schemaVersion, latestSchemaVersion).map(({ name }) => name);
  const original = originalOf(ctx.directory);
  const fault = original === null ? null : `It ${copyFault(original)}`;
  return { ...common, schemaVersion, epoch, tasks, records, pendingMigrations, movingTo, fault };
}

async function migrateSchema(ctx: MaintenanceContext, dryRun: boolean): Promise<SchemaChange> {
  return onUsable(ctx, async ({ engine, identity }) => {
    const change = await schemaChange(engine, { from: identity.schemaVersion, to: latestSchemaVersion, dryRun });
    if (dryRun || change.steps.length === 0) return change;
    const backup = await backUp(ctx, engine, 'before-migrate');
    ctx.onStep('migrate: change');
    await migrate(storeContext(ctx, engine, identity.homes[0]), { users: change.processes });
    return { ...change, backup };
  });
}

async function rollBackSchema(ctx: MaintenanceContext, to: number, dryRun: boolean): Promise<SchemaChange> {
  return onUsable(ctx, async ({ engine, identity }) => {
    assertWayBack(identity.schemaVersion, to);
    const change = await schemaChange(engine, { from: identity.schemaVersion, to, dryRun });
    if (dryRun || change.steps.length === 0) return change;
    const backup: StoreBackup = await backUp(ctx, engine, 'before-rollback');
    ctx.onStep('rollback: change');
    await rollback(storeContext(ctx, engine, identity.homes[0]), to, change.processes);
    return { ...change, backup };
  });
}

async function schemaChange(
  engine: Engine,
  change: Pick<SchemaChange, 'dryRun' | 'from' | 'to'>,
): Promise<SchemaChange> {
  const steps = stepsBetween(change.from, change.to).map(({ name }) => name);
  return { ...change, steps, backup: null, processes: steps.length === 0 ? [] : await engine.users() };
}

/** A reason as it may stand in a file name; an automatic one is never mistaken for a person's. */
function slug(reason: string | undefined): string {
  const words = (reason ?? '')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')
    .slice(0, 40);
  if (words === '') return 'manual';
  return isAutomatic(words) ? `manual-${words}` : words;
}

function noHome(directory: string): OpencodeToolsError {
  return new OpencodeToolsError('OCT_STORE_UNAVAILABLE', `There is no home in ${directory}`, {
    remedy: 'Name the directory of an existing home.',
    details: { directory },
  });
}
