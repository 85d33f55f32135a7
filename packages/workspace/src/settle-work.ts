import { existsSync, readdirSync, renameSync, rmSync } from 'node:fs';
import type { SettledWork } from '@opencode-tools/core';
import { dropKept } from './bare-repository.ts';
import { type BytePath, toFs, toText } from './byte-path.ts';
import { doneAtLast } from './done-at-last.ts';
import { errnoOf } from './failures.ts';
import { findNode } from './scan-directory.ts';
import { headOf, moveWorkTree } from './checked-out.ts';
import { takeIntoIndex } from './commit-tree.ts';
import type { HostGit } from './git.ts';
import { giveToOwner, inAnyRepository } from './owned-repository.ts';
import { inRepository } from './user-repository.ts';
import { isTakenBack } from './taken-back.ts';
import type { MergeJournal, WorkJournal } from './work-journal.ts';
import { type Staging, removeStaging, undoStep } from './work-staging.ts';
import type { WorkStep } from './work-steps.ts';

/** Brings a directory into one of its two states, by what the journal says and what is found. Repeating it changes nothing. */
export function settleJournal({ root, staging: name, steps, done, operationId }: WorkJournal): SettledWork {
  const nothing = { left: [], saved: null };
  const staging = { root, name };
  // It is made before the first step and goes after the last, whichever way.
  const begun = findNode(root, name) !== undefined;
  if (done) {
    if (begun) removeStaging(staging);
    return { outcome: 'finished', ...nothing };
  }
  const savedName = `.opencode-tools-saved-${operationId}`;
  if (!begun) return findSaved(root, savedName, steps);
  const left = steps.toReversed().filter((step) => !takeBack(staging, step));
  const saved = left.length === 0 ? null : saveOld(staging, savedName);
  removeStaging(staging);
  return { outcome: 'undone', left: [...new Set(left.map(({ path }) => toText(path)))].sort(), saved };
}

/** What whoever undid this before kept aside, when it could not tell of it any more. */
function findSaved(root: BytePath, name: string, steps: readonly WorkStep[]): SettledWork {
  if (findNode(root, name)?.type !== 'directory') return { outcome: 'none', left: [], saved: null };
  const kept = new Set(readdirSync(toFs(`${root}/${name}`)));
  const left = steps.filter((step) => step.does === 'take' && kept.has(`old-${step.number}`));
  return {
    outcome: 'undone',
    left: left.map(({ path }) => toText(path)).sort(),
    saved: toText(`${root}/${name}`),
  };
}

/** A branch that has moved stays moved, and its work tree or index goes along; one that has not is left where it is. */
export async function settleMerge(host: HostGit, journal: MergeJournal): Promise<SettledWork> {
  const { repository, gitDirectory, ref, commit, workTree, index } = journal;
  if (!existsSync(repository)) return { outcome: 'none', left: [], saved: null };
  const git =
    gitDirectory === undefined
      ? (await host.find(repository)).runner
      : inRepository(inAnyRepository(host.runner), repository, { GIT_DIR: gitDirectory, GIT_WORK_TREE: repository });
  await dropKept(git, repository, journal.operationId);
  const { code, stdout } = await git.try(['rev-parse', '--verify', '--quiet', `${ref}^{commit}`], { cwd: repository });
  const tip = stdout.toString('utf8').trim();
  // Others may have gone on from it while the work tree was behind.
  const within = ['merge-base', '--is-ancestor', commit, tip];
  const has = code === 0 && (tip === commit || (await git.try(within, { cwd: repository })).code === 0);
  if (!has) return { outcome: 'none', left: [], saved: null };
  const tree = index === undefined ? workTree : repository;
  if (tree === null || !existsSync(tree)) return { outcome: 'finished', left: [], saved: null };
  const bring = async (): Promise<void> => {
    if (index === undefined) return bringWorkTree(host, tree, journal, tip);
    if (ref !== 'HEAD' && (await headOf(git, tree)) !== ref) return;
    if (gitDirectory === undefined) return;
    await takeIntoIndex(git, { top: tree, gitDirectory, idLength: commit.length }, index);
    await giveToOwner(gitDirectory, ref);
  };
  const left = await doneAtLast(bring).then(
    async () => (index === undefined && (await isTakenBack(git, journal, tip)) ? [tree] : []),
    () => [tree],
  );
  return { outcome: 'finished', left, saved: null };
}

async function bringWorkTree(host: HostGit, workTree: string, { ref, old }: MergeJournal, tip: string): Promise<void> {
  const tree = await host.find(workTree);
  if (old === null || (await headOf(tree.runner, tree.place)) !== ref) return;
  await moveWorkTree(host, tree, old, tip);
}

/** @returns false when it stays, as where somebody removed the directory that it was in */
function takeBack(staging: Staging, step: WorkStep): boolean {
  try {
    return undoStep(staging, step);
  } catch (error) {
    if (!['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '')) throw error;
    return false;
  }
}

/** Keeps what could not be put back because somebody's newer file stands there. */
function saveOld({ root, name }: Staging, savedName: string): string | null {
  const names = readdirSync(toFs(`${root}/${name}`));
  for (const ready of names.filter((each) => each.startsWith('new-'))) rmSync(toFs(`${root}/${name}/${ready}`));
  if (!names.some((each) => each.startsWith('old-'))) return null;
  renameSync(toFs(`${root}/${name}`), toFs(`${root}/${savedName}`));
  return toText(`${root}/${savedName}`);
}
