import type {
  ExportedMemory,
  ImportedLedger,
  ImportedLedgers,
  ImportedMemory,
  PruneOptions,
  PruneReport,
  StoreAdmin,
  StoreStatus,
  StoreVerification,
  StreamId,
  TaskId,
} from '@opencode-tools/core';
import { exportFolder } from '../folder/export-folder.ts';
import { importFolder } from '../folder/import-folder.ts';
import type { FileTaskMemory } from '../memory/file-task-memory.ts';
import { latestSchemaVersion } from '../migrations/migrations.ts';
import { type Plan, adHoc, firstRow } from '../query/plan.ts';
import type { StoreContext } from '../write/context.ts';
import { exportChain, importChain, importChains } from './ledger-transfer.ts';
import { erasePayloads } from './erase-payloads.ts';
import { prune } from './prune.ts';
import { startEpochPlan } from './start-epoch.ts';
import { verifyRegistry } from './verify-registry.ts';

type Memory = Pick<FileTaskMemory, 'rewrite' | 'forget' | 'project'>;

/** Administration of one opened registry. */
export class StoreAdministration implements StoreAdmin {
  readonly #ctx: StoreContext;
  readonly #memory: Memory;
  readonly #homeDirectory: string;

  constructor(ctx: StoreContext, memory: Memory, homeDirectory: string) {
    this.#ctx = ctx;
    this.#memory = memory;
    this.#homeDirectory = homeDirectory;
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

  async importLedgers(lines: AsyncIterable<string> | Iterable<string>): Promise<ImportedLedgers> {
    const ctx = this.#writable();
    return importChains(ctx.engine, lines, (streams) => ctx.onAppended(streams));
  }

  async exportMemory(taskId: TaskId, directory: string): Promise<ExportedMemory> {
    // Takes in what a person wrote into decisions.md.
    if (this.#ctx.writeRefusal === null) await this.#memory.project(taskId);
    return exportFolder(this.#ctx.engine, taskId, directory, this.#homeDirectory);
  }

  async importMemory(directory: string): Promise<readonly ImportedMemory[]> {
    const ctx = this.#writable();
    const imported = await importFolder(ctx.engine, directory);
    ctx.onAppended(imported.filter(({ added }) => added > 0).map(({ taskId }) => taskId));
    return imported;
  }

  async erasePayloads(stream: StreamId, seqs: readonly number[], why: Parameters<StoreAdmin['erasePayloads']>[2]) {
    const ctx = this.#writable();
    await erasePayloads(ctx, stream, seqs, why);
    await this.#memory.rewrite(stream);
  }

  async prune(options: PruneOptions): Promise<PruneReport> {
    const ctx = this.#writable();
    const report = await prune(ctx, this.#homeDirectory, options);
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
