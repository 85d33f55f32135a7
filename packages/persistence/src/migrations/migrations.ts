import { initial } from './0001-initial.ts';
import { leaseQueue } from './0002-lease-queue.ts';
import { moves } from './0003-moves.ts';
import { claims } from './0004-claims.ts';
import { housekeeping } from './0005-housekeeping.ts';
import type { Migration } from './migration.ts';

/** All steps in order of their versions; a new one is added at the end. */
export const migrations: readonly Migration[] = [initial, leaseQueue, moves, claims, housekeeping];

export const latestSchemaVersion = Math.max(...migrations.map(({ version }) => version));
