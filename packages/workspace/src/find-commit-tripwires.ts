import { type ChangedFile, type Tripwire, findTripwires } from '@opencode-tools/core';
import { describeChanges, rawChangesOfEach } from './commit-changes.ts';
import type { GitRunner } from './git-runner.ts';

const mostBetween = 10_000;

/**
 * Tripwires of what the commits change in all, then those of paths that only an earlier commit changes: whoever checks it out, to look
 * where a fault came from, has them.
 *
 * @param files what differs between base and tip
 */
export async function findCommitTripwires(
  git: GitRunner,
  cwd: string,
  { base, tip, files }: { readonly base: string; readonly tip: string; readonly files: readonly ChangedFile[] },
): Promise<readonly Tripwire[]> {
  const inAll = findTripwires(files);
  const list = ['rev-list', `--max-count=${mostBetween}`, tip, `^${base}`];
  const commits = (await git.run(list, { cwd })).toString('utf8').split('\n').filter(Boolean);
  if (commits.length < 2) return inAll;
  const known = new Set(inAll.map(({ path }) => path));
  const between = await describeChanges(git, cwd, await rawChangesOfEach(git, cwd, commits), { from: base, to: tip });
  const earlier: Tripwire[] = [];
  for (const tripwire of findTripwires(between)) {
    if (known.has(tripwire.path)) continue;
    known.add(tripwire.path);
    earlier.push({ ...tripwire, why: `${tripwire.why}; in an earlier commit` });
  }
  return [...inAll, ...earlier];
}
