import {
  type Actor,
  type Claim,
  type Lease,
  type RecordDraft,
  type Session,
  type SessionId,
  toTimestamp,
} from '@opencode-tools/core';
import { type Outcome, type Plan, outcomeRows, together } from '../query/plan.ts';
import { fromRow } from '../rows/entity-rows.ts';
import { selectSessionClaims } from './claim-rows.ts';
import { selectSessionById } from './lease-rows.ts';

export interface EndOfLease {
  readonly reason: string;
  readonly actor: Actor;
  readonly correlationId: string | null;
}

type Ending = 'expired' | 'revoked' | 'released';

interface Ended {
  readonly drafts: readonly RecordDraft[];
  readonly session: Session | null;
}

/** Drafts the records that end a lease, the claims of its session and, unless it has ended before, the session itself. */
export function* endingOf(lease: Lease, ending: Ending, end: EndOfLease, nowMs: number): Plan<Ended> {
  return draftEnding(lease, ending, end, nowMs, yield* together(endingStatements(lease.sessionId)));
}

/** What `draftEnding` needs to have read. */
export function endingStatements(sessionId: SessionId) {
  return [selectSessionClaims({ sessionId }), selectSessionById({ id: sessionId })] as const;
}

/** As `endingOf`, from outcomes that are there already. */
export function draftEnding(
  lease: Lease,
  ending: Ending,
  end: EndOfLease,
  nowMs: number,
  [claimed, attached]: readonly Outcome[],
): Ended {
  const endedAt = toTimestamp(nowMs);
  const { actor, correlationId } = end;
  const common = { stream: lease.taskId, actor, correlationId, token: lease.token, detail: { reason: end.reason } };
  const drafts: RecordDraft[] = [
    { ...common, type: `lease.${ending}`, puts: [{ noun: 'lease', value: { ...lease, state: ending, endedAt } }] },
  ];
  const [claims, sessions] = endingStatements(lease.sessionId);
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
