import { type MergeWork, type MergedWork, OpencodeToolsError } from '@opencode-tools/core';
import { dropKept, keptRef, lend } from './bare-repository.ts';
import { moveWorkTree, obstacles, workTreeOf } from './checked-out.ts';
import { describeChanges, rawChanges, refuseUnsound } from './commit-changes.ts';
import { invalid } from './failures.ts';
import { findCommitTripwires } from './find-commit-tripwires.ts';
import { resolveInRepository } from './git-inspect.ts';
import { type GitRunner, gitFailure } from './git-runner.ts';
import type { HostGit } from './git.ts';
import { takeBundleIn } from './received-bundle.ts';
import { moveRef } from './move-ref.ts';
import type { StoreLayout } from './store-files.ts';
import { refuseTakenBack } from './taken-back.ts';
import type { UserRepository } from './user-repository.ts';
import type { WorkJournals } from './work-journal.ts';

const longMs = 30 * 60_000;
const who = { NAME: 'opencode-tools', EMAIL: 'opencode-tools@localhost' };

export interface MergeTools {
  readonly git: HostGit;
  readonly layout: StoreLayout;
  readonly journals: WorkJournals;
}

/** See `WorkPort.merge`. */
export async function mergeWork(tools: MergeTools, work: MergeWork): Promise<MergedWork> {
  const { git, layout } = tools;
  const { base, branch, signal } = work;
  if (!(await git.isBranchName(branch)))
    throw invalid(`Not a branch name: ${branch}`, 'Use letters, digits, dashes and slashes.', { branch });
  const repository = await git.find(work.repository);
  const { runner } = repository;
  await resolveInRepository(repository, base);
  const lender = { commonDirectory: repository.commonDirectory, idLength: base.length };
  const { bare, tip } = await takeBundleIn(runner, layout, work.operationId, lender, signal);
  const raw = await rawChanges(runner, bare, base, tip);
  refuseUnsound(raw);
  const files = await describeChanges(runner, bare, raw, { from: base, to: tip });
  const tripwires = await findCommitTripwires(runner, bare, { base, tip, files });
  const accepted = new Set(work.accept);
  const refused = tripwires.filter(({ path }) => !accepted.has(path));
  const target = await decideTarget(work, { repository, bare, tip });
  const { how, commit, old } = target;
  const moves = commit !== null && commit !== old;
  const tree = await workTreeOf(git, repository, refOf(branch));
  const workTree = tree?.place ?? null;
  const count = ['rev-list', '--count', tip, ...(old === null ? [`^${base}`] : [`^${old}`, `^${base}`])];
  const commits = Number((await runner.run(count, { cwd: bare })).toString('utf8'));
  const result = {
    changes: files.map(({ path, change }) => ({ path, change })),
    tripwires,
    refused,
    how,
    branch,
    commit,
    commits,
    workTree,
  };
  if (target.conflicts.length > 0) return { ...result, merged: false, conflicts: target.conflicts };
  const goesAlong = moves && commit !== null && tree !== null;
  if (goesAlong && old === null)
    throw invalid(`${branch} is checked out and has no commit yet`, 'Take another name, or switch to a branch.');
  const conflicts = goesAlong && old !== null ? await obstacles(git, tree, bare, old, commit) : [];
  const merged = conflicts.length === 0 && refused.length === 0 && !work.dryRun;
  if (merged && moves && commit !== null) await move(tools, work, { repository, bare, old, commit, tree });
  return { ...result, merged, conflicts };
}

export async function branchTip({ runner, place: cwd }: UserRepository, branch: string): Promise<string | null> {
  const found = await runner.try(['rev-parse', '--verify', '--quiet', `${refOf(branch)}^{commit}`], { cwd });
  return found.code === 0 ? found.stdout.toString('utf8').trim() : null;
}

interface Scene {
  readonly repository: UserRepository;
  readonly bare: string;
  readonly tip: string;
}

interface Target {
  readonly how: MergedWork['how'];
  /** Where the branch is; null when there is none. */
  readonly old: string | null;
  readonly commit: string | null;
  readonly conflicts: MergedWork['conflicts'];
}

async function decideTarget(work: MergeWork, { repository, bare, tip }: Scene): Promise<Target> {
  const { branch, into } = work;
  const { runner, place: top } = repository;
  const old = await branchTip(repository, branch);
  if (old === null && into)
    throw invalid(`No branch ${branch} in the repository at ${top}`, 'Name a branch that exists.', { branch });
  if (old === null) return { how: 'created', old, commit: tip, conflicts: [] };
  const isBefore = async (one: string, other: string): Promise<boolean> =>
    (await runner.try(['merge-base', '--is-ancestor', one, other], { cwd: bare })).code === 0;
  if (await isBefore(tip, old)) return { how: 'present', old, commit: old, conflicts: [] };
  if (await isBefore(old, tip)) return { how: 'forwarded', old, commit: tip, conflicts: [] };
  if (into) return mergeCommits(runner, work, { bare, old, tip });
  const reason = `has commits that the task does not know; take another name, or merge into it`;
  return { how: 'forwarded', old, commit: null, conflicts: [{ path: refOf(branch), reason }] };
}

async function mergeCommits(
  runner: GitRunner,
  { message, signal }: MergeWork,
  { bare, old, tip }: { readonly bare: string; readonly old: string; readonly tip: string },
): Promise<Target> {
  const args = ['merge-tree', '--write-tree', '-z', '--name-only', '--no-messages', old, tip];
  const call = { cwd: bare, timeoutMs: longMs, signal };
  const { code, stdout, stderr } = await runner.try(args, call);
  const [tree = '', ...paths] = stdout
    .toString('utf8')
    .split('\0')
    .filter((field) => field !== '');
  if (code === 1) {
    const conflicts = [...new Set(paths)].map((path) => ({ path, reason: 'changed in the task and on the branch' }));
    return { how: 'merged', old, commit: null, conflicts };
  }
  if (code === 129)
    throw new OpencodeToolsError('OCT_CAPABILITY_UNSUPPORTED', 'This git cannot merge without a work tree', {
      remedy: 'Install git 2.38 or newer, or merge the branch of the task yourself.',
    });
  if (code !== 0) throw gitFailure(args, call, stderr);
  const environment = Object.fromEntries(
    ['AUTHOR', 'COMMITTER'].flatMap((role) => Object.entries(who).map(([key, value]) => [`GIT_${role}_${key}`, value])),
  );
  const commit = await runner.run(['commit-tree', tree, '-p', old, '-p', tip, '-m', message], { ...call, environment });
  return { how: 'merged', old, commit: commit.toString('utf8').trim(), conflicts: [] };
}

interface Move {
  readonly repository: UserRepository;
  /** Repository of ours that has the objects. */
  readonly bare: string;
  readonly old: string | null;
  readonly commit: string;
  readonly tree: UserRepository | null;
}

/** The branch first, by compare-and-set: from then on whoever comes later brings the work tree along. */
async function move(
  { git, journals }: MergeTools,
  work: MergeWork,
  { repository, bare, old, commit, tree }: Move,
): Promise<void> {
  const { runner, place: top } = repository;
  const ref = refOf(work.branch);
  await journals.write({
    operationId: work.operationId,
    repository: top,
    ...(repository.bare ? {} : { gitDirectory: repository.gitDirectory }),
    ref,
    old,
    commit,
    workTree: tree?.place ?? null,
  });
  try {
    await lend(runner, top, bare, commit, keptRef(work.operationId));
    await work.confirm?.(tree?.place ?? null);
    await moveRef(runner, { cwd: top }, { ref, from: old, to: commit, said: work.message });
  } finally {
    await dropKept(runner, top, work.operationId);
  }
  if (tree === null || old === null) return;
  try {
    await moveWorkTree(git, tree, old, commit);
  } catch (error) {
    // Where it stays, whoever settles brings the work tree along.
    await moveRef(runner, { cwd: top }, { ref, from: commit, to: old, said: 'undone' }).catch(() => undefined);
    throw error;
  }
  await refuseTakenBack(runner, { repository: top, ref, old, commit });
}

function refOf(branch: string): string {
  return `refs/heads/${branch}`;
}
