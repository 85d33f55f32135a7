import type { Migration } from './migration.ts';

/** What sessions say they will read and write. */
export const claims: Migration = {
  version: 4,
  name: 'claims',
  statements: () => [
    `create table claims (
      id text primary key,
      task_id text not null,
      session_id text not null,
      state text not null,
      claimed_at text not null,
      version bigint not null,
      entity text not null
    )`,
    `create index claims_task on claims (task_id, version)`,
    `create index claims_active on claims (session_id) where state = 'active'`,
  ],
  down: () => [`drop table claims`],
};
