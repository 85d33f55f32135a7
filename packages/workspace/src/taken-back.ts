import { OpencodeToolsError } from '@opencode-tools/core';
import { rawChanges } from './commit-changes.ts';
import type { GitRunner } from './git-runner.ts';
import type { MergeJournal } from './work-journal.ts';

type Moved = Pick<MergeJournal, 'repository' | 'ref' | 'old' | 'commit'>;

/** Whether who committed a work tree that was behind has taken back what came: a path is as it was before. */
export async function isTakenBack(git: GitRunner, { repository, old, commit }: Moved, tip: string): Promise<boolean> {
  if (old === null || tip === commit) return false;
  const came = await rawChanges(git, repository, old, commit);
  const before = new Map(came.map(({ path, modes, objects }) => [path, `${modes[0]} ${objects[0]}`]));
  const since = await rawChanges(git, repository, commit, tip);
  return since.some(({ path, modes, objects }) => before.get(path) === `${modes[1]} ${objects[1]}`);
}

/**
 * Says so where another git committed between the moves of a branch and of its index, and with that took back what came.
 *
 * @throws OpencodeToolsError `OCT_VERSION_CONFLICT`
 */
export async function refuseTakenBack(git: GitRunner, moved: Moved): Promise<void> {
  const { repository, ref, commit } = moved;
  const { code, stdout } = await git.try(['rev-parse', '--verify', '--quiet', ref], { cwd: repository });
  const tip = stdout.toString('utf8').trim();
  if (code !== 0 || !(await isTakenBack(git, moved, tip))) return;
  throw new OpencodeToolsError(
    'OCT_VERSION_CONFLICT',
    `Another git committed to ${ref} just when ${commit} came, and took back what that brought`,
    {
      remedy: 'It is staged in the work tree: look at it, and commit it there.',
      details: { repository, ref, commit, tip },
    },
  );
}
