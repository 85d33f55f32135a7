import type { LedgerRecord, StoredRecord, StreamId } from '../ledger/ledger-record.ts';
import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { EventBusOptions } from './event-bus.ts';
import type { Delivery, EventHandler, EventMiddleware, SubscribeOptions } from './event.ts';
import { EventLane, type LaneOwner } from './event-lane.ts';
import { typeMatcher } from './event-pattern.ts';

/** Streams with a lane per subscription; the one that nothing happened on for longest makes room for a newer one. */
const maxLanes = 10_000;
/** Streams without a lane of which is known how far they were delivered, so that a gap is noticed when they go on. */
const maxKnown = 200_000;
/** So many lanes are looked at for an idle one. */
const mostLooked = 64;

/** One subscription: a lane per stream, and the handler with its tries. */
export class Subscriber implements LaneOwner {
  readonly name: string;
  readonly attempts: number;
  readonly backoffMs: number;
  readonly maxPending: number;
  readonly matches: (type: string) => boolean;
  pending = 0;
  readonly #only: StreamId | undefined;
  readonly #handler: EventHandler;
  readonly #middleware: readonly EventMiddleware[];
  readonly #bus: EventBusOptions;
  readonly #lanes = new Map<StreamId, EventLane>();
  readonly #known = new Map<StreamId, number>();
  readonly #end = new AbortController();
  readonly #pauses = new Set<() => void>();
  #working = 0;
  #hurried = false;
  #waiting: (() => void)[] = [];

  constructor(
    options: SubscribeOptions & { readonly name: string },
    handler: EventHandler,
    middleware: readonly EventMiddleware[],
    bus: EventBusOptions,
  ) {
    this.name = options.name;
    this.attempts = within('attempts', options.attempts ?? 5, 1, 100);
    this.backoffMs = within('backoffMs', options.backoffMs ?? 50, 0, 60_000);
    this.maxPending = within('maxPending', options.maxPending ?? 10_000, 1, 10_000_000);
    this.matches = typeMatcher([options.pattern ?? '*'].flat());
    this.#only = options.stream;
    this.#handler = handler;
    this.#middleware = middleware;
    this.#bus = bus;
    if (options.stream !== undefined && options.afterSeq !== undefined)
      this.#lane(options.stream, options.afterSeq).catchUp(options.afterSeq);
  }

  get signal(): AbortSignal {
    return this.#end.signal;
  }

  get hurried(): boolean {
    return this.#hurried;
  }

  offer(records: readonly LedgerRecord[]): void {
    for (let index = 0; index < records.length; index += 1) {
      const record = records[index];
      if (record === undefined || (this.#only !== undefined && record.stream !== this.#only)) continue;
      this.#laneOf(record).offer(record);
    }
  }

  deliver(delivery: Delivery): void | Promise<void> {
    if (this.#end.signal.aborted) return undefined;
    if (this.#middleware.length === 0) return this.#handler(delivery.event, delivery);
    return this.#through(delivery, 0);
  }

  readAfter(stream: StreamId, afterSeq: number, limit: number): Promise<readonly StoredRecord[]> {
    return this.#end.signal.aborted ? Promise.resolve([]) : this.#bus.ledger.read(stream, { afterSeq, limit });
  }

  pause(ms: number): Promise<void> {
    if (this.#hurried) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#pauses.delete(done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      this.#pauses.add(done);
    });
  }

  /** A letter about a letter would never end. */
  async bury(event: LedgerRecord, error: unknown): Promise<void> {
    if (this.#end.signal.aborted) return;
    this.warn(`A handler did not take ${event.type} ${event.stream}/${event.seq}`, error);
    if (event.type.startsWith('event.')) return;
    try {
      await this.#bus.onDeadLetter({ subscription: this.name, event, attempts: this.attempts, error });
    } catch (second) {
      this.warn('A dead letter could not be recorded', second);
    }
  }

  warn(message: string, error: unknown): void {
    this.#bus.logger.warn(message, { subscription: this.name, error: String(error) });
  }

  began(): void {
    this.#working += 1;
  }

  ended(): void {
    this.#working -= 1;
    if (this.#working > 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }

  drained(): Promise<void> {
    return this.#working === 0 ? Promise.resolve() : new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Ends every pause between tries, and makes no more. */
  hurry(): void {
    this.#hurried = true;
    for (const done of this.#pauses) done();
  }

  end(): void {
    this.hurry();
    this.#end.abort();
  }

  #laneOf({ stream, seq }: LedgerRecord): EventLane {
    const lane = this.#lanes.get(stream);
    if (lane === undefined) return this.#lane(stream, this.#known.get(stream) ?? seq - 1);
    if (this.#lanes.size >= maxLanes) this.#last(stream, lane);
    return lane;
  }

  #lane(stream: StreamId, through: number): EventLane {
    if (this.#lanes.size >= maxLanes) this.#makeRoom();
    const lane = new EventLane(this, stream, through);
    this.#known.delete(stream);
    this.#lanes.set(stream, lane);
    return lane;
  }

  /** The order of the lanes is that of what happened on them, as far as it counts. */
  #last(stream: StreamId, lane: EventLane): void {
    this.#lanes.delete(stream);
    this.#lanes.set(stream, lane);
  }

  /** Closes the first idle lane; those before it, which are at work, come last. */
  #makeRoom(): void {
    let looked = 0;
    for (const [stream, lane] of this.#lanes) {
      if (lane.idle) {
        this.#lanes.delete(stream);
        this.#know(stream, lane.through);
        return;
      }
      this.#last(stream, lane);
      looked += 1;
      if (looked === mostLooked) return;
    }
  }

  #know(stream: StreamId, through: number): void {
    this.#known.set(stream, through);
    if (this.#known.size <= maxKnown) return;
    const [first] = this.#known.keys();
    if (first !== undefined) this.#known.delete(first);
  }

  async #through(delivery: Delivery, index: number): Promise<void> {
    const layer = this.#middleware[index];
    if (layer === undefined) await this.#handler(delivery.event, delivery);
    else await layer(delivery, () => this.#through(delivery, index + 1));
  }
}

function within(argument: string, value: number, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', `${argument}: is ${value}`, {
    remedy: `Give a whole number from ${min} to ${max}.`,
    details: { argument },
  });
}
