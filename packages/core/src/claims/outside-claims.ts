import type { SessionId } from '../domain/ids.ts';
import type { Claim } from './claim.ts';
import { createGlob } from './glob.ts';

/** What is known of the moment in which paths changed. */
export interface ChangeScene {
  readonly sessionId: SessionId;
  readonly claims: readonly Claim[];
  /** Sessions that ran commands at the same time. */
  readonly alongside: ReadonlySet<SessionId>;
}

/**
 * Decides which changed paths a session was not to change: with claims of its own all that they do not cover for writing, and
 * in any case what others claimed. A path that a session running alongside may write is taken to be that one's doing.
 *
 * @param changed relative to the workspace; `.git` belongs to everyone and is left out
 */
export function pathsOutside(changed: readonly string[], scene: ChangeScene): readonly string[] {
  const own = scene.claims.filter((claim) => claim.sessionId === scene.sessionId);
  const others = scene.claims.filter((claim) => claim.sessionId !== scene.sessionId);
  const mayWrite = coveredBy(own, false);
  const claimedByOthers = coveredBy(others, true);
  const writtenAlongside = coveredBy(
    others.filter((claim) => scene.alongside.has(claim.sessionId)),
    false,
  );
  return changed.filter((path) => {
    if (path === '.git' || path.startsWith('.git/') || mayWrite(path) || writtenAlongside(path)) return false;
    return own.length > 0 || claimedByOthers(path);
  });
}

function coveredBy(claims: readonly Claim[], reading: boolean): (path: string) => boolean {
  const texts = new Set(claims.flatMap((claim) => (reading ? [...claim.write, ...claim.read] : claim.write)));
  const globs = [...texts].map(createGlob);
  return (path) => globs.some((glob) => glob.matches(path));
}
