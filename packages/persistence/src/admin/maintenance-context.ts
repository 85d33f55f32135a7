import { type Clock, type HomeId, type Logger, createIds } from '@opencode-tools/core';
import type { Engine } from '../query/engine.ts';
import type { StoreContext } from '../write/context.ts';
import type { RegistryPlace } from './registry-place.ts';

/** What every part of the maintenance of one home needs to know. */
export interface MaintenanceContext {
  /** Absolute path of the home directory. */
  readonly directory: string;
  readonly place: RegistryPlace;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Automatic backups that are kept. */
  readonly keepBackups: number;
  /** Told before each step that a crash could come between. */
  readonly onStep: (step: string) => void;
}

/** A context for plans on an engine that is not opened as a store. */
export function storeContext(ctx: Pick<MaintenanceContext, 'clock'>, engine: Engine, homeId?: HomeId): StoreContext {
  return {
    engine,
    homeId: homeId ?? createIds(ctx.clock).next('home'),
    clock: ctx.clock,
    epoch: 0,
    writeRefusal: null,
    onAppended: () => undefined,
  };
}
