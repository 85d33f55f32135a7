import type { LedgerRecord, StreamId } from '../ledger/ledger-record.ts';
import type { StoredRecord } from '../ledger/ledger-record.ts';
import type { Delivery } from './event.ts';

const refillSize = 500;
/** Events delivered in one go before other work gets its turn. */
const burst = 1_000;
const longestBackoffMs = 5_000;

/** What a lane needs of its subscription. */
export interface LaneOwner {
  readonly name: string;
  readonly attempts: number;
  readonly backoffMs: number;
  readonly maxPending: number;
  readonly signal: AbortSignal;
  /** True while the bus closes: nothing is waited for any more. */
  readonly hurried: boolean;
  pending: number;
  matches(type: string): boolean;
  deliver(delivery: Delivery): void | Promise<void>;
  readAfter(stream: StreamId, afterSeq: number, limit: number): Promise<readonly StoredRecord[]>;
  /** Resolves after the time, or at once when the bus closes. */
  pause(ms: number): Promise<void>;
  bury(event: LedgerRecord, error: unknown): Promise<void>;
  warn(message: string, error: unknown): void;
  began(): void;
  ended(): void;
}

/**
 * The events of one stream for one subscription, one after the other. What is not contiguous with what came before, or does not
 * fit into memory, is read from the ledger: no record of the stream is left out and none is delivered before its predecessor.
 */
export class EventLane {
  readonly #owner: LaneOwner;
  readonly #stream: StreamId;
  #queue: LedgerRecord[] = [];
  #next = 0;
  #through: number;
  /** True while records are to be read from the ledger; those that are offered then are only remembered by number. */
  #behind = false;
  #offered = 0;
  /** Reads that failed one after the other. */
  #failedReads = 0;
  #attempt = 1;
  #active = false;

  constructor(owner: LaneOwner, stream: StreamId, through: number) {
    this.#owner = owner;
    this.#stream = stream;
    this.#through = through;
  }

  get idle(): boolean {
    return !this.#active;
  }

  /** The last record that was taken up. */
  get through(): number {
    return this.#through;
  }

  offer(record: LedgerRecord): void {
    const { seq } = record;
    if (!this.#behind && seq === this.#through + 1) {
      if (!this.#owner.matches(record.type)) {
        this.#through = seq;
        return;
      }
      if (this.#owner.pending < this.#owner.maxPending) {
        this.#through = seq;
        this.#queue.push(record);
        this.#owner.pending += 1;
        if (!this.#active) this.#begin();
        return;
      }
    }
    if (seq > this.#through) this.catchUp(seq);
  }

  /** Reads from the ledger what this lane has not seen, at least up to a record. */
  catchUp(seq: number): void {
    this.#behind = true;
    this.#offered = Math.max(this.#offered, seq);
    if (!this.#active) this.#begin();
  }

  #begin(): void {
    this.#active = true;
    this.#owner.began();
    queueMicrotask(this.#work);
  }

  readonly #work = (): void => {
    for (let count = 0; count < burst; count += 1) {
      const event = this.#queue[this.#next];
      if (event === undefined) {
        this.#finish();
        return;
      }
      const outcome = this.#try(event);
      if (outcome !== undefined) {
        void outcome.then(this.#took, this.#failed);
        return;
      }
      this.#advance();
    }
    setImmediate(this.#work);
  };

  #try(event: LedgerRecord): Promise<void> | undefined {
    const { name: subscription, signal } = this.#owner;
    try {
      const outcome = this.#owner.deliver(new LaneDelivery(event, subscription, this.#attempt, signal));
      return outcome instanceof Object && 'then' in outcome ? outcome : undefined;
    } catch (error) {
      return Promise.reject(error instanceof Error ? error : new Error(String(error)));
    }
  }

  readonly #took = (): void => {
    this.#advance();
    this.#work();
  };

  readonly #failed = async (error: unknown): Promise<void> => {
    const event = this.#queue[this.#next];
    if (event !== undefined && this.#attempt < this.#owner.attempts) {
      await this.#owner.pause(Math.min(this.#owner.backoffMs * 2 ** (this.#attempt - 1), longestBackoffMs));
      this.#attempt += 1;
    } else {
      if (event !== undefined) await this.#owner.bury(event, error);
      this.#advance();
    }
    this.#work();
  };

  #advance(): void {
    this.#next += 1;
    this.#attempt = 1;
    this.#owner.pending -= 1;
  }

  #finish(): void {
    this.#queue = [];
    this.#next = 0;
    if (this.#behind) void this.#refill();
    else {
      this.#active = false;
      this.#owner.ended();
    }
  }

  async #refill(): Promise<void> {
    try {
      const records = await this.#owner.readAfter(this.#stream, this.#through, refillSize);
      this.#failedReads = 0;
      for (const record of records) {
        if (record.seq <= this.#through) continue;
        this.#through = record.seq;
        if (!this.#owner.matches(record.type)) continue;
        this.#queue.push(record);
        this.#owner.pending += 1;
      }
      // Nothing more to read: the rest was pruned from the ledger.
      if (records.length === 0) this.#through = Math.max(this.#through, this.#offered);
      if (records.length < refillSize && this.#through >= this.#offered) this.#behind = false;
    } catch (error) {
      this.#failedReads += 1;
      this.#owner.warn('Events could not be read from the ledger; trying again', error);
      await this.#owner.pause(longestBackoffMs / 5);
      if (this.#givesUp()) this.#behind = false;
    }
    this.#work();
  }

  /** A bus that closes makes no pauses: what cannot be read then is tried no more often than a handler is. */
  #givesUp(): boolean {
    const { signal, hurried, attempts } = this.#owner;
    return signal.aborted || (hurried && this.#failedReads >= attempts);
  }
}

class LaneDelivery implements Delivery {
  readonly event: LedgerRecord;
  readonly subscription: string;
  readonly attempt: number;
  readonly signal: AbortSignal;

  constructor(event: LedgerRecord, subscription: string, attempt: number, signal: AbortSignal) {
    this.event = event;
    this.subscription = subscription;
    this.attempt = attempt;
    this.signal = signal;
  }

  get causationId(): string {
    return `${this.event.stream}/${this.event.seq}`;
  }
}
