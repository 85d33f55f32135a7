import {
  type HomeId,
  type Housekeeping,
  type HousekeepingStore,
  type PooledSandbox,
  type ProcessRef,
  toTimestamp,
} from '@opencode-tools/core';
import { type Plan, allRows, changedRows, firstRow, later } from '../query/plan.ts';
import { template } from '../query/template.ts';
import { fromRow, toRow } from '../rows/entity-rows.ts';
import type { StoreContext } from '../write/context.ts';
import { openTransaction } from '../write/open-transaction.ts';
import { replacePooled } from '../write/put-pooled.ts';
import { insertStatement } from '../write/row-writer.ts';

/** The pool and the housekeeper's lease as rows. */
export class StoredHousekeeping implements HousekeepingStore {
  readonly #ctx: StoreContext;

  constructor(ctx: StoreContext) {
    this.#ctx = ctx;
  }

  async addPooled(entry: PooledSandbox, most: number): Promise<boolean> {
    return this.#write((ctx) => addPlan(ctx, entry, most));
  }

  async replacePooled(entry: PooledSandbox): Promise<boolean> {
    return this.#write((ctx) => replacePlan(ctx, entry));
  }

  async removePooled({ id, version }: PooledSandbox): Promise<boolean> {
    return this.#write((ctx) => removePlan(ctx, id, version));
  }

  async listPooled(): Promise<readonly PooledSandbox[]> {
    const { engine, homeId } = this.#ctx;
    const rows = await engine.read(() => allRows(selectPooled({ homeId })));
    return rows.map((row) => fromRow<PooledSandbox>(row));
  }

  async keepHouse(engine: string, holder: ProcessRef, ttlMs: number): Promise<Housekeeping> {
    return this.#write((ctx) => keepPlan(ctx, engine, JSON.stringify(holder), ttlMs));
  }

  async leaveHouse(engine: string, holder: ProcessRef): Promise<void> {
    await this.#write((ctx) => leavePlan(ctx, engine, JSON.stringify(holder)));
  }

  async findHousekeeper(engine: string): Promise<Housekeeping | undefined> {
    const { homeId } = this.#ctx;
    const row = await this.#ctx.engine.read(() => firstRow(selectHousekeeper({ homeId, engine })));
    return row && { held: false, holder: toHolder(row.holder), expiresAt: toTimestamp(row.expires_at_ms) };
  }

  async #write<T>(plan: (ctx: StoreContext) => Plan<T>): Promise<T> {
    const ctx = this.#ctx;
    if (ctx.writeRefusal !== null) throw ctx.writeRefusal;
    return ctx.engine.write(() => plan(ctx));
  }
}

/** The lock of the home's stream makes two who add at once count one after the other. */
function* addPlan(ctx: StoreContext, entry: PooledSandbox, most: number): Plan<boolean> {
  const { homeId } = ctx;
  yield* openTransaction(ctx, new Map([['home', homeId]]));
  const unclaimed = (yield* firstRow(countUnclaimed({ homeId })))?.entries ?? 0;
  if (unclaimed >= most) return false;
  return (yield* changedRows(insertPooled(toRow.pooled(homeId, entry)))) > 0;
}

function* replacePlan(ctx: StoreContext, entry: PooledSandbox): Plan<boolean> {
  yield* openTransaction(ctx, new Map());
  return yield* replacePooled(ctx.homeId, entry);
}

function* removePlan(ctx: StoreContext, id: string, version: number): Plan<boolean> {
  yield* openTransaction(ctx, new Map());
  return (yield* changedRows(deletePooled({ id, version }))) > 0;
}

function* keepPlan(ctx: StoreContext, engine: string, holder: string, ttlMs: number): Plan<Housekeeping> {
  const { homeId } = ctx;
  const { nowMs } = yield* openTransaction(ctx, new Map([['home', homeId]]));
  const found = yield* firstRow(selectHousekeeper({ homeId, engine }));
  if (found !== undefined && found.holder !== holder && found.expires_at_ms > nowMs) {
    return { held: false, holder: toHolder(found.holder), expiresAt: toTimestamp(found.expires_at_ms) };
  }
  const expiresAtMs = nowMs + ttlMs;
  yield* later(upsertHousekeeper({ homeId, engine, holder, expiresAtMs }));
  return { held: true, holder: toHolder(holder), expiresAt: toTimestamp(expiresAtMs) };
}

function* leavePlan(ctx: StoreContext, engine: string, holder: string): Plan<void> {
  yield* openTransaction(ctx, new Map());
  yield* later(deleteHousekeeper({ homeId: ctx.homeId, engine, holder }));
}

function toHolder(text: string): ProcessRef {
  return JSON.parse(text) as ProcessRef;
}

const insertPooled = insertStatement('pooled_sandboxes', [
  'id',
  'home_id',
  'key',
  'state',
  'version',
  'created_at',
  'entity',
]);

const selectPooled = template<{ homeId: HomeId }>()(({ db }, slot) =>
  db
    .selectFrom('pooled_sandboxes')
    .select('entity')
    .where('home_id', '=', slot('homeId'))
    .orderBy('created_at')
    .orderBy('id'),
);

const countUnclaimed = template<{ homeId: HomeId }>()(({ db }, slot) =>
  db
    .selectFrom('pooled_sandboxes')
    .select(({ fn }) => fn.countAll<number>().as('entries'))
    .where('home_id', '=', slot('homeId'))
    .where('state', '<>', 'claimed'),
);

const deletePooled = template<{ id: string; version: number }>()(({ db }, slot) =>
  db.deleteFrom('pooled_sandboxes').where('id', '=', slot('id')).where('version', '=', slot('version')),
);

const selectHousekeeper = template<{ homeId: HomeId; engine: string }>()(({ db }, slot) =>
  db
    .selectFrom('housekeepers')
    .select(['holder', 'expires_at_ms'])
    .where('home_id', '=', slot('homeId'))
    .where('engine', '=', slot('engine')),
);

const upsertHousekeeper = template<{ homeId: HomeId; engine: string; holder: string; expiresAtMs: number }>()(
  ({ db }, slot) =>
    db
      .insertInto('housekeepers')
      .values({
        home_id: slot('homeId'),
        engine: slot('engine'),
        holder: slot('holder'),
        expires_at_ms: slot('expiresAtMs'),
      })
      .onConflict((conflict) =>
        conflict.columns(['home_id', 'engine']).doUpdateSet((row) => ({
          holder: row.ref('excluded.holder'),
          expires_at_ms: row.ref('excluded.expires_at_ms'),
        })),
      ),
);

const deleteHousekeeper = template<{ homeId: HomeId; engine: string; holder: string }>()(({ db }, slot) =>
  db
    .deleteFrom('housekeepers')
    .where('home_id', '=', slot('homeId'))
    .where('engine', '=', slot('engine'))
    .where('holder', '=', slot('holder')),
);
