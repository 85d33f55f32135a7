import { type Actor, type Claim, type Lease, type RecordDraft, type Session, toTimestamp } from '@opencode-tools/core';
import { type Plan, outcomeRows, together } from '../query/plan.ts';
import { fromRow } from '../rows/entity-rows.ts';
import { selectSessionClaims } from './claim-rows.ts';
import { selectSessionById } from './lease-rows.ts';

export interface EndOfLease {
  readonly reason: string;
  readonly actor: Actor;
  readonly correlationId: string | null;
}

type Ending = 'expired' | 'revoked' | 'released';

/** Drafts the records that end a lease, the claims of its session and, unless it has ended before, the session itself. */
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
  const claims = selectSessionClaims({ sessionId: lease.sessionId });
  const sessions = selectSessionById({ id: lease.sessionId });
  const [claimed, attached] = yield* together([claims, sessions]);
  for (const found of outcomeRows(claims, claimed)) {
    const claim = fromRow<Claim>(found);
    const ended: Claim = { ...claim, state: 'ended', version: claim.version + 1, endedAt, endReason: end.reason };
    drafts.push({ ...common, type: 'claim.ended', puts: [{ noun: 'claim', value: ended }] });
  }
  const [row] = outcomeRows(sessions, attached);
  const before = row === undefined ? undefined : fromRow<Session>(row);
  if (before === undefined || before.state !== 'attached') return { drafts, session: null };
  const state = ending === 'released' ? 'detached' : 'lost';
  const session: Session = { ...before, state, endedAt, endReason: end.reason };
  drafts.push({ ...common, type: `session.${state}`, puts: [{ noun: 'session', value: session }] });
  return { drafts, session };
}
