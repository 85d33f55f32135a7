export { openSqliteStore } from './sqlite/open-sqlite-store.ts';
export type { OpenSqliteStore } from './sqlite/open-sqlite-store.ts';
export type { Store } from './store.ts';
