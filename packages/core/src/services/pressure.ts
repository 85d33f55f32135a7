import type { Pressure, PressureLevel } from '../domain/sandbox.ts';
import { pressureLevels } from '../domain/sandbox.ts';

/** From which share of a limit on each level begins, in percent. */
export interface Thresholds {
  readonly warning: number;
  readonly critical: number;
  readonly emergency: number;
}

export const defaultThresholds: Thresholds = { warning: 70, critical: 85, emergency: 95 };

/** How much of a limit is used. */
export type Use = Pick<Pressure, 'resource' | 'used' | 'limit'>;

export interface Reading extends Use {
  readonly level: PressureLevel;
}

/** A level counts when it was seen so many times in a row: a peak that is over at once is nobody's business. */
const timesInRow = 2;
/** By how many percent use has to fall below a level before that is over, so that it does not come and go. */
const easePercent = 5;

export function percentOf({ used, limit }: Use): number {
  return limit <= 0 ? 0 : (used / limit) * 100;
}

/** The most pressing of several. */
export function worstOf(uses: readonly Use[], thresholds: Thresholds): Reading | undefined {
  const [worst] = uses.toSorted((left, right) => percentOf(right) - percentOf(left));
  return worst && { ...worst, level: levelOf(percentOf(worst), thresholds) };
}

function levelOf(percent: number, thresholds: Thresholds): PressureLevel {
  if (percent >= thresholds.emergency) return 'emergency';
  if (percent >= thresholds.critical) return 'critical';
  return percent >= thresholds.warning ? 'warning' : 'normal';
}

export function rankOf(level: PressureLevel): number {
  return pressureLevels.indexOf(level);
}

/** Remembers what was seen of one sandbox, and tells when that is worth acting upon. */
export class PressureGauge {
  #level: PressureLevel = 'normal';
  #times = 0;

  /**
   * @param acted the level that was acted upon last
   * @returns the level to act upon now; undefined when there is nothing new
   */
  see(reading: Reading, acted: PressureLevel, thresholds: Thresholds): PressureLevel | undefined {
    if (reading.level === this.#level) this.#times += 1;
    else {
      this.#level = reading.level;
      this.#times = 1;
    }
    if (this.#times < timesInRow || reading.level === acted) return undefined;
    if (rankOf(reading.level) > rankOf(acted)) return reading.level;
    const began = acted === 'normal' ? 0 : thresholds[acted];
    return percentOf(reading) <= began - easePercent ? reading.level : undefined;
  }
}
