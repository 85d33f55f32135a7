import { chmodSync, copyFileSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import type { HomeId } from '@opencode-tools/core';
import { applyMigrations } from '../migrations/migrate.ts';
import { latestSchemaVersion } from '../migrations/migrations.ts';
import type { SqliteEngine } from '../sqlite/sqlite-engine.ts';
import { DumpFile } from './dump-file.ts';
import { replaceRows } from './load-rows.ts';
import type { MaintenanceContext } from './maintenance-context.ts';
import { raw } from './raw.ts';
import { openSqliteFile } from './sqlite-file.ts';

/** A registry on the side, for trying a backup and for building what takes another's place. Removed with it. */
export interface Scratch extends AsyncDisposable {
  readonly file: string;
  readonly engine: SqliteEngine;
}

const prefix = '.scratch-';

/** Makes an empty scratch registry of a schema version. */
export async function emptyScratch(ctx: MaintenanceContext, schemaVersion = latestSchemaVersion): Promise<Scratch> {
  const file = scratchFile(ctx);
  const engine = openSqliteFile(file);
  await engine.write(function* () {
    yield* applyMigrations(engine.traits, 0, schemaVersion);
  });
  return scratch(file, engine);
}

/** Restores a backup, as it was made, into a scratch registry. */
export async function restoredScratch(ctx: MaintenanceContext, backup: string): Promise<Scratch> {
  if (backup.endsWith('.jsonl')) {
    const dump = new DumpFile(backup);
    const made = await emptyScratch(ctx, dump.identity.schemaVersion);
    try {
      await made.engine.write(() => replaceRows('sqlite', dump));
      return made;
    } catch (error) {
      await made[Symbol.asyncDispose]();
      throw error;
    }
  }
  const file = scratchFile(ctx);
  copyFileSync(backup, file);
  // It may become the registry, and the backup be one that others could read.
  chmodSync(file, 0o600);
  return scratch(file, openSqliteFile(file));
}

/** Brings a scratch registry to the newest schema; what is in it stays. */
export async function upgradeScratch(made: Scratch, from: number): Promise<void> {
  await made.engine.write(function* () {
    yield* applyMigrations(made.engine.traits, from, latestSchemaVersion);
    yield raw(`update meta set schema_version = ${latestSchemaVersion}, moved_to = null`);
  });
}

/** Removes what processes left that were killed; the caller has the maintenance lock. */
export function sweepScratch(ctx: MaintenanceContext): void {
  const directory = backupDirectory(ctx);
  for (const name of readdirSync(directory)) {
    if (name.startsWith(prefix) || name.startsWith('.check-') || name.endsWith('.partial')) {
      rmSync(path.join(directory, name), { recursive: true, force: true });
    }
  }
}

export function backupDirectory(ctx: Pick<MaintenanceContext, 'directory'>): string {
  const directory = path.join(ctx.directory, 'backups');
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  return directory;
}

/** The row that every registry has, for one that was built from nothing. */
export function* identify(homeId: HomeId, at: string) {
  yield raw(`insert into meta (id, schema_version, epoch, created_at) values (1, ${latestSchemaVersion}, 0, ?)`, [at]);
  yield raw('insert into homes (home_id, created_at) values (?, ?) on conflict do nothing', [homeId, at]);
}

let made = 0;

function scratchFile(ctx: MaintenanceContext): string {
  const directory = path.join(backupDirectory(ctx), `${prefix}${process.pid}-${(made += 1)}`);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  return path.join(directory, 'registry.db');
}

function scratch(file: string, engine: SqliteEngine): Scratch {
  return {
    file,
    engine,
    [Symbol.asyncDispose]: async () => {
      await engine.close();
      rmSync(path.dirname(file), { recursive: true, force: true });
    },
  };
}
