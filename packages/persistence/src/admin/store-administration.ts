import type {
  ImportedLedger,
  PruneOptions,
  PruneReport,
  StoreAdmin,
  StoreStatus,
  StoreVerification,
  StreamId,
} from '@opencode-tools/core';
import type { FileTaskMemory } from '../memory/file-task-memory.ts';
import { latestSchemaVersion } from '../migrations/migrations.ts';
import { type Plan, adHoc, firstRow } from '../query/plan.ts';
import type { StoreContext } from '../write/context.ts';
import { exportChain, importChain } from './ledger-transfer.ts';
import { erasePayloads, prune } from './retention.ts';
import { startEpochPlan } from './start-epoch.ts';
import { verifyRegistry } from './verify-registry.ts';

/** Administration of one opened registry. */
export class StoreAdministration implements StoreAdmin {
  readonly #ctx: StoreContext;
  readonly #memory: Pick<FileTaskMemory, 'rewrite' | 'forget'>;

  constructor(ctx: StoreContext, memory: Pick<FileTaskMemory, 'rewrite' | 'forget'>) {
    this.#ctx = ctx;
    this.#memory = memory;
  }

  async status(): Promise<StoreStatus> {
    const { engine, homeId } = this.#ctx;
    const facts = await engine.snapshot(() => countRows());
    return {
      homeId,
      engine: engine.traits.engine,
      location: engine.location,
      latestSchemaVersion,
      ...facts,
      sizeBytes: await engine.sizeBytes(),
    };
  }

  async startEpoch(reason: string): Promise<number> {
    const ctx = this.#writable();
    const { epoch, tasks } = await ctx.engine.write(() => startEpochPlan(ctx, { reason }));
    ctx.epoch = epoch;
    ctx.onAppended(['home', ...tasks]);
    return epoch;
  }

  async verify(): Promise<StoreVerification> {
    return verifyRegistry(this.#ctx);
  }

  exportLedger(stream: StreamId): AsyncIterable<string> {
    return exportChain(this.#ctx.engine, stream);
  }

  async importLedger(lines: AsyncIterable<string> | Iterable<string>): Promise<ImportedLedger> {
    const ctx = this.#writable();
    const imported = await importChain(ctx.engine, lines);
    if (imported.added > 0) ctx.onAppended([imported.stream]);
    return imported;
  }

  async erasePayloads(stream: StreamId, seqs: readonly number[], why: Parameters<StoreAdmin['erasePayloads']>[2]) {
    const ctx = this.#writable();
    await erasePayloads(ctx, stream, seqs, why);
    await this.#memory.rewrite(stream);
  }

  async prune(options: PruneOptions): Promise<PruneReport> {
    const ctx = this.#writable();
    const report = await prune(ctx, options);
    if (report.dryRun) return report;
    for (const { stream } of report.chains) await this.#memory.rewrite(stream);
    for (const taskId of report.tombstones) await this.#memory.forget(taskId);
    return report;
  }

  #writable(): StoreContext {
    if (this.#ctx.writeRefusal !== null) throw this.#ctx.writeRefusal;
    return this.#ctx;
  }
}

function* countRows(): Plan<Pick<StoreStatus, 'schemaVersion' | 'epoch' | 'createdAt' | 'tasks' | 'records'>> {
  const meta = yield* firstRow(
    adHoc(({ db }) => db.selectFrom('meta').select(['schema_version', 'epoch', 'created_at'])),
  );
  const tasks = yield* firstRow(
    adHoc(({ db }) => db.selectFrom('task_counts').select(({ fn }) => fn.sum<number>('tasks').as('total'))),
  );
  const records = yield* firstRow(
    adHoc(({ db }) =>
      db
        .selectFrom('streams')
        .select(({ fn }) => [fn.sum<number>('head_seq').as('heads'), fn.sum<number>('base_seq').as('bases')]),
    ),
  );
  return {
    schemaVersion: meta?.schema_version ?? 0,
    epoch: meta?.epoch ?? 0,
    createdAt: meta?.created_at ?? '',
    tasks: tasks?.total ?? 0,
    records: (records?.heads ?? 0) - (records?.bases ?? 0),
  };
}
