import type { Kernel } from './kernel.ts';
import type { HousekeeperService, HousekeepingTurn } from './housekeeper-contract.ts';
import { defaultSpec } from './pool/default-spec.ts';
import { settleAbandoned } from './pool/settle-abandoned.ts';
import type { WarmPool } from './pool/warm-pool.ts';
import type { CacheService } from './cache-contract.ts';
import { pruneCheckpoints } from './prune-checkpoints.ts';
import { type ReapReport, reap } from './reaper/reap.ts';
import type { Call } from './services.ts';
import { settleAbandonedWork, settleRecorded } from './settle-work.ts';

const turnMs = 30_000;
/** Long enough for a turn that takes a while, short enough for another process to go on soon after a crash. */
const houseTtlMs = 3 * turnMs;
/** Checkpoints are thinned out, and what nothing needs is collected, as often; first this long after the start. */
const tidyMs = 60 * 60_000;
/** What could not be removed is tried again after this. */
const retryMs = 60 * 60_000;

const notYet = { pruned: null, trimmed: [] } as const;

const own: Call = {
  actor: { kind: 'system', id: 'housekeeper', agent: null, model: null, session: null, onBehalfOf: null },
};

export function createHousekeeper(kernel: Kernel, pool: WarmPool, caches: CacheService): HousekeeperService {
  const { deps } = kernel;
  const { reapIntervalMs, reapGraceMs: graceMs } = deps.defaults;
  const openedAtMs = deps.clock.nowMs();
  const failedAtMs = new Map<string, number>();
  let timer: NodeJS.Timeout | undefined;
  let started = false;
  let house: string | undefined;
  let primed = false;
  let nextReapMs = 0;
  let nextTidyMs = openedAtMs + tidyMs;
  let last: Promise<unknown> = Promise.resolve();

  const reapInTurn = async (): Promise<ReapReport | null> => {
    const nowMs = deps.clock.nowMs();
    if (nowMs < nextReapMs) return null;
    nextReapMs = nowMs + reapIntervalMs;
    for (const [ref, atMs] of failedAtMs) if (nowMs - atMs > retryMs) failedAtMs.delete(ref);
    const passOver = new Set(failedAtMs.keys());
    const report = await reap(kernel, { graceMs, dryRun: false, openedAtMs, passOver }, own);
    for (const { removal } of report.failed) failedAtMs.set(removal.object.ref, nowMs);
    return report;
  };

  const tidyInTurn = async (): Promise<Pick<HousekeepingTurn, 'pruned' | 'trimmed'>> => {
    const nowMs = deps.clock.nowMs();
    if (nowMs < nextTidyMs) return notYet;
    nextTidyMs = nowMs + tidyMs;
    await settleRecorded(kernel, own);
    const pruned = await pruneCheckpoints(kernel, undefined, { dryRun: false }, own);
    return { pruned, trimmed: await caches.trim(own) };
  };

  /** Who is provably dead is followed at once; of others, and on other hosts, the lease's time decides. */
  const keepHouse = async (engine: string): Promise<boolean> => {
    const { housekeeping, processes } = deps;
    const first = await housekeeping.keepHouse(engine, processes.self(), houseTtlMs);
    if (first.held || processes.isAlive(first.holder)) return first.held;
    await housekeeping.leaveHouse(engine, first.holder);
    return (await housekeeping.keepHouse(engine, processes.self(), houseTtlMs)).held;
  };

  const take = async (): Promise<HousekeepingTurn> => {
    // Every process that lives on puts directories of the user right, whoever keeps house.
    await settleAbandonedWork(kernel, own);
    const engine = (await deps.runtime.capabilities()).engine.id;
    const held = await keepHouse(engine);
    house = held ? engine : undefined;
    if (!primed) {
      const spec = pool.options.size === 0 ? undefined : await defaultSpec(kernel);
      if (spec !== undefined) pool.note(spec);
      primed = true;
    }
    if (held) await settleAbandoned(kernel, pool);
    const reaped = held ? await reapInTurn() : null;
    const tidied = held ? await tidyInTurn() : notYet;
    await pool.refill();
    return { held, reaped, ...tidied };
  };

  const turn = (): Promise<HousekeepingTurn> => {
    const next = last.then(take);
    last = next.catch(() => undefined);
    return next;
  };

  const tick = (): void => {
    turn()
      .catch((error: unknown) => deps.logger.warn('A turn of housekeeping did not end well', { error: String(error) }))
      .finally(() => {
        if (started) timer = setTimeout(tick, turnMs).unref();
      });
  };

  return {
    start: () => {
      if (started) return;
      started = true;
      pool.open();
      tick();
    },
    get started() {
      return started;
    },
    turn,
    reap: (options, call) => reap(kernel, { ...options, graceMs, openedAtMs }, call),
    status: async () => {
      const capabilities = await deps.runtime.capabilities();
      const found = await deps.housekeeping.findHousekeeper(capabilities.engine.id);
      const housekeeper = found !== undefined && deps.processes.isAlive(found.holder) ? found : null;
      return { housekeeper, poolSize: pool.options.size, pooled: await deps.housekeeping.listPooled() };
    },
    close: async () => {
      started = false;
      clearTimeout(timer);
      await last;
      await pool.close();
      const left = house;
      house = undefined;
      if (left !== undefined) await deps.housekeeping.leaveHouse(left, deps.processes.self());
    },
  };
}
