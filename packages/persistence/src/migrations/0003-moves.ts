import type { Migration } from './migration.ts';

/** What a move between databases needs to know after it was killed. */
export const moves: Migration = {
  version: 3,
  name: 'moves',
  statements: () => [
    // `moving <location>` while a move ends, `moved <location>` afterwards; nothing can be written in either.
    `alter table meta add column moved_to text`,
    `create table move_progress (
      id bigint primary key check (id = 1),
      source text not null,
      state text not null,
      last_position bigint not null
    )`,
  ],
  down: () => [`drop table move_progress`, `alter table meta drop column moved_to`],
};
