import type { Migration } from './migration.ts';

/** Who waits for a task, in order; and what a follower of all streams needs to read in the order of commits. */
export const leaseQueue: Migration = {
  version: 2,
  name: 'lease-queue',
  statements: (traits) => [
    `create table lease_waiters (
      position ${traits.countingKey}${traits.engine === 'sqlite' ? ' autoincrement' : ''},
      task_id text not null,
      session_id text not null unique,
      expires_at_ms bigint not null
    )`,
    `create index lease_waiters_task on lease_waiters (task_id, position)`,
    ...(traits.rowLocks ? [`create index ledger_transaction on ledger (transaction_id)`] : []),
  ],
  down: (traits) => [...(traits.rowLocks ? [`drop index ledger_transaction`] : []), `drop table lease_waiters`],
};
