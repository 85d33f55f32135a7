import { asJson } from '../domain/json.ts';
import type { ClaimId, SessionId } from '../domain/ids.ts';
import type { LeaseProof, Session } from '../domain/session.ts';
import type { Task } from '../domain/task.ts';
import type { ActiveClaim, Claim, ClaimGrant, ClaimOverlap, ClaimRequest } from '../claims/claim.ts';
import { type ClaimGlobs, claimGlobs } from '../claims/claim-globs.ts';
import { findOverlaps } from '../claims/find-overlaps.ts';
import { OpencodeToolsError, isOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { RecordDraft } from '../ledger/ledger-record.ts';
import type { Change } from '../ports/task-store.ts';
import { idempotent } from './idempotent.ts';
import { type Kernel, draft, leaseGuard } from './kernel.ts';
import type { Call } from './services.ts';
import { invalid } from './validate.ts';
import { withLease } from './with-lease.ts';

/** Every retry means that another claim was granted or ended; a task has at most 100 agents. */
const maxAttempts = 100;

/** Who asks for a claim, and under which right. */
export interface Claimant {
  readonly task: Task;
  readonly session: Session;
  readonly proof: LeaseProof;
}

/** @throws OpencodeToolsError `OCT_CLAIM_OVERLAP`, `OCT_LEASE_LOST`, `OCT_INVALID_ARGUMENT` */
export async function claim(
  kernel: Kernel,
  sessionId: SessionId,
  request: ClaimRequest,
  call: Call,
): Promise<ClaimGrant> {
  const { task, session } = await sessionOf(kernel, sessionId);
  const globs = claimGlobs(task, request);
  return idempotent(kernel, call, 'claim', { sessionId, ...asJson(globs) }, (key) =>
    withLease(kernel, task, { sessionId, sandbox: false }, actingAs(session, call), ({ proof }) =>
      grantClaim(kernel, { task, session, proof }, globs, actingAs(session, call), (grant) =>
        key.finished(asJson(grant)),
      ),
    ),
  );
}

/** Ends one claim of a session, or all of them. Idempotent. @returns the claims that ended now */
export async function releaseClaims(
  kernel: Kernel,
  sessionId: SessionId,
  claimId: ClaimId | undefined,
  call: Call,
): Promise<readonly Claim[]> {
  const { task, session } = await sessionOf(kernel, sessionId);
  const acting = actingAs(session, call);
  return withLease(kernel, task, { sessionId, sandbox: false }, acting, ({ proof }) =>
    retrying(async () => {
      const { revision, active } = await kernel.deps.tasks.listClaims(task.id);
      const own = active.map(({ claim: each }) => each).filter((each) => each.sessionId === sessionId);
      const ending = own.filter((each) => claimId === undefined || each.id === claimId);
      if (ending.length === 0) return [];
      const ended = ending.map((each) => endedClaim(kernel, each, 'released'));
      const guard = { ...leaseGuard(proof, true), claims: { taskId: task.id, revision } };
      await kernel.commit({ guard, records: ended.map((each) => endRecord(each, proof, acting)) });
      return ended;
    }),
  );
}

/**
 * Grants a claim in the transaction that also makes sure that no other was granted since it was compared with the others, or
 * says what it overlaps with. Every overlap is recorded, whatever the answer.
 */
export function grantClaim(
  kernel: Kernel,
  claimant: Claimant,
  globs: ClaimGlobs,
  call: Call,
  finish: (grant: ClaimGrant) => Pick<Change, 'idempotency'> = () => ({}),
): Promise<ClaimGrant> {
  const { task, session, proof } = claimant;
  return retrying(async () => {
    const { revision, active } = await kernel.deps.tasks.listClaims(task.id);
    const { overlaps, inTheWay } = compare(globs, active, session.id);
    if (overlaps.length > 0 && task.conflictStrategy === 'reject') {
      await kernel.commit({
        guard: leaseGuard(proof, true),
        records: [conflictRecord(claimant, globs, overlaps, call)],
      });
      throw overlapError(task, overlaps);
    }
    const grant: ClaimGrant = { claim: newClaim(kernel, claimant, globs), overlaps };
    const common = { stream: task.id, call, proof } as const;
    await kernel.commit({
      guard: { ...leaseGuard(proof, true), claims: { taskId: task.id, revision } },
      records: [
        ...inTheWay.map((each) =>
          endRecord(endedClaim(kernel, each, `Lease expired; ${session.agent} claimed`), proof, call),
        ),
        draft({ ...common, type: 'claim.granted', puts: [{ noun: 'claim', value: grant.claim }] }),
        ...(overlaps.length === 0 ? [] : [conflictRecord(claimant, globs, overlaps, call)]),
      ],
      ...finish(grant),
    });
    return grant;
  });
}

/** Claims of expired leases make way when something needs their place, as expired leases do. */
function compare(globs: ClaimGlobs, active: readonly ActiveClaim[], sessionId: SessionId) {
  const others = active.filter(({ claim: each }) => each.sessionId !== sessionId);
  const of = (expired: boolean): readonly Claim[] =>
    others.filter((each) => each.expired === expired).map(({ claim: each }) => each);
  const inTheWay = of(true).filter((each) => findOverlaps(globs, [each]).length > 0);
  return { overlaps: findOverlaps(globs, of(false)), inTheWay };
}

function newClaim(kernel: Kernel, { task, session }: Claimant, globs: ClaimGlobs): Claim {
  return {
    id: kernel.deps.ids.next('claim'),
    taskId: task.id,
    sessionId: session.id,
    leaseId: session.leaseId,
    agent: session.agent,
    read: globs.read,
    write: globs.write,
    state: 'active',
    version: 1,
    claimedAt: kernel.now(),
    endedAt: null,
    endReason: null,
  };
}

function endedClaim(kernel: Kernel, active: Claim, reason: string): Claim {
  return { ...active, state: 'ended', version: active.version + 1, endedAt: kernel.now(), endReason: reason };
}

function endRecord(ended: Claim, proof: LeaseProof, call: Call): RecordDraft {
  const detail = { reason: ended.endReason };
  return draft({
    stream: ended.taskId,
    type: 'claim.ended',
    call,
    proof,
    puts: [{ noun: 'claim', value: ended }],
    detail,
  });
}

function conflictRecord(
  { task, session, proof }: Claimant,
  globs: ClaimGlobs,
  overlaps: readonly ClaimOverlap[],
  call: Call,
): RecordDraft {
  const strategy = task.conflictStrategy;
  const detail = {
    strategy,
    granted: strategy !== 'reject',
    sessionId: session.id,
    agent: session.agent,
    wanted: asJson(globs),
    overlaps: overlaps.map(asJson),
  };
  return draft({ stream: task.id, type: 'claim.conflicted', call, proof, detail });
}

function overlapError(task: Task, overlaps: readonly ClaimOverlap[]): OpencodeToolsError {
  const [first] = overlaps;
  const verb = first?.kind === 'read-write' ? 'reads' : 'writes';
  const theirs = first?.kind === 'write-read' ? 'reads' : 'writes';
  const more = overlaps.length > 1 ? ` (and ${overlaps.length - 1} more overlaps)` : '';
  return new OpencodeToolsError(
    'OCT_CLAIM_OVERLAP',
    `The claim ${verb} ${first?.glob}, and ${first?.agent} (${first?.sessionId}) ${theirs} ${first?.otherGlob}${more}`,
    {
      remedy: `Claim other paths than ${first?.path}, or wait until ${first?.agent} has released its claim or left.`,
      details: { taskId: task.id, overlaps: overlaps.map(asJson) },
    },
  );
}

async function retrying<T>(attempt: () => Promise<T>): Promise<T> {
  for (let count = 1; ; count += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (count >= maxAttempts || !isOpencodeToolsError(error, 'OCT_VERSION_CONFLICT')) throw error;
    }
  }
}

async function sessionOf(kernel: Kernel, sessionId: SessionId): Promise<{ task: Task; session: Session }> {
  const session = await kernel.deps.tasks.findSession(sessionId);
  if (session === undefined)
    throw new OpencodeToolsError('OCT_SESSION_NOT_FOUND', `No session has the id ${sessionId}`);
  if (session.ephemeral) throw invalid('sessionId', 'names a session of one command', 'Attach, then claim.');
  return { session, task: await kernel.deps.tasks.getTask(session.taskId) };
}

function actingAs(session: Session, call: Call): Call {
  return { ...call, actor: { ...call.actor, agent: session.agent, model: session.model, session: session.id } };
}
