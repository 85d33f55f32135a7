import { OpencodeToolsError, type StreamId } from '@opencode-tools/core';
import type { StoreContext } from '../write/context.ts';
import { isDeadHolder } from './projection-holder.ts';
import { holderOf, lockProjection, unlockProjection } from './projection-plans.ts';

/** How long the right lasts when it is not taken again. */
const rightMs = 10_000;
/** The right is given up this long before it ends, so that two never write at once. */
const marginMs = 2_000;
/** Long work takes the right again when it is this old. */
const renewedAfterMs = 3_000;

/** How far the files of a stream were brought. */
export interface Moved {
  readonly from: number;
  readonly to: number;
}

/** Reads a clock that never goes back, in milliseconds. */
export type ElapsedMs = () => number;

/** The right to write the files of one stream, which one process has at a time. */
export class ProjectionRight {
  readonly #ctx: StoreContext;
  readonly #stream: StreamId;
  readonly #holder: string;
  readonly #elapsedMs: ElapsedMs;
  #takenAt: number;

  private constructor(ctx: StoreContext, stream: StreamId, holder: string, elapsedMs: ElapsedMs) {
    this.#ctx = ctx;
    this.#stream = stream;
    this.#holder = holder;
    this.#elapsedMs = elapsedMs;
    this.#takenAt = elapsedMs();
  }

  /** @returns null while another process has it; one that has died has it no more */
  static async take(
    ctx: StoreContext,
    stream: StreamId,
    holder: string,
    elapsedMs: ElapsedMs = () => performance.now(),
  ): Promise<ProjectionRight | null> {
    const right = new ProjectionRight(ctx, stream, holder, elapsedMs);
    if (await right.#lock()) return right;
    const other = await ctx.engine.read(() => holderOf(stream));
    if (other === undefined || !isDeadHolder(other)) return null;
    // Of several who find it dead one gets the right; the others find the next holder alive.
    await ctx.engine.write(() => unlockProjection(stream, other, null), { reachesDisk: 'some time' });
    return (await right.#lock()) ? right : null;
  }

  /**
   * To be called between pieces of work, each of which is short: takes the right again before it ends.
   *
   * @throws OpencodeToolsError `OCT_STORE_UNAVAILABLE` when it has run out, and another process may have it
   */
  async keep(): Promise<void> {
    const nowMs = this.#elapsedMs();
    const age = nowMs - this.#takenAt;
    if (age < renewedAfterMs) return;
    if (age > rightMs - marginMs || !(await this.#lock())) throw this.#lost();
    this.#takenAt = nowMs;
  }

  /**
   * Gives the right back, and moves the mark when the files got further.
   *
   * @returns false when this process was stopped for so long that another had the right: what was written last may have come late
   */
  async release(moved: Moved | null): Promise<boolean> {
    return this.#ctx.engine.write(() => unlockProjection(this.#stream, this.#holder, moved), {
      reachesDisk: 'some time',
    });
  }

  #lock(): Promise<boolean> {
    return this.#ctx.engine.write(() => lockProjection(this.#ctx, this.#stream, this.#holder, rightMs), {
      reachesDisk: 'some time',
    });
  }

  #lost(): OpencodeToolsError {
    return new OpencodeToolsError(
      'OCT_STORE_UNAVAILABLE',
      `Writing the files of ${this.#stream} was held up too long`,
      {
        details: { stream: this.#stream, rightMs },
      },
    );
  }
}
