import { relative } from 'node:path';
import { type CommitWork, type CommittedWork, isWithin } from '@opencode-tools/core';
import { lend, makeBare } from './bare-repository.ts';
import { toBytePath } from './byte-path.ts';
import { realDirectory } from './check-directory.ts';
import { assertNothingUnderWay, headOf } from './checked-out.ts';
import { describeChanges, rawChanges } from './commit-changes.ts';
import { type WorkTree, makeTree } from './commit-tree.ts';
import { invalid } from './failures.ts';
import { findCommitTripwires } from './find-commit-tripwires.ts';
import { findRepository } from './find-repository.ts';
import type { GitRunner } from './git-runner.ts';
import type { MergeTools } from './merge-work.ts';
import { moveHead } from './move-head.ts';
import { inAnyRepository } from './owned-repository.ts';
import { createLayout } from './store-files.ts';
import { inRepository } from './user-repository.ts';
import { identityOf, readUserSettings } from './user-settings.ts';

/** See `WorkPort.commit`. */
export async function commitWork(tools: MergeTools, work: CommitWork): Promise<CommittedWork> {
  const { layout, git } = tools;
  const { operationId, signal, message } = work;
  const directory = await realDirectory(work.directory);
  const bound = [directory, ...(await git.bound())];
  const { runner, gitDirectory, branch, ...place } = await placeOf(inAnyRepository(git.runner), directory, bound);
  const { top, head } = place;
  await assertNothingUnderWay(runner, top);
  const settings = await readUserSettings(runner, top, bound);
  const identity = identityOf(work.author, settings);
  await createLayout(layout);
  const bare = await makeBare(runner, layout, operationId, top, signal);
  const made = await makeTree(runner, bare, place, settings, signal);
  const { conflicts, leftOut, index } = made;
  const nothing = { changes: [], tripwires: [], refused: [], commit: null };
  const result = { repository: top, branch, conflicts, leftOut, committed: false };
  if (conflicts.length > 0 || made.tree === (await treeOf(runner, bare, head))) return { ...result, ...nothing };
  const parents = head === null ? [] : ['-p', head];
  const input = Buffer.from(`${message}\n`);
  const call = { cwd: bare, environment: identity, input, signal };
  const commit = (await runner.run(['commit-tree', made.tree, ...parents, '-F', '-'], call)).toString('utf8').trim();
  const from = head ?? (await treeOf(runner, bare, null));
  const files = await describeChanges(runner, bare, await rawChanges(runner, bare, from, commit));
  const between = { base: head ?? commit, tip: commit, files };
  const tripwires = await findCommitTripwires(runner, bare, between);
  const accepted = new Set(work.accept);
  const refused = tripwires.filter(({ path }) => !accepted.has(path));
  const committed = refused.length === 0 && !work.dryRun;
  if (committed) {
    await lend(runner, top, bare, commit);
    const ref = branch === null ? 'HEAD' : `refs/heads/${branch}`;
    const found = { operationId, repository: top, gitDirectory, ref, old: head, commit, workTree: null, index };
    await moveHead(work, { runner, journals: tools.journals, journal: found, environment: identity });
  }
  const changes = files.map(({ path, change }) => ({ path, change }));
  return { ...result, committed, changes, tripwires, refused, commit };
}

interface Place extends WorkTree {
  readonly branch: string | null;
  readonly gitDirectory: string;
  /** For calls at the top. */
  readonly runner: GitRunner;
}

async function placeOf(git: GitRunner, directory: string, bound: readonly string[]): Promise<Place> {
  const { place, gitDirectory } = await findRepository(directory, { bound, takesBare: false });
  const call = { cwd: place, environment: { GIT_DIR: gitDirectory } };
  const top = (await git.run(['rev-parse', '--show-toplevel'], call)).toString('utf8').replace(/\n$/, '');
  // Its configuration says where the files are.
  if (!isWithin(directory, top))
    throw invalid(`${directory} has a repository that is the work tree of ${top}`, 'Commit there with git.', { top });
  const runner = inRepository(git, top, { GIT_DIR: gitDirectory, GIT_WORK_TREE: top });
  const branch = (await headOf(runner, top))?.replace(/^refs\/heads\//, '') ?? null;
  const { code, stdout } = await runner.try(['rev-parse', '--verify', '--quiet', 'HEAD^{commit}'], { cwd: top });
  const head = code === 0 ? stdout.toString('utf8').trim() : null;
  return { top, prefix: toBytePath(relative(top, directory)), head, branch, gitDirectory, runner };
}

/** The tree of a commit, or the one that has nothing. */
async function treeOf(git: GitRunner, bare: string, commit: string | null): Promise<string> {
  const args = commit === null ? ['mktree'] : ['rev-parse', `${commit}^{tree}`];
  return (await git.run(args, { cwd: bare })).toString('utf8').trim();
}
