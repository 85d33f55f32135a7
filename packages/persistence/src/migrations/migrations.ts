import { initial } from './0001-initial.ts';
import type { Migration } from './migration.ts';

/** All steps in order; a new one is added at the end. */
export const migrations: readonly Migration[] = [initial];

export const latestSchemaVersion = migrations.length;
