import type { StoreUser } from '@opencode-tools/core';
import type { Watch } from './hints.ts';
import type { Plan } from './plan.ts';
import type { Traits } from './traits.ts';

export interface WriteOptions {
  /** Default `before`. */
  readonly reachesDisk?: ReachesDisk;
}

/**
 * When what was written reaches the disk: before its write resolves; meanwhile, which the next write with `before` waits for; or some
 * time, for book-keeping that may be lost with the power and is then simply done again.
 */
export type ReachesDisk = 'before' | 'meanwhile' | 'some time';

/** One opened database: runs plans. A plan is given as a function because it may have to be run again. */
export interface Engine {
  readonly traits: Traits;
  /** File path, or address without credentials. */
  readonly location: string;
  /** Runs reading statements, each seeing what is committed at its moment. */
  read<T>(plan: () => Plan<T>): Promise<T>;
  /** Runs reading statements that all see the same moment. */
  snapshot<T>(plan: () => Plan<T>): Promise<T>;
  /** Runs a plan in one transaction, whole or not at all. */
  write<T>(plan: () => Plan<T>, options?: WriteOptions): Promise<T>;
  /**
   * Tells whoever watches, in this process and in others, that something was committed about these topics. A hint only.
   *
   * @param urgent topics that somebody waits for right now
   */
  publish(topics: readonly string[], urgent?: readonly string[]): void;
  /** Watches for commits about a topic, by any process; about all when it is null. */
  watch(topic: string | null): Watch;
  sizeBytes(): Promise<number>;
  /** Other processes that have the database open, as far as can be seen: on PostgreSQL those that are connected just now. */
  users(): Promise<readonly StoreUser[]>;
  close(): Promise<void>;
}
