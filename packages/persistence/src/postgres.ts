export { openPostgresStore } from './postgres/open-postgres-store.ts';
export type { OpenPostgresStore } from './postgres/open-postgres-store.ts';
export type { Store } from './store.ts';
