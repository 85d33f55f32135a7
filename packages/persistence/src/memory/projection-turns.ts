import { setTimeout as sleep } from 'node:timers/promises';
import { OpencodeToolsError, type StreamId } from '@opencode-tools/core';
import type { StoreContext } from '../write/context.ts';
import { projectionHolder } from './projection-holder.ts';
import { type Extent, readExtent } from './projection-plans.ts';
import { type ElapsedMs, type Moved, ProjectionRight } from './projection-right.ts';

const patienceMs = 15_000;

type Work = (right: ProjectionRight) => Promise<Moved | null>;

/** When work is worth its turn: always, or only while the files lag behind the ledger, whoever writes them. */
export type Worth = 'always' | 'while-lagging' | 'while-lagging-and-free';

/** Work on the files of streams, one at a time per stream: in this process in order, across processes by the store's lock. */
export class ProjectionTurns {
  readonly #ctx: StoreContext;
  readonly #elapsedMs: ElapsedMs | undefined;
  readonly #holder: () => string;
  readonly #working = new Map<StreamId, Promise<void>>();

  /** @param prefix of the name under which the right is held; two objects of one name would share the right */
  constructor(ctx: StoreContext, prefix: '' | 'home-', elapsedMs?: ElapsedMs) {
    this.#ctx = ctx;
    this.#holder = projectionHolder(prefix);
    this.#elapsedMs = elapsedMs;
  }

  /**
   * Runs work when its turn has come. Does nothing for a stream of another home.
   *
   * @returns false when another process wrote the files at the same time, since this one was stopped for long
   * @param worth `while-lagging-and-free` leaves the work to a process that is at it
   * @throws OpencodeToolsError `OCT_STORE_UNAVAILABLE` when another process keeps the right for fifteen seconds
   */
  async run(stream: StreamId, work: Work, worth: Worth): Promise<boolean> {
    const before = this.#working.get(stream) ?? Promise.resolve();
    const mine = before.then(() => this.#whenFree(stream, work, worth));
    const settled = mine.then(
      () => undefined,
      () => undefined,
    );
    this.#working.set(stream, settled);
    try {
      return await mine;
    } finally {
      if (this.#working.get(stream) === settled) this.#working.delete(stream);
    }
  }

  async #whenFree(stream: StreamId, work: Work, worth: Worth): Promise<boolean> {
    const givenUpAt = performance.now() + patienceMs;
    for (;;) {
      const extent = await this.#ctx.engine.read(() => readExtent(stream));
      if (extent === undefined || extent.homeId !== this.#ctx.homeId) return true;
      if (worth !== 'always' && extent.projectedSeq >= extent.headSeq) return true;
      const right = await ProjectionRight.take(this.#ctx, stream, this.#holder(), this.#elapsedMs);
      if (right !== null) return workAndRelease(right, work);
      if (worth === 'while-lagging-and-free') return true;
      if (performance.now() > givenUpAt) throw rightHeld(stream, extent);
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

function rightHeld(stream: StreamId, extent: Extent): OpencodeToolsError {
  return new OpencodeToolsError('OCT_STORE_UNAVAILABLE', `Another process keeps writing the files of ${stream}`, {
    details: { stream, projectedSeq: extent.projectedSeq, headSeq: extent.headSeq },
  });
}
