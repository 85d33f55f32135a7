import { type RegistryTarget, silentLogger } from '@opencode-tools/core';
import { readHomeId } from '../home/home-file.ts';
import { readIdentity } from '../migrations/migrate.ts';
import { createStore } from '../store.ts';
import type { MaintenanceContext } from './maintenance-context.ts';
import { type RegistryPlace, openPlace } from './registry-place.ts';

/**
 * Brings the files up to date with a new epoch at once: should the registry be lost next, they are what tells how far
 * tokens had gone.
 */
export async function settle(ctx: MaintenanceContext, moved?: RegistryTarget): Promise<void> {
  const place: RegistryPlace = moved ?? ctx.place;
  const engine = await openPlace(ctx.directory, place);
  if (engine === undefined) return;
  try {
    const identity = await engine.read(() => readIdentity(engine.traits));
    const homeId = readHomeId(ctx.directory) ?? identity?.homes[0];
    if (identity === null || homeId === undefined) return;
    const { clock } = ctx;
    const parts = { engine, homeId, homeDirectory: ctx.directory, epoch: identity.epoch, clock, logger: silentLogger };
    const store = createStore({ ...parts, writeRefusal: null });
    await store.memory.project();
    await store.memory.close();
  } finally {
    await engine.close();
  }
}
