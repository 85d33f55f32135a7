import type { OpenPostgresStore } from './postgres/open-postgres-store.ts';
import type { OpenSqliteStore } from './sqlite/open-sqlite-store.ts';
import type { Store } from './store.ts';

export type { OpenPostgresStore, OpenSqliteStore, Store };
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
