import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type CommitWork, OpencodeToolsError } from '@opencode-tools/core';
import { plainHeadOf } from './checked-out.ts';
import { takeIntoIndex } from './commit-tree.ts';
import { doneAtLast } from './done-at-last.ts';
import { gitFailure, type GitRunner } from './git-runner.ts';
import { giveToOwner } from './owned-repository.ts';
import type { MergeJournal, WorkJournals } from './work-journal.ts';

/** What git says when another one was faster, or is at work. */
const raced = /\.lock': File exists| is at [0-9a-f]+ but expected|reference already exists|unable to resolve reference/;

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
  if (existsSync(join(gitDirectory, 'index.lock'))) throw busy(cwd);
  const update = async (said: string, ...values: readonly string[]): Promise<void> => {
    const args = ['update-ref', '--no-deref', '-m', said, ...values];
    const { code, stderr } = await runner.try(args, { cwd, environment });
    if (raced.test(stderr)) throw changed(cwd, ref);
    if (code !== 0) throw gitFailure(args, { cwd }, stderr);
  };
  const assertOut = async (): Promise<void> => {
    if (((await plainHeadOf(runner, cwd, gitDirectory)) ?? 'HEAD') !== ref) throw changed(cwd, ref);
  };
  await journals.write(journal);
  await confirm?.();
  await assertOut();
  const said = `commit${old === null ? ' (initial)' : ''}: ${message.split('\n', 1)[0] ?? ''}`;
  await update(said, ref, commit, old ?? '0'.repeat(commit.length));
  try {
    // Of what was checked out between the two.
    await assertOut();
    await doneAtLast(async () => {
      await takeIntoIndex(runner, { top: cwd, gitDirectory, idLength: commit.length }, index, indexFile);
      await giveToOwner(gitDirectory, ref);
    });
  } catch (error) {
    const back = old === null ? ['-d', ref, commit] : [ref, old, commit];
    // Where it stays, whoever settles brings the index along.
    await update('undone', ...back).catch(() => undefined);
    throw raced.test(String(error)) ? busy(cwd) : error;
  }
}

function busy(directory: string): OpencodeToolsError {
  return conflict(`Another git is at work in ${directory}`, 'Try again; remove index.lock when that git is gone.', {
    directory,
  });
}

function changed(directory: string, ref: string): OpencodeToolsError {
  return conflict(`${ref} moved, or is not what is checked out in ${directory} any more`, 'Try again.', {
    directory,
    ref,
  });
}

function conflict(message: string, remedy: string, details: Record<string, string>): OpencodeToolsError {
  return new OpencodeToolsError('OCT_VERSION_CONFLICT', message, { remedy, details });
}
