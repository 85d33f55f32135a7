import { appendFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import type { Logger } from '@opencode-tools/core';
import { projectionHolder } from './projection-holder.ts';
import type { StoreContext } from '../write/context.ts';
import { rewindLineFile } from './line-file.ts';
import { logFile } from './log-files.ts';
import { lockProjection, readExtent, readRange, unlockProjection } from './projection-plans.ts';

const rightMs = 10_000;
const batchRecords = 1_000;

/**
 * Keeps the ledger of the home itself as a file, so that a registry that is lost can be made again with it. Whoever cannot
 * get the right to write leaves it to the one who has it.
 */
export class HomeLog {
  readonly #ctx: StoreContext;
  readonly #file: string;
  readonly #logger: Logger;
  readonly #holder = projectionHolder('home-');

  constructor(ctx: StoreContext, homeDirectory: string, logger: Logger) {
    this.#ctx = ctx;
    this.#file = path.join(homeDirectory, logFile);
    this.#logger = logger;
  }

  /** @param anew writes the whole file again, for when records were pruned or erased */
  async project(anew = false): Promise<void> {
    const { engine } = this.#ctx;
    const extent = await engine.read(() => readExtent('home'));
    if (extent === undefined || extent.homeId !== this.#ctx.homeId) return;
    if (!anew && extent.projectedSeq >= extent.headSeq) return;
    const mine = await engine.write(() => lockProjection(this.#ctx, 'home', this.#holder(), rightMs), {
      durable: false,
    });
    if (!mine) return;
    let moved: { readonly from: number; readonly to: number } | null = null;
    try {
      moved = await this.#write(anew);
    } finally {
      const done = moved;
      await engine.write(() => unlockProjection('home', this.#holder(), done), { durable: false });
    }
  }

  async #write(anew: boolean): Promise<{ readonly from: number; readonly to: number } | null> {
    const extent = await this.#ctx.engine.read(() => readExtent('home'));
    if (extent === undefined) return null;
    const { baseSeq, headSeq, projectedSeq } = extent;
    if (anew || !(await this.#endsAt(projectedSeq, headSeq))) await this.#rewrite(baseSeq, headSeq);
    else await this.#append(this.#file, projectedSeq, headSeq);
    return headSeq > projectedSeq ? { from: projectedSeq, to: headSeq } : null;
  }

  /** Cuts the file back to the mark; false when it does not go on from there as the ledger does. */
  async #endsAt(projectedSeq: number, headSeq: number): Promise<boolean> {
    const { fault, lastLine } = await rewindLineFile(this.#file, projectedSeq, headSeq);
    if (fault === 'missing') return projectedSeq === 0;
    const [tail] = await this.#ctx.engine.read(() => readRange('home', projectedSeq - 1, projectedSeq, 1));
    if (fault === null && (lastLine?.hash ?? null) === (tail?.hash ?? null)) return true;
    const kept = `${this.#file}.bad-${new Date(this.#ctx.clock.nowMs()).toISOString().replaceAll(':', '-')}`;
    await rename(this.#file, kept);
    this.#logger.warn('The log of the home was written anew', { fault: fault ?? 'changed', kept });
    return false;
  }

  async #rewrite(baseSeq: number, headSeq: number): Promise<void> {
    const temporary = `${this.#file}.${process.pid}.tmp`;
    await rm(temporary, { force: true });
    await this.#append(temporary, baseSeq, headSeq);
    await rename(temporary, this.#file);
  }

  async #append(file: string, afterSeq: number, lastSeq: number): Promise<void> {
    await appendFile(file, '', { mode: 0o600 });
    for (let from = afterSeq; from < lastSeq;) {
      const after = from;
      const records = await this.#ctx.engine.read(() => readRange('home', after, lastSeq, batchRecords));
      const last = records.at(-1);
      if (last === undefined) return;
      await appendFile(file, records.map((record) => `${JSON.stringify(record)}\n`).join(''));
      from = last.seq;
    }
  }
}
