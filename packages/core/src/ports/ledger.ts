import type { ChainHead } from '../ledger/chain.ts';
import type { StoredRecord, StreamId } from '../ledger/ledger-record.ts';
import type { ChainReport, ChainsReport } from '../ledger/verify-chain.ts';

export interface ReadRecords {
  readonly afterSeq?: number;
  /** Only records before this one; with `newestFirst` the place to go on from. */
  readonly beforeSeq?: number;
  /** Default 100, at most 10,000. */
  readonly limit?: number;
  /** True reads newest first. */
  readonly newestFirst?: boolean;
  /** Only records of these types, or of these nouns when given as `noun.`. */
  readonly types?: readonly string[];
}

export interface FollowRecords {
  /** `cursor` of the call before; null begins with the oldest record. */
  readonly after: string | null;
  /** Default 100, at most 10,000. */
  readonly limit?: number;
  /** Only records of these streams. */
  readonly streams?: readonly StreamId[];
}

export interface FollowedRecords {
  readonly records: readonly StoredRecord[];
  /** To be kept once the records have been dealt with, and passed to the next call. */
  readonly cursor: string;
}

export interface WaitForRecords {
  /** Longest wait, in milliseconds; 0 only looks. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** The chains of one home, for reading. Appending happens in `TaskStore.commit` and `LeaseStore` only. */
export interface Ledger {
  head(stream: StreamId): Promise<ChainHead>;
  read(stream: StreamId, options?: ReadRecords): Promise<readonly StoredRecord[]>;
  listStreams(): Promise<readonly StreamId[]>;
  /**
   * Reads on over all streams, for a consumer that keeps its cursor anywhere and misses nothing: every record comes after
   * its transaction has ended, those of one stream in order of `seq`. A consumer that dies between dealing with records and
   * keeping their cursor gets them again: at least once.
   *
   * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` for what is no cursor, or one of another epoch of the registry.
   */
  follow(options: FollowRecords): Promise<FollowedRecords>;
  /** The cursor past what is committed now, for a consumer that wants only what comes. */
  endCursor(): Promise<string>;
  /** Waits until there is more to read after a cursor. @returns false when the time is over or the signal aborts */
  waitForMore(cursor: string | null, wait: WaitForRecords): Promise<boolean>;
  /** The streams among some, at most 1,000, that have no anchored chain. */
  withoutChain(streams: readonly StreamId[]): Promise<readonly StreamId[]>;
  /** Checks every chain in one walk and constant memory. */
  verifyAll(): Promise<ChainsReport>;
  /** Checks one chain against itself and against its anchored head. */
  verify(stream: StreamId): Promise<ChainReport>;
}
