import type { TaskId } from '../domain/ids.ts';
import type { ChainHead } from '../ledger/chain.ts';
import type { StoredRecord, StreamId } from '../ledger/ledger-record.ts';
import type { ChainsReport } from '../ledger/verify-chain.ts';
import type { ReadRecords } from '../ports/ledger.ts';

export interface VerifyReport extends ChainsReport {
  readonly ok: boolean;
  /** What a clean report does and does not prove. */
  readonly limit: string;
}

export interface LedgerService {
  /** Records of a task, also of a deleted one; newest first unless asked otherwise. */
  history(taskId: TaskId, options?: ReadRecords): Promise<readonly StoredRecord[]>;
  /** One task's chain, or all chains of the home, in constant memory. Reports the first broken record of each; never throws for one. */
  verify(taskId?: TaskId): Promise<VerifyReport>;
  head(stream: StreamId): Promise<ChainHead>;
}
