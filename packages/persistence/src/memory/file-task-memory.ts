import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type ExecutionId,
  type JsonObject,
  type Logger,
  type MemoryHealth,
  type OutputRange,
  type OutputSink,
  type OutputSlice,
  type OutputStream,
  type OutputSummary,
  OpencodeToolsError,
  type TaskId,
  type TaskMemory,
} from '@opencode-tools/core';
import { commitChange } from '../write/commit.ts';
import type { StoreContext } from '../write/context.ts';
import { healFiles, setAsideState } from './heal.ts';
import { openOutputs, readOutputSlice, summariseOutputFile } from './output-files.ts';
import {
  type Extent,
  type TaskFacts,
  listLagging,
  lockProjection,
  readExtent,
  unlockProjection,
} from './projection-plans.ts';
import { Projector, type Repair } from './projector.ts';
import { readStateFile } from './state-file.ts';
import { TaskPaths } from './task-paths.ts';

const coalesceMs = 15;
const rightMs = 10_000;
/** The right is given up this long before it ends, so that two never write at once. */
const marginMs = 2_000;
const patienceMs = 15_000;
const laggingBatch = 100;

const memoryActor = {
  kind: 'system',
  id: 'task-memory',
  agent: null,
  model: null,
  session: null,
  onBehalfOf: null,
} as const;

type Work = (projector: Projector, facts: TaskFacts) => Promise<readonly Repair[]>;

/** The files of the tasks of one home directory. */
export class FileTaskMemory implements TaskMemory {
  readonly #ctx: StoreContext;
  readonly #homeDirectory: string;
  readonly #logger: Logger;
  readonly #holder = `${process.pid}-${randomBytes(6).toString('hex')}`;
  readonly #due = new Set<TaskId>();
  readonly #working = new Map<TaskId, Promise<void>>();
  #timer: NodeJS.Timeout | null = null;
  #flushing: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(ctx: StoreContext, homeDirectory: string, logger: Logger) {
    this.#ctx = ctx;
    this.#homeDirectory = homeDirectory;
    this.#logger = logger;
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

  async summariseOutput(taskId: TaskId, executionId: ExecutionId, stream: OutputStream): Promise<OutputSummary> {
    return summariseOutputFile(this.#paths(taskId), executionId, stream);
  }

  touch(taskId: TaskId): void {
    if (this.#closed || this.#ctx.writeRefusal !== null) return;
    this.#due.add(taskId);
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.#flushing = this.#flushing.then(() => this.#flush());
    }, coalesceMs);
    this.#timer.unref();
  }

  async project(taskId?: TaskId): Promise<void> {
    if (this.#ctx.writeRefusal !== null) return;
    if (taskId !== undefined) return this.#projectTask(taskId);
    await this.#flushNow();
    for (;;) {
      const lagging = await this.#ctx.engine.read(() => listLagging(this.#ctx, laggingBatch));
      for (const id of lagging) await this.#projectTask(id);
      if (lagging.length < laggingBatch) return;
    }
  }

  async readState(taskId: TaskId): Promise<JsonObject> {
    return readStateFile(this.#paths(taskId).state);
  }

  async heal(taskId: TaskId): Promise<MemoryHealth> {
    if (this.#ctx.writeRefusal !== null) throw this.#ctx.writeRefusal;
    const paths = this.#paths(taskId);
    const healed: Repair[] = [];
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

  async close(): Promise<void> {
    if (this.#closed) return this.#flushing;
    await this.#flushNow();
    this.#closed = true;
  }

  #paths(taskId: TaskId): TaskPaths {
    return new TaskPaths(this.#homeDirectory, taskId);
  }

  async #recordHealing(taskId: TaskId, healed: readonly Repair[]): Promise<void> {
    const detail = { healed: healed.map((repair) => ({ ...repair })) };
    await commitChange(this.#ctx, {
      records: [{ stream: taskId, type: 'memory.healed', actor: memoryActor, puts: [], detail }],
    });
    await this.#projectTask(taskId);
  }

  async #flushNow(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#flushing = this.#flushing.then(() => this.#flush());
    await this.#flushing;
  }

  async #flush(): Promise<void> {
    while (this.#due.size > 0) {
      const tasks = [...this.#due];
      this.#due.clear();
      for (const taskId of tasks) {
        await this.#projectTask(taskId).catch((error: unknown) => {
          const message = error instanceof Error ? error.message : String(error);
          this.#logger.warn('The files of a task could not be brought up to date', { taskId, message });
        });
      }
    }
  }

  /** Returns when the files are at the head that was there when called, whoever wrote them. */
  async #projectTask(taskId: TaskId): Promise<void> {
    await this.#withRight(taskId, (projector, facts) => projector.advance(facts), true);
  }

  /** In this process works on one task wait for each other; across processes the store's lock decides. */
  async #withRight(taskId: TaskId, work: Work, onlyWhenLagging = false): Promise<void> {
    const before = this.#working.get(taskId) ?? Promise.resolve();
    const mine = before.then(() => this.#whenFree(taskId, work, onlyWhenLagging));
    const settled = mine.catch(() => undefined);
    this.#working.set(taskId, settled);
    try {
      await mine;
    } finally {
      if (this.#working.get(taskId) === settled) this.#working.delete(taskId);
    }
  }

  async #whenFree(taskId: TaskId, work: Work, onlyWhenLagging: boolean): Promise<void> {
    const givenUpAt = performance.now() + patienceMs;
    for (;;) {
      const extent = await this.#ctx.engine.read(() => readExtent(taskId));
      if (extent === undefined || extent.homeId !== this.#ctx.homeId) return;
      if (onlyWhenLagging && extent.projectedSeq >= extent.headSeq) return;
      if (await this.#take(taskId)) {
        if (await this.#workAndRelease(taskId, work)) return;
      } else if (performance.now() > givenUpAt) {
        throw this.#rightHeld(taskId, extent);
      } else await sleep(5 + Math.random() * 15);
    }
  }

  async #take(taskId: TaskId): Promise<boolean> {
    return this.#ctx.engine.write(() => lockProjection(this.#ctx, taskId, this.#holder, rightMs), { durable: false });
  }

  /** @returns false when there is more to do */
  async #workAndRelease(taskId: TaskId, work: Work): Promise<boolean> {
    const validUntil = performance.now() + rightMs - marginMs;
    const projector = new Projector(this.#ctx, taskId, this.#paths(taskId), () => {
      if (performance.now() > validUntil) throw this.#rightLost(taskId);
    });
    let moved: { readonly from: number; readonly to: number } | null = null;
    try {
      const facts = await projector.facts();
      if (facts === undefined) return true;
      const repairs = await work(projector, facts);
      const { projectedSeq, headSeq } = facts.extent;
      if (headSeq > projectedSeq) moved = { from: projectedSeq, to: headSeq };
      for (const repair of repairs) this.#logger.warn('A file of a task was rebuilt', { taskId, ...repair });
      return true;
    } finally {
      await this.#ctx.engine.write(() => unlockProjection(taskId, this.#holder, moved), { durable: false });
    }
  }

  #rightHeld(taskId: TaskId, extent: Extent): OpencodeToolsError {
    return new OpencodeToolsError(
      'OCT_STORE_UNAVAILABLE',
      `Another process keeps writing the files of task ${taskId}`,
      {
        details: { taskId, projectedSeq: extent.projectedSeq, headSeq: extent.headSeq },
      },
    );
  }

  #rightLost(taskId: TaskId): OpencodeToolsError {
    return new OpencodeToolsError('OCT_STORE_UNAVAILABLE', `Writing the files of task ${taskId} took too long`, {
      details: { taskId, rightMs },
    });
  }
}
