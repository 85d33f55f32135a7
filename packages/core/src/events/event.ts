import type { LedgerRecord, StreamId } from '../ledger/ledger-record.ts';

/** One event on its way to one handler. */
export interface Delivery {
  readonly event: LedgerRecord;
  /** Name of the subscription. */
  readonly subscription: string;
  /** 1 the first time. */
  readonly attempt: number;
  /** For records that the handler causes: ties them to this event. */
  readonly causationId: string;
  /** Aborted when the bus closes without waiting any longer. */
  readonly signal: AbortSignal;
}

/** A promise is awaited before the next event of the same stream is delivered. Throwing or rejecting asks for another try. */
export type EventHandler = (event: LedgerRecord, delivery: Delivery) => void | Promise<void>;

/** Runs around each delivery; `next` calls the handler. Throwing counts as the handler's failure. */
export type EventMiddleware = (delivery: Delivery, next: () => Promise<void>) => Promise<void>;

export interface SubscribeOptions {
  /** `*` (default), `task.*`, `*.failed`, `execution.completed`; several are alternatives. */
  readonly pattern?: string | readonly string[];
  /** Only this stream. */
  readonly stream?: StreamId;
  /** With `stream`: begins with the record after this one, from the ledger, and goes on with what comes. */
  readonly afterSeq?: number;
  /** Shown in dead letters and logs; `handler` and a number by default. */
  readonly name?: string;
  /** Tries per event before it becomes a dead letter; 1 to 100, default 5. */
  readonly attempts?: number;
  /** Wait before the second try, doubled for each further one up to 5 s; default 50 ms. */
  readonly backoffMs?: number;
  /** Events held in memory for this subscription; what comes on top is read from the ledger later. Default 10,000. */
  readonly maxPending?: number;
}

/** An event that a handler did not take in as many tries as it has. */
export interface DeadLetter {
  readonly subscription: string;
  readonly event: LedgerRecord;
  readonly attempts: number;
  readonly error: unknown;
}
