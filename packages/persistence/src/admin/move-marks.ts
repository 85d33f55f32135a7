import { type HomeId, OpencodeToolsError, toTimestamp } from '@opencode-tools/core';
import { applyMigrations, readIdentity } from '../migrations/migrate.ts';
import { latestSchemaVersion } from '../migrations/migrations.ts';
import type { Engine } from '../query/engine.ts';
import { type Plan, firstRow } from '../query/plan.ts';
import { dropIndexes } from './indexes.ts';
import { emptyTables } from './load-rows.ts';
import { type MaintenanceContext, storeContext } from './maintenance-context.ts';
import { raw, rawPer } from './raw.ts';
import { readTokens } from './seen-tokens.ts';
import { startEpochPlan } from './start-epoch.ts';
import { readShapes } from './table-shapes.ts';

export type TargetState = 'new' | 'copying' | 'ready';

/**
 * Makes the tables of an empty database, closed to everyone, or finds what an earlier attempt left in one.
 *
 * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` for a database that holds a registry of its own
 */
export async function prepareTarget(ctx: MaintenanceContext, target: Engine, homeId: HomeId): Promise<TargetState> {
  return target.write(function* () {
    const identity = yield* readIdentity(target.traits);
    if (identity === null) {
      yield* applyMigrations(target.traits, 0, latestSchemaVersion);
      // They are made when all rows are in.
      if (target.traits.engine === 'sqlite') yield* dropIndexes(yield* readShapes());
      yield arguments1(
        `insert into meta (id, schema_version, epoch, created_at, moved_to)
         values (1, ${latestSchemaVersion}, 0, `,
        toTimestamp(ctx.clock.nowMs()),
        `, 'incoming')`,
      );
      yield arguments1(
        `insert into move_progress (id, source, state, last_position) values (1, `,
        homeId,
        `, 'copying', 0)`,
      );
      return 'new';
    }
    return yield* progressOf(target, homeId);
  });
}

/** Finds out the same and changes nothing. */
export async function inspectTarget(target: Engine, homeId: HomeId): Promise<TargetState> {
  return target.read(function* () {
    return (yield* readIdentity(target.traits)) === null ? 'new' : yield* progressOf(target, homeId);
  });
}

function* progressOf(target: Engine, homeId: HomeId): Plan<TargetState> {
  const progress = yield* firstRow(raw<{ source: string; state: string }>('select source, state from move_progress'));
  if (progress?.source === homeId && progress.state !== 'done') return progress.state as TargetState;
  throw occupied(target.location);
}

/** Empties a target that was ready for a move which was given up since. */
export async function resetTarget(target: Engine, homeId: HomeId): Promise<void> {
  await target.write(function* () {
    const shapes = yield* readShapes();
    if (target.traits.engine === 'sqlite') yield* dropIndexes(shapes);
    yield* emptyTables(shapes.filter(({ name }) => name !== 'meta'));
    yield raw(`update meta set moved_to = 'incoming'`);
    yield arguments1(`update move_progress set state = 'copying', last_position = 0 where source = `, homeId, '');
  });
}

export async function movedMark(engine: Engine): Promise<string | null> {
  const row = await engine.read(() => firstRow(raw<{ moved_to: string | null }>('select moved_to from meta')));
  return row?.moved_to ?? null;
}

/** Closes a registry for writers, after those that are under way, or opens it again. */
export async function markMoved(engine: Engine, mark: string | null): Promise<void> {
  await engine.write(function* () {
    if (engine.traits.rowLocks) yield raw('lock table streams in exclusive mode');
    yield arguments1('update meta set moved_to = ', mark, '');
  });
}

/** Begins the target's own epoch, above whatever the source gave out, and opens it. */
export async function startInTarget(
  ctx: MaintenanceContext,
  move: { readonly source: Engine; readonly target: Engine; readonly homeId: HomeId },
): Promise<void> {
  const { source, target, homeId } = move;
  const seenTokens = await source.read(readTokens);
  const meta = await source.read(() => epochOf());
  await target.write(function* () {
    yield raw('update meta set moved_to = null');
    yield* startEpochPlan(storeContext(ctx, target, homeId), {
      reason: 'moved',
      after: meta,
      seenTokens,
      because: { type: 'store.moved', detail: { from: source.location, to: target.location } },
    });
    yield raw(`update move_progress set state = 'ready'`);
  });
}

function* epochOf(): Plan<number> {
  return (yield* firstRow(raw<{ epoch: number }>('select epoch from meta')))?.epoch ?? 0;
}

/** A statement with one argument between two pieces of text. */
function arguments1(before: string, argument: string | null, after: string) {
  return rawPer({ sqlite: `${before}?${after}`, postgres: `${before}$1${after}` }, [argument]);
}

function occupied(location: string): OpencodeToolsError {
  return new OpencodeToolsError('OCT_INVALID_ARGUMENT', `${location} holds a registry of its own`, {
    remedy: 'Name an empty database, or a schema of its own in the address.',
    details: { location },
  });
}
