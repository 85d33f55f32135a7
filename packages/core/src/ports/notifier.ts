import type { LedgerRecord } from '../ledger/ledger-record.ts';

/** Tells whoever listens in this process about records that were committed. Never throws, never waits. */
export interface Notifier {
  publish(records: readonly LedgerRecord[]): void;
}
