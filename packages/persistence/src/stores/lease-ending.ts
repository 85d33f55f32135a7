import { type Actor, type Lease, type RecordDraft, type Session, toTimestamp } from '@opencode-tools/core';
import { type Plan, firstRow } from '../query/plan.ts';
import { fromRow } from '../rows/entity-rows.ts';
import { selectSessionById } from './lease-rows.ts';

export interface EndOfLease {
  readonly reason: string;
  readonly actor: Actor;
  readonly correlationId: string | null;
}

type Ending = 'expired' | 'revoked' | 'released';

/** Drafts the records that end a lease and, unless it has ended before, its session. */
export function* endingOf(
  lease: Lease,
  ending: Ending,
  end: EndOfLease,
  nowMs: number,
): Plan<{ readonly drafts: readonly RecordDraft[]; readonly session: Session | null }> {
  const endedAt = toTimestamp(nowMs);
  const { actor, correlationId } = end;
  const common = { stream: lease.taskId, actor, correlationId, token: lease.token, detail: { reason: end.reason } };
  const drafts: RecordDraft[] = [
    { ...common, type: `lease.${ending}`, puts: [{ noun: 'lease', value: { ...lease, state: ending, endedAt } }] },
  ];
  const row = yield* firstRow(selectSessionById({ id: lease.sessionId }));
  const before = row === undefined ? undefined : fromRow<Session>(row);
  if (before === undefined || before.state !== 'attached') return { drafts, session: null };
  const state = ending === 'released' ? 'detached' : 'lost';
  const session: Session = { ...before, state, endedAt, endReason: end.reason };
  drafts.push({ ...common, type: `session.${state}`, puts: [{ noun: 'session', value: session }] });
  return { drafts, session };
}
