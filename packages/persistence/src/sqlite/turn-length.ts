/** What a change of turns costs may be this share of the writing in a turn. */
const mostOverhead = 1 / 3;
/** Without a second transaction nobody would see what the first costs more. */
const leastPerTurn = 2;
const mostPerTurn = 32;
/** How far a turn goes from the one before it to what its owner thinks right. */
const ownOpinion = 1 / 8;
/** A process that got stuck in its turn is passed over after several times what a turn usually takes, within these. */
const stuckAfterTurns = 4;
const [shortestStuckMs, longestStuckMs] = [20, 200] as const;

/**
 * How many transactions a turn has. A change of turns costs the hand-over and what the first transaction takes longer than
 * the next, since it has to read again what others have changed; the turn is long enough that this stays a small part of
 * it, whatever the disk and however busy the machine. It is counted, so that nobody gets a smaller share because the
 * machine kept it waiting, and all who write agree on it: each goes from the length of the turn before its own a little
 * towards what it has measured itself.
 */
export class TurnLength {
  readonly #handOver = new UsualCost(1);
  readonly #first = new UsualCost(1);
  readonly #next = new UsualCost(0.5);

  /** @param ms from when the place was free until it was taken */
  sawHandOver(ms: number): void {
    this.#handOver.saw(ms);
  }

  /** @param ms what a transaction took */
  sawTransaction(ms: number, place: 'first' | 'next'): void {
    (place === 'first' ? this.#first : this.#next).saw(ms);
  }

  /** @param before the length of the turn before, where it is known. @returns a length, not rounded */
  after(before: number | null): number {
    const overheadMs = this.#handOver.ms + Math.max(0, this.#first.ms - this.#next.ms);
    const own = within(leastPerTurn, overheadMs / mostOverhead / this.#next.ms, mostPerTurn);
    return before === null ? own : within(leastPerTurn, before + (own - before) * ownOpinion, mostPerTurn);
  }

  /** After how long a turn of this length is given up for stuck, in milliseconds. */
  stuckAfterMs(length: number): number {
    const usualMs = this.#first.ms + (length - 1) * this.#next.ms;
    return within(shortestStuckMs, stuckAfterTurns * usualMs, longestStuckMs);
  }
}

const costStep = 1.15;
const [leastUsualMs, mostUsualMs] = [0.02, 200] as const;

/** What something usually costs: settles at the median of what was seen, so that a stall now and then is nothing. */
class UsualCost {
  ms: number;

  constructor(ms: number) {
    this.ms = ms;
  }

  saw(ms: number): void {
    this.ms = within(leastUsualMs, ms > this.ms ? this.ms * costStep : this.ms / costStep, mostUsualMs);
  }
}

function within(least: number, value: number, most: number): number {
  return Math.min(most, Math.max(least, value));
}
