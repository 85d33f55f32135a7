import { appendFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import type { Logger } from '@opencode-tools/core';
import type { StoreContext } from '../write/context.ts';
import { rewindLineFile } from './line-file.ts';
import { logFile } from './log-files.ts';
import { readExtent, readRange } from './projection-plans.ts';
import type { Moved, ProjectionRight } from './projection-right.ts';
import { ProjectionTurns } from './projection-turns.ts';
import { isOther } from './set-aside-others.ts';

const batchRecords = 1_000;

/** Keeps the ledger of the home itself as a file, so that a registry that is lost can be made again with it. */
export class HomeLog {
  readonly #ctx: StoreContext;
  readonly #file: string;
  readonly #logger: Logger;
  readonly #turns: ProjectionTurns;

  constructor(ctx: StoreContext, homeDirectory: string, logger: Logger) {
    this.#ctx = ctx;
    this.#file = path.join(homeDirectory, logFile);
    this.#logger = logger;
    this.#turns = new ProjectionTurns(ctx, 'home-');
  }

  /** Brings the file up to date, or leaves that to a process that is at it. */
  async project(): Promise<void> {
    await this.#turns.run('home', (right) => this.#write(right, false), 'while-lagging-and-free');
  }

  /**
   * Writes the whole file again, for when records were pruned or erased.
   *
   * @throws OpencodeToolsError `OCT_STORE_UNAVAILABLE` when another process keeps writing it
   */
  async rewrite(): Promise<void> {
    await this.#turns.run('home', (right) => this.#write(right, true), 'always');
  }

  async #write(right: ProjectionRight, anew: boolean): Promise<Moved | null> {
    const extent = await this.#ctx.engine.read(() => readExtent('home'));
    if (extent === undefined) return null;
    const { baseSeq, headSeq, projectedSeq } = extent;
    if (anew || !(await this.#endsAt(projectedSeq, headSeq))) await this.#rewrite(right, baseSeq, headSeq);
    else await this.#append(right, this.#file, projectedSeq, headSeq);
    return headSeq > projectedSeq ? { from: projectedSeq, to: headSeq } : null;
  }

  /** Cuts the file back to the mark; false when it does not go on from there as the ledger does. */
  async #endsAt(projectedSeq: number, headSeq: number): Promise<boolean> {
    const { fault, lastLine } = isOther(this.#file, 'file')
      ? ({ fault: 'no-file', lastLine: null } as const)
      : await rewindLineFile(this.#file, projectedSeq, headSeq);
    if (fault === 'missing') return projectedSeq === 0;
    const [tail] = await this.#ctx.engine.read(() => readRange('home', projectedSeq - 1, projectedSeq, 1));
    if (fault === null && (lastLine?.hash ?? null) === (tail?.hash ?? null)) return true;
    const kept = `${this.#file}.bad-${new Date(this.#ctx.clock.nowMs()).toISOString().replaceAll(':', '-')}`;
    await rename(this.#file, kept);
    this.#logger.warn('The log of the home was written anew', { fault: fault ?? 'changed', kept });
    return false;
  }

  async #rewrite(right: ProjectionRight, baseSeq: number, headSeq: number): Promise<void> {
    const temporary = `${this.#file}.${process.pid}.tmp`;
    await rm(temporary, { force: true });
    await this.#append(right, temporary, baseSeq, headSeq);
    await rename(temporary, this.#file);
  }

  async #append(right: ProjectionRight, file: string, afterSeq: number, lastSeq: number): Promise<void> {
    await appendFile(file, '', { mode: 0o600 });
    for (let from = afterSeq; from < lastSeq;) {
      const after = from;
      await right.keep();
      const records = await this.#ctx.engine.read(() => readRange('home', after, lastSeq, batchRecords));
      const last = records.at(-1);
      if (last === undefined) return;
      await appendFile(file, records.map((record) => `${JSON.stringify(record)}\n`).join(''));
      from = last.seq;
    }
  }
}
