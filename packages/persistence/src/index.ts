import type { StoreMaintenance } from '@opencode-tools/core';
import type { OpenMaintenance } from './admin/open-maintenance.ts';
import type { RegistryPlace } from './admin/registry-place.ts';
import type { OpenPostgresStore } from './postgres/open-postgres-store.ts';
import type { PostgresTls } from './postgres/postgres-tls.ts';
import type { OpenSqliteStore } from './sqlite/open-sqlite-store.ts';
import type { Store } from './store.ts';

export type { OpenMaintenance, OpenPostgresStore, OpenSqliteStore, PostgresTls, RegistryPlace, Store };
export { readHomeFile } from './home/home-file.ts';
export type { HomeDatabase } from './home/home-file.ts';
export { latestSchemaVersion } from './migrations/migrations.ts';

/** Opens a home's registry on SQLite; the driver is loaded by the first call. See `@opencode-tools/persistence/sqlite`. */
export async function openSqliteStore(options: OpenSqliteStore): Promise<Store> {
  const { openSqliteStore: open } = await import('./sqlite/open-sqlite-store.ts');
  return open(options);
}

/** Opens a registry on PostgreSQL; the driver is loaded by the first call. See `@opencode-tools/persistence/postgres`. */
export async function openPostgresStore(options: OpenPostgresStore): Promise<Store> {
  const { openPostgresStore: open } = await import('./postgres/open-postgres-store.ts');
  return open(options);
}

/** Gives the maintenance of a home's registry: backup, restore, schema, move, rebuild. Opens nothing by itself. */
export async function openMaintenance(options: OpenMaintenance): Promise<StoreMaintenance> {
  const { createMaintenance } = await import('./admin/open-maintenance.ts');
  return createMaintenance(options);
}
