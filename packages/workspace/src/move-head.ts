import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type CommitWork, OpencodeToolsError } from '@opencode-tools/core';
import { plainHeadOf } from './checked-out.ts';
import { takeIntoIndex } from './commit-tree.ts';
import { doneAtLast } from './done-at-last.ts';
import type { GitRunner } from './git-runner.ts';
import { isRaced, moveRef, refMoved } from './move-ref.ts';
import { giveToOwner } from './owned-repository.ts';
import { refuseTakenBack } from './taken-back.ts';
import type { MergeJournal, WorkJournals } from './work-journal.ts';

export interface HeadMove {
  readonly runner: GitRunner;
  readonly journals: WorkJournals;
  readonly journal: MergeJournal & Required<Pick<MergeJournal, 'index' | 'gitDirectory'>>;
  /** The file of the index that its changes are from. */
  readonly indexFile: Buffer | null;
  /** Who commits. */
  readonly environment: Readonly<Record<string, string>>;
}

/**
 * Moves what is checked out to a commit, and the index after it. The branch first, by compare-and-set: from then on whoever comes later
 * brings the index along.
 *
 * @throws OpencodeToolsError `OCT_VERSION_CONFLICT` when the user's git was faster or is at work; then nothing has moved
 */
export async function moveHead(
  { message, confirm }: Pick<CommitWork, 'message' | 'confirm'>,
  { runner, journals, journal, environment, indexFile }: HeadMove,
): Promise<void> {
  const { repository: cwd, gitDirectory, ref, old, commit, index } = journal;
  assertNoGitAtWork({ top: cwd, gitDirectory });
  const call = { cwd, environment };
  const assertOut = async (): Promise<void> => {
    if (((await plainHeadOf(runner, cwd, gitDirectory)) ?? 'HEAD') !== ref) throw refMoved(cwd, ref);
  };
  await journals.write(journal);
  await confirm?.(null);
  await assertOut();
  const said = `commit${old === null ? ' (initial)' : ''}: ${message.split('\n', 1)[0] ?? ''}`;
  await moveRef(runner, call, { ref, from: old, to: commit, said });
  try {
    // Of what was checked out between the two.
    await assertOut();
    await doneAtLast(async () => {
      await takeIntoIndex(runner, { top: cwd, gitDirectory, idLength: commit.length }, index, indexFile);
      await giveToOwner(gitDirectory, ref);
    });
  } catch (error) {
    // Where it stays, whoever settles brings the index along.
    await moveRef(runner, call, { ref, from: commit, to: old, said: 'undone' }).catch(() => undefined);
    throw isRaced(String(error)) ? busy(cwd) : error;
  }
  await refuseTakenBack(runner, journal);
}

/** @throws OpencodeToolsError `OCT_VERSION_CONFLICT` */
export function assertNoGitAtWork({
  top,
  gitDirectory,
}: {
  readonly top: string;
  readonly gitDirectory: string;
}): void {
  if (existsSync(join(gitDirectory, 'index.lock'))) throw busy(top);
}

function busy(directory: string): OpencodeToolsError {
  return new OpencodeToolsError('OCT_VERSION_CONFLICT', `Another git is at work in ${directory}`, {
    remedy: 'Try again; remove index.lock when that git is gone.',
    details: { directory },
  });
}
