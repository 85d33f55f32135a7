import type { Claim, ClaimOverlap } from './claim.ts';
import type { ClaimGlobs } from './claim-globs.ts';
import { type Glob, createGlob } from './glob.ts';

const maxOverlaps = 50;

/**
 * Finds where a request meets claims of others: writing meets writing and reading, reading meets writing. Exact for every
 * pair of globs; stops after 50 overlaps.
 */
export function findOverlaps(wanted: ClaimGlobs, others: readonly Claim[]): readonly ClaimOverlap[] {
  const found: ClaimOverlap[] = [];
  const write = wanted.write.map(createGlob);
  const read = wanted.read.map(createGlob);
  for (const claim of others) {
    const theirWrites = claim.write.map(createGlob);
    found.push(
      ...overlapsOf('write-write', write, theirWrites, claim),
      ...overlapsOf('write-read', write, claim.read.map(createGlob), claim),
      ...overlapsOf('read-write', read, theirWrites, claim),
    );
    if (found.length >= maxOverlaps) break;
  }
  return found.slice(0, maxOverlaps);
}

function* overlapsOf(
  kind: ClaimOverlap['kind'],
  ours: readonly Glob[],
  theirs: readonly Glob[],
  claim: Claim,
): Generator<ClaimOverlap> {
  for (const glob of ours) {
    for (const other of theirs) {
      const path = glob.overlap(other);
      if (path === undefined) continue;
      const { id: claimId, sessionId, agent } = claim;
      yield { kind, glob: glob.text, otherGlob: other.text, path, claimId, sessionId, agent };
    }
  }
}
