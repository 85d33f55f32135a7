import { sql } from 'kysely';
import { template } from '../query/template.ts';

// Written as a literal, so that the planner sees that the partial index applies.
const active = sql<boolean>`claims.state = 'active'`;

/** Versions only grow and rows only come: their sum changes with every grant and every end. */
export const selectClaimsRevision = template<{ taskId: string }>()(({ db }, slot) =>
  db
    .selectFrom('claims')
    .select(sql<number>`cast(coalesce(sum(version), 0) as bigint)`.as('revision'))
    .where('task_id', '=', slot('taskId')),
);

export const selectSessionClaims = template<{ sessionId: string }>()(({ db }, slot) =>
  db.selectFrom('claims').select('entity').where('session_id', '=', slot('sessionId')).where(active).orderBy('id'),
);

export const selectActiveClaims = template<{ taskId: string; nowMs: number }>()(({ db, nowMs }, slot) =>
  db
    .selectFrom('claims')
    .innerJoin('sessions', 'sessions.id', 'claims.session_id')
    .innerJoin('leases', 'leases.id', 'sessions.lease_id')
    .select([
      'claims.entity',
      sql<number>`case when leases.expires_at_ms <= ${nowMs(slot('nowMs'))} then 1 else 0 end`.as('expired'),
    ])
    .where('claims.task_id', '=', slot('taskId'))
    .where(active)
    .orderBy('claims.claimed_at')
    .orderBy('claims.id'),
);
