import type { ChainHead } from '../ledger/chain.ts';
import type { StoredRecord, StreamId } from '../ledger/ledger-record.ts';
import type { ChainReport } from '../ledger/verify-chain.ts';

export interface ReadRecords {
  readonly afterSeq?: number;
  /** Default 100, at most 10,000. */
  readonly limit?: number;
  /** True reads newest first. */
  readonly newestFirst?: boolean;
  /** Only records of these types, or of these nouns when given as `noun.`. */
  readonly types?: readonly string[];
}

/** The chains of one home, for reading. Appending happens in `TaskStore.commit` and `LeaseStore` only. */
export interface Ledger {
  head(stream: StreamId): Promise<ChainHead>;
  read(stream: StreamId, options?: ReadRecords): Promise<readonly StoredRecord[]>;
  listStreams(): Promise<readonly StreamId[]>;
  /** Checks one chain against itself and against its anchored head. */
  verify(stream: StreamId): Promise<ChainReport>;
}
