import type { Migration } from './migration.ts';

/** Sandboxes that are kept ready, and who tidies up. */
export const housekeeping: Migration = {
  version: 5,
  name: 'housekeeping',
  statements: () => [
    `create table pooled_sandboxes (
      id text primary key,
      home_id text not null,
      key text not null,
      state text not null,
      version bigint not null,
      created_at text not null,
      entity text not null
    )`,
    `create index pooled_sandboxes_home on pooled_sandboxes (home_id, created_at, id)`,
    `create table housekeepers (
      home_id text not null,
      engine text not null,
      holder text not null,
      expires_at_ms bigint not null,
      primary key (home_id, engine)
    )`,
  ],
  down: () => [`drop table housekeepers`, `drop table pooled_sandboxes`],
};
