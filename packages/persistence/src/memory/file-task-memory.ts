import { realpath, rm } from 'node:fs/promises';
import path from 'node:path';
import {
  type Change,
  type CheckpointId,
  type ExecutionId,
  type JsonObject,
  type Logger,
  type MemoryHealth,
  type OutputRange,
  type OutputSink,
  type OutputSlice,
  type OutputStream,
  type OutputSummary,
  type StoredRecord,
  type StreamId,
  type TaskId,
  type TaskMemory,
  isOpencodeToolsError,
} from '@opencode-tools/core';
import { commitChange } from '../write/commit.ts';
import type { StoreContext } from '../write/context.ts';
import { editRecords } from './decision-edits.ts';
import { healFiles, setAsideState } from './heal.ts';
import { listCheckpointDirectories, listTaskDirectories } from './list-task-directories.ts';
import { HomeLog } from './home-log.ts';
import { readLogTail } from './log-files.ts';
import { openOutputs, readOutputSlice, sizeOfOutput, summariseOutputFile, writeOutputPart } from './output-files.ts';
import { type TaskFacts, listLagging } from './projection-plans.ts';
import type { ElapsedMs, Moved, ProjectionRight } from './projection-right.ts';
import { ProjectionTurns, type Worth } from './projection-turns.ts';
import { Projector, type Repair } from './projector.ts';
import { rollLogForward } from './roll-log-forward.ts';
import { readStateFile } from './state-file.ts';
import { TaskPaths } from './task-paths.ts';

const coalesceMs = 15;
const intervalMs = 200;
const laggingBatch = 100;

const memoryActor = {
  kind: 'system',
  id: 'task-memory',
  agent: null,
  model: null,
  session: null,
  onBehalfOf: null,
} as const;

export interface MemoryOptions {
  readonly rotateAtBytes?: number;
  /** The clock by which work is measured. */
  readonly elapsedMs?: ElapsedMs;
}

type Work = (projector: Projector, facts: TaskFacts) => Promise<readonly Repair[]>;

/** The files of the tasks of one home directory. */
export class FileTaskMemory implements TaskMemory {
  readonly #ctx: StoreContext;
  readonly #homeDirectory: string;
  readonly #logger: Logger;
  readonly #due = new Set<StreamId>();
  readonly #turns: ProjectionTurns;
  readonly #homeLog: HomeLog;
  #timer: NodeJS.Timeout | null = null;
  #flushedAt = 0;
  #flushing: Promise<void> = Promise.resolve();
  #closed = false;

  readonly #rotateAtBytes: number | undefined;

  /** @param options.rotateAtBytes size at which a log is put away as a segment; default 64 MiB */
  constructor(ctx: StoreContext, homeDirectory: string, logger: Logger, options: MemoryOptions = {}) {
    this.#ctx = ctx;
    this.#homeDirectory = homeDirectory;
    this.#logger = logger;
    this.#rotateAtBytes = options.rotateAtBytes;
    this.#turns = new ProjectionTurns(ctx, '', options.elapsedMs);
    this.#homeLog = new HomeLog(ctx, homeDirectory, logger);
  }

  listCheckpoints(): Promise<readonly CheckpointId[]> {
    return listCheckpointDirectories(this.#homeDirectory);
  }

  list(): Promise<readonly TaskId[]> {
    return listTaskDirectories(this.#homeDirectory);
  }

  directory(taskId: TaskId): string {
    return this.#paths(taskId).relative;
  }

  async openOutput(taskId: TaskId, executionId: ExecutionId): Promise<Readonly<Record<OutputStream, OutputSink>>> {
    if (this.#ctx.writeRefusal !== null) throw this.#ctx.writeRefusal;
    return openOutputs(this.#paths(taskId), executionId);
  }

  async readOutput(
    taskId: TaskId,
    executionId: ExecutionId,
    stream: OutputStream,
    range?: OutputRange,
  ): Promise<OutputSlice> {
    return readOutputSlice(this.#paths(taskId), executionId, stream, range);
  }

  async outputBytes(taskId: TaskId, executionId: ExecutionId, stream: OutputStream): Promise<number> {
    return sizeOfOutput(this.#paths(taskId), executionId, stream);
  }

  async writeOutput(
    taskId: TaskId,
    executionId: ExecutionId,
    stream: OutputStream,
    part: { readonly offset: number; readonly bytes: Uint8Array },
  ): Promise<void> {
    if (this.#ctx.writeRefusal !== null) throw this.#ctx.writeRefusal;
    await writeOutputPart(this.#paths(taskId).output(executionId, stream), part);
  }

  async summariseOutput(taskId: TaskId, executionId: ExecutionId, stream: OutputStream): Promise<OutputSummary> {
    return summariseOutputFile(this.#paths(taskId), executionId, stream);
  }

  /** Takes the home's own stream too. */
  touch(stream: StreamId): void {
    if (this.#closed || this.#ctx.writeRefusal !== null) return;
    this.#due.add(stream);
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.#flushing = this.#flushing.then(() => this.#flush());
    }, this.#pauseMs());
    this.#timer.unref();
  }

  async project(taskId?: TaskId): Promise<void> {
    if (this.#ctx.writeRefusal !== null) return;
    if (taskId !== undefined) return this.#projectTask(taskId);
    await this.#flushNow();
    await this.#homeLog.project();
    for (;;) {
      const lagging = await this.#ctx.engine.read(() => listLagging(this.#ctx, laggingBatch));
      for (const id of lagging) await this.#projectTask(id);
      if (lagging.length < laggingBatch) return;
    }
  }

  async readState(taskId: TaskId): Promise<JsonObject> {
    return readStateFile(this.#paths(taskId).state);
  }

  async readLogTail(taskId: TaskId, limit: number): Promise<readonly StoredRecord[]> {
    return readLogTail(this.#paths(taskId).directory, limit);
  }

  async heal(taskId: TaskId): Promise<MemoryHealth> {
    if (this.#ctx.writeRefusal !== null) throw this.#ctx.writeRefusal;
    const paths = this.#paths(taskId);
    const healed: Repair[] = [];
    await rollLogForward(this.#ctx, taskId, this.#paths(taskId).directory, this.#logger);
    await this.#withRight(taskId, async (projector, facts) => {
      const { extent } = facts;
      if (extent.projectedSeq < extent.headSeq) {
        healed.push(...(await setAsideState(projector, paths)), ...(await projector.advance(facts)));
      }
      const current = { ...facts, extent: { ...extent, projectedSeq: extent.headSeq } };
      healed.push(...(await healFiles(projector, paths, current)));
      return [];
    });
    if (healed.length > 0) await this.#recordHealing(taskId, healed);
    return { taskId, healed };
  }

  /** Writes the line files of a stream anew, after records were pruned or erased. */
  async rewrite(stream: StreamId): Promise<void> {
    if (stream === 'home') return this.#homeLog.rewrite();
    await this.#projectTask(stream);
    await this.#withRight(stream, async (projector, facts) => {
      await projector.advance(facts);
      await projector.rewriteViews({ ...facts, extent: { ...facts.extent, projectedSeq: facts.extent.headSeq } });
      return [];
    });
  }

  /** Removes the files of a task whose tombstone was given up. Only a directory of ours that is really there. */
  async forget(taskId: TaskId): Promise<void> {
    const { directory } = this.#paths(taskId);
    const parent = await realpath(path.join(this.#homeDirectory, 'tasks')).catch(() => null);
    const real = await realpath(directory).catch(() => null);
    if (parent === null || real !== path.join(parent, taskId)) return;
    await rm(directory, { recursive: true, force: true });
  }

  async close(): Promise<void> {
    if (this.#closed) return this.#flushing;
    await this.#flushNow();
    this.#closed = true;
  }

  #paths(taskId: TaskId): TaskPaths {
    return new TaskPaths(this.#homeDirectory, taskId);
  }

  /** Makes records of what a person changed in `decisions.md`, before the page is written over. */
  async #takeInEdits(projector: Projector, facts: TaskFacts): Promise<boolean> {
    const edits = await projector.decisionEdits(facts);
    const taskId = facts.task?.id;
    if (edits === null || taskId === undefined) return false;
    await this.#commit({ records: editRecords(edits, taskId, this.#ctx.clock) });
    return true;
  }

  async #recordHealing(taskId: TaskId, healed: readonly Repair[]): Promise<void> {
    const detail = { healed: healed.map((repair) => ({ ...repair })) };
    await this.#commit({
      records: [{ stream: taskId, type: 'memory.healed', actor: memoryActor, puts: [], detail }],
    });
    await this.#projectTask(taskId);
  }

  /** Commits what depends on no row that was read; a new epoch in between changes nothing about it. */
  async #commit(change: Change): Promise<void> {
    try {
      await commitChange(this.#ctx, change);
    } catch (error) {
      if (!isOpencodeToolsError(error, 'OCT_VERSION_CONFLICT') || error.details['epoch'] === undefined) throw error;
      await commitChange(this.#ctx, change);
    }
  }

  /** The first change after a while shows soon; many in a row share one projection each interval. */
  #pauseMs(): number {
    return Math.max(coalesceMs, this.#flushedAt + intervalMs - performance.now());
  }

  async #flushNow(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#flushing = this.#flushing.then(() => this.#flush());
    await this.#flushing;
  }

  async #flush(): Promise<void> {
    while (this.#due.size > 0) {
      const streams = [...this.#due];
      this.#due.clear();
      for (const stream of streams) {
        const projected = stream === 'home' ? this.#homeLog.project() : this.#projectTask(stream);
        await projected.catch((error: unknown) => {
          const message = error instanceof Error ? error.message : String(error);
          this.#logger.warn('Files could not be brought up to date', { stream, message });
        });
      }
    }
    this.#flushedAt = performance.now();
  }

  /** Returns when the files are at the head that was there when called, whoever wrote them. */
  async #projectTask(taskId: TaskId): Promise<void> {
    await this.#withRight(taskId, (projector, facts) => projector.advance(facts), 'while-lagging');
  }

  async #withRight(taskId: TaskId, work: Work, worth: Worth = 'always'): Promise<void> {
    const alone = await this.#turns.run(taskId, (right) => this.#work(taskId, right, work), worth);
    // What was written here may be older than what the other process wrote, and stand twice.
    if (!alone) await this.heal(taskId);
  }

  async #work(taskId: TaskId, right: ProjectionRight, work: Work): Promise<Moved | null> {
    const projector = new Projector(this.#ctx, taskId, this.#paths(taskId), right, this.#rotateAtBytes);
    let facts = await projector.facts();
    if (facts !== undefined && (await this.#takeInEdits(projector, facts))) facts = await projector.facts();
    if (facts === undefined) return null;
    const repairs = await work(projector, facts);
    for (const repair of repairs) this.#logger.warn('A file of a task was rebuilt', { taskId, ...repair });
    const { projectedSeq, headSeq } = facts.extent;
    return headSeq > projectedSeq ? { from: projectedSeq, to: headSeq } : null;
  }
}
