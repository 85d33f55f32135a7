import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { LedgerRecord, StoredRecord, StreamId } from '../ledger/ledger-record.ts';
import type { Ledger } from '../ports/ledger.ts';
import type { Logger } from '../ports/logger.ts';
import type { Notifier } from '../ports/notifier.ts';
import type { DeadLetter, EventHandler, EventMiddleware, SubscribeOptions } from './event.ts';
import { Subscriber } from './subscriber.ts';

const replaySize = 500;

export interface EventBusOptions {
  /** Where what was missed and what does not fit into memory is read. */
  readonly ledger: Pick<Ledger, 'read'>;
  readonly logger: Logger;
  /** Records an event that its handler did not take. Never called for `event.*` events. */
  readonly onDeadLetter: (letter: DeadLetter) => Promise<void>;
}

/**
 * Tells handlers of this process what was committed. Each subscription sees the events of a stream in order, one at a time,
 * each at least once since it first saw the stream; streams and subscriptions are independent of each other. A handler that
 * fails is called again and then gives up that event, which is recorded; one that is slow holds up nothing but its own stream.
 * Publishing never waits; memory is bounded, because the ledger keeps what a subscription has no room for.
 */
export interface EventBus extends Notifier, AsyncDisposable {
  /** @returns a function that ends the subscription */
  subscribe(options: SubscribeOptions, handler: EventHandler): () => void;
  /** Adds a layer around every delivery from now on; the first added is the outermost. */
  use(middleware: EventMiddleware): void;
  /** True when somebody listens. */
  readonly listening: boolean;
  /** The records of a stream from the ledger, oldest first, with their payloads. */
  replay(stream: StreamId, options?: { readonly afterSeq?: number }): AsyncIterable<StoredRecord>;
  /** Resolves when everything that was published has been handled. */
  drain(): Promise<void>;
  /**
   * Takes no more events, handles those that wait without pausing between tries, and after `limitMs` (default 5,000) gives the
   * rest up.
   */
  close(options?: { readonly limitMs?: number }): Promise<void>;
}

export function createEventBus(options: EventBusOptions): EventBus {
  return new InProcessBus(options);
}

class InProcessBus implements EventBus {
  readonly #options: EventBusOptions;
  readonly #middleware: EventMiddleware[] = [];
  #subscribers: readonly Subscriber[] = [];
  #made = 0;
  #closed = false;

  constructor(options: EventBusOptions) {
    this.#options = options;
  }

  get listening(): boolean {
    return this.#subscribers.length > 0;
  }

  publish(records: readonly LedgerRecord[]): void {
    if (this.#closed) return;
    const subscribers = this.#subscribers;
    for (let index = 0; index < subscribers.length; index += 1) subscribers[index]?.offer(records);
  }

  subscribe(options: SubscribeOptions, handler: EventHandler): () => void {
    if (this.#closed) throw new OpencodeToolsError('OCT_CANCELLED', 'The event bus is closed');
    this.#made += 1;
    const name = options.name ?? `handler ${this.#made}`;
    const subscriber = new Subscriber({ ...options, name }, handler, this.#middleware, this.#options);
    this.#subscribers = [...this.#subscribers, subscriber];
    return () => {
      this.#subscribers = this.#subscribers.filter((other) => other !== subscriber);
      subscriber.end();
    };
  }

  use(middleware: EventMiddleware): void {
    this.#middleware.push(middleware);
  }

  async *replay(stream: StreamId, { afterSeq = 0 } = {}): AsyncGenerator<StoredRecord> {
    for (let after = afterSeq; ;) {
      const records = await this.#options.ledger.read(stream, { afterSeq: after, limit: replaySize });
      yield* records;
      const last = records.at(-1);
      if (last === undefined || records.length < replaySize) return;
      after = last.seq;
    }
  }

  async drain(): Promise<void> {
    await Promise.all(this.#subscribers.map((subscriber) => subscriber.drained()));
  }

  async close({ limitMs = 5_000 } = {}): Promise<void> {
    this.#closed = true;
    const subscribers = this.#subscribers;
    for (const subscriber of subscribers) subscriber.hurry();
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<void>((resolve) => (timer = setTimeout(resolve, limitMs)));
    await Promise.race([this.drain(), limit]);
    clearTimeout(timer);
    for (const subscriber of subscribers) subscriber.end();
    this.#subscribers = [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
