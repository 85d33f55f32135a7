import { setTimeout as sleep } from 'node:timers/promises';
import { OpencodeToolsError, type TaskId } from '@opencode-tools/core';
import type { StoreContext } from '../write/context.ts';
import { projectionHolder } from './projection-holder.ts';
import { type Extent, readExtent } from './projection-plans.ts';
import { type ElapsedMs, type Moved, ProjectionRight } from './projection-right.ts';

const patienceMs = 15_000;

type Work = (right: ProjectionRight) => Promise<Moved | null>;

/** Work on the files of tasks, one at a time per task: in this process in order, across processes by the store's lock. */
export class ProjectionTurns {
  readonly #ctx: StoreContext;
  readonly #elapsedMs: ElapsedMs | undefined;
  readonly #holder = projectionHolder('');
  readonly #working = new Map<TaskId, Promise<void>>();

  constructor(ctx: StoreContext, elapsedMs?: ElapsedMs) {
    this.#ctx = ctx;
    this.#elapsedMs = elapsedMs;
  }

  /**
   * Runs work when its turn has come. Does nothing for a task of another home.
   *
   * @returns false when another process wrote the files at the same time, since this one was stopped for long
   * @param onlyWhenLagging spares the work when the files are at the head, whoever wrote them
   * @throws OpencodeToolsError `OCT_STORE_UNAVAILABLE` when another process keeps the right for fifteen seconds
   */
  async run(taskId: TaskId, work: Work, onlyWhenLagging: boolean): Promise<boolean> {
    const before = this.#working.get(taskId) ?? Promise.resolve();
    const mine = before.then(() => this.#whenFree(taskId, work, onlyWhenLagging));
    const settled = mine.then(
      () => undefined,
      () => undefined,
    );
    this.#working.set(taskId, settled);
    try {
      return await mine;
    } finally {
      if (this.#working.get(taskId) === settled) this.#working.delete(taskId);
    }
  }

  async #whenFree(taskId: TaskId, work: Work, onlyWhenLagging: boolean): Promise<boolean> {
    const givenUpAt = performance.now() + patienceMs;
    for (;;) {
      const extent = await this.#ctx.engine.read(() => readExtent(taskId));
      if (extent === undefined || extent.homeId !== this.#ctx.homeId) return true;
      if (onlyWhenLagging && extent.projectedSeq >= extent.headSeq) return true;
      const right = await ProjectionRight.take(this.#ctx, taskId, this.#holder(), this.#elapsedMs);
      if (right !== null) return workAndRelease(right, work);
      if (performance.now() > givenUpAt) throw rightHeld(taskId, extent);
      await sleep(5 + Math.random() * 15);
    }
  }
}

async function workAndRelease(right: ProjectionRight, work: Work): Promise<boolean> {
  let moved: Moved | null = null;
  try {
    moved = await work(right);
  } catch (error) {
    await right.release(null);
    throw error;
  }
  return right.release(moved);
}

function rightHeld(taskId: TaskId, extent: Extent): OpencodeToolsError {
  return new OpencodeToolsError('OCT_STORE_UNAVAILABLE', `Another process keeps writing the files of task ${taskId}`, {
    details: { taskId, projectedSeq: extent.projectedSeq, headSeq: extent.headSeq },
  });
}
