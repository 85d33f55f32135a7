import {
  type HomeId,
  type JsonObject,
  OpencodeToolsError,
  type RecordType,
  type StoreUser,
  prepareDraft,
  toTimestamp,
} from '@opencode-tools/core';
import { registryActor } from '../admin/registry-actor.ts';
import type { Compilable, RawBuilder } from 'kysely';
import { type Plan, type Statement, adHoc, allRows, firstRow } from '../query/plan.ts';
import { raw } from '../admin/raw.ts';
import type { Traits } from '../query/traits.ts';
import { appendRecords } from '../write/append.ts';
import type { StoreContext } from '../write/context.ts';
import { openTransaction, schemaTooNew } from '../write/open-transaction.ts';
import type { Migration } from './migration.ts';
import { latestSchemaVersion, migrations } from './migrations.ts';

/** What a database says about itself. */
export interface StoreIdentity {
  readonly schemaVersion: number;
  readonly epoch: number;
  readonly homes: readonly HomeId[];
}

/**
 * Reads the identity; null for a database without tables of ours.
 *
 * @throws OpencodeToolsError `OCT_SCHEMA_TOO_NEW`; `OCT_STATE_CORRUPT` for a database of something else.
 */
export function* readIdentity(traits: Traits): Plan<StoreIdentity | null> {
  const tables = yield* allRows(adHoc(({ db }) => rawQuery(traits.tableNames, db)));
  if (!tables.some(({ name }) => name === 'meta')) return refuseForeignTables(traits, tables);
  const meta = yield* firstRow(adHoc(({ db }) => db.selectFrom('meta').select(['schema_version', 'epoch'])));
  if (meta === undefined) return null;
  if (meta.schema_version > latestSchemaVersion) throw schemaTooNew(meta.schema_version);
  const homes = yield* allRows(adHoc(({ db }) => db.selectFrom('homes').select('home_id').orderBy('created_at')));
  return {
    schemaVersion: meta.schema_version,
    epoch: meta.epoch,
    homes: homes.map((row) => row.home_id as HomeId),
  };
}

/**
 * Brings a database to the newest schema in one transaction that every other migrator waits for. Does nothing to one
 * that is there already.
 *
 * @param options.onEmpty called inside the transaction before an empty database is filled; may refuse by throwing
 * @param options.users processes that have it open with the schema before; the record names them
 */
export async function migrate(
  ctx: StoreContext,
  options: { readonly onEmpty?: () => void; readonly users: readonly StoreUser[] },
): Promise<StoreIdentity> {
  return ctx.engine.write(function* () {
    const { traits } = ctx.engine;
    const { migrationLock } = traits;
    if (migrationLock !== null) yield adHoc(({ db }) => rawQuery(migrationLock, db));
    const found = yield* readIdentity(traits);
    if (found === null) options.onEmpty?.();
    const from = found?.schemaVersion ?? 0;
    yield* applyMigrations(traits, from, latestSchemaVersion);
    const at = toTimestamp(ctx.clock.nowMs());
    if (found === null) {
      yield insertMeta(at);
      yield insertHome(ctx.homeId, at);
    } else if (from < latestSchemaVersion) yield setSchemaVersion();
    if (from < latestSchemaVersion) {
      const told = from === 0 ? {} : { processes: options.users.map((user) => ({ ...user })) };
      yield* recordSchema(ctx, from === 0 ? 'store.created' : 'store.migrated', {
        from,
        to: latestSchemaVersion,
        ...told,
      });
    }
    return (yield* readIdentity(traits)) as StoreIdentity;
  });
}

/** Runs the steps between two versions, upward or downward, without recording that. */
export function* applyMigrations(traits: Traits, from: number, to: number): Plan<void> {
  for (const migration of stepsBetween(from, to)) {
    const statements = to > from ? migration.statements(traits) : (migration.down?.(traits) ?? []);
    for (const sql of statements) yield raw(sql);
  }
}

/** The steps from one version to another, in the order they are taken. */
export function stepsBetween(from: number, to: number): readonly Migration[] {
  if (to >= from) return migrations.filter(({ version }) => version > from && version <= to);
  return migrations.filter(({ version }) => version > to && version <= from).toReversed();
}

/**
 * Takes a database back to an older schema in one transaction.
 *
 * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` for a version that there is no way back to
 */
export async function rollback(ctx: StoreContext, to: number, users: readonly StoreUser[]): Promise<void> {
  await ctx.engine.write(function* () {
    const { traits } = ctx.engine;
    const { migrationLock } = traits;
    if (migrationLock !== null) yield adHoc(({ db }) => rawQuery(migrationLock, db));
    const from = (yield* readIdentity(traits))?.schemaVersion ?? 0;
    assertWayBack(from, to);
    if (to === from) return;
    // Records are written with the newest schema: from an older one the way back begins with the way there.
    yield* applyMigrations(traits, from, latestSchemaVersion);
    yield setSchemaVersion();
    yield* recordSchema(ctx, 'store.rolled_back', { from, to, processes: users.map((user) => ({ ...user })) });
    yield* applyMigrations(traits, latestSchemaVersion, to);
    yield adHoc(({ db }) => db.updateTable('meta').set({ schema_version: to }));
  });
}

export function assertWayBack(from: number, to: number): void {
  const known = migrations.some(({ version }) => version === to);
  const possible = stepsBetween(from, to).every((step) => 'down' in step);
  if (known && to <= from && possible) return;
  throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', `The registry cannot go back from schema ${from} to ${to}`, {
    remedy: `Name a version from ${migrations[0]?.version ?? 1} to ${from}.`,
    details: { argument: 'to', from, to },
  });
}

/** Registers a home in the database, once. */
export async function registerHome(ctx: StoreContext): Promise<void> {
  await ctx.engine.write(function* () {
    const at = toTimestamp(ctx.clock.nowMs());
    yield insertHome(ctx.homeId, at);
  });
}

function* recordSchema(ctx: StoreContext, type: RecordType, change: JsonObject): Plan<void> {
  const opened = yield* openTransaction(ctx, new Map([['home', ctx.homeId]]));
  const detail = { ...change, engine: ctx.engine.traits.engine };
  yield* appendRecords(ctx, opened, [prepareDraft({ stream: 'home', type, actor: registryActor, puts: [], detail })]);
}

function refuseForeignTables(traits: Traits, tables: readonly { readonly name: string }[]): null {
  const found = tables[0];
  if (!traits.ownsDatabase || found === undefined) return null;
  throw new OpencodeToolsError('OCT_STATE_CORRUPT', `The registry file holds something else: table ${found.name}`, {
    remedy: 'Choose another home directory, or move the file aside.',
  });
}

function insertHome(homeId: HomeId, at: string): Statement<unknown> {
  return adHoc(({ db }) =>
    db
      .insertInto('homes')
      .values({ home_id: homeId, created_at: at })
      .onConflict((conflict) => conflict.doNothing()),
  );
}

function insertMeta(at: string): Statement<unknown> {
  return adHoc(({ db }) =>
    db.insertInto('meta').values({ id: 1, schema_version: latestSchemaVersion, epoch: 1, created_at: at }),
  );
}

function setSchemaVersion(): Statement<unknown> {
  return adHoc(({ db }) => db.updateTable('meta').set({ schema_version: latestSchemaVersion }));
}

function rawQuery<R>(query: RawBuilder<R>, db: Traits['db']): Compilable<R> {
  return { compile: () => query.compile(db) };
}
