import { relative } from 'node:path';
import { type CommitWork, type CommittedWork, findTripwires, isWithin } from '@opencode-tools/core';
import { lendCommit, makeBare } from './bare-repository.ts';
import { type BytePath, canonicalPath, toBytePath } from './byte-path.ts';
import { realDirectory } from './check-directory.ts';
import { assertNothingUnderWay, plainHeadOf } from './checked-out.ts';
import { describeChanges, rawChanges } from './commit-changes.ts';
import { type WorkTree, indexAfter, makeTree } from './commit-tree.ts';
import { invalid } from './failures.ts';
import { findRepository } from './find-repository.ts';
import { type GitRunner, gitFailure } from './git-runner.ts';
import type { MergeTools } from './merge-work.ts';
import { assertNoGitAtWork, moveHead } from './move-head.ts';
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
  const found = await placeOf(inAnyRepository(git.runner), directory, bound);
  const { runner, branch, headTree, ...place } = { ...found, scope: scopeOf(found.prefix, work.paths) };
  const { top, head, gitDirectory } = place;
  assertNothingUnderWay(gitDirectory, top);
  const settings = await readUserSettings(runner, top, bound, git.environment);
  const identity = identityOf(work.author, settings);
  await createLayout(layout);
  const bare = await makeBare(layout, operationId, place);
  const made = await makeTree(runner, bare, place, settings, signal);
  const { conflicts, leftOut, indexFile } = made;
  const nothing = { changes: [], tripwires: [], refused: [], commit: null };
  const result = { repository: top, branch, conflicts, leftOut, committed: false };
  if (conflicts.length > 0 || made.tree === headTree) return { ...result, ...nothing };
  const parents = head === null ? [] : ['-p', head];
  const input = Buffer.from(`${message}\n`);
  const call = { cwd: bare, environment: identity, input, signal };
  const commit = (await runner.run(['commit-tree', made.tree, ...parents, '-F', '-'], call)).toString('utf8').trim();
  const raw = await rawChanges(runner, bare, headTree, commit);
  const files = await describeChanges(runner, bare, raw, { from: headTree, to: commit });
  const tripwires = findTripwires(files);
  const accepted = new Set(work.accept);
  const refused = tripwires.filter(({ path }) => !accepted.has(path));
  const committed = refused.length === 0 && !work.dryRun;
  if (committed) {
    // Before anything is put into the repository.
    assertNoGitAtWork(place);
    const index = await indexAfter(runner, bare, made, raw);
    await lendCommit(runner, { ...place, bare }, commit);
    const ref = branch === null ? 'HEAD' : `refs/heads/${branch}`;
    const journal = { operationId, repository: top, gitDirectory, ref, old: head, commit, workTree: null, index };
    await moveHead(work, { runner, journals: tools.journals, journal, environment: identity, indexFile });
  }
  const changes = files.map(({ path, change }) => ({ path, change }));
  return { ...result, committed, changes, tripwires, refused, commit };
}

/** @throws OpencodeToolsError `OCT_PATH_OUTSIDE_WORKSPACE` */
function scopeOf(prefix: BytePath, paths: readonly string[] | undefined): readonly BytePath[] {
  if (paths === undefined) return [prefix];
  const named = paths.map((path) => canonicalPath(toBytePath(path)));
  const all = [...new Set(named.map((path) => (path === '' ? prefix : prefix === '' ? path : `${prefix}/${path}`)))];
  return all.filter((path) => !all.some((other) => other !== path && (other === '' || path.startsWith(`${other}/`))));
}

interface Place extends Omit<WorkTree, 'scope'> {
  readonly branch: string | null;
  /** Tree of what is checked out; the empty one before the first commit. */
  readonly headTree: string;
  /** For calls at the top. */
  readonly runner: GitRunner;
}

/** The tree that has nothing, by the digits of a name. */
const emptyTrees: Readonly<Record<number, string>> = {
  40: '4b825dc642cb6eb9a060e54bf8d69288fbee4904',
  64: '6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321',
};

async function placeOf(git: GitRunner, directory: string, bound: readonly string[]): Promise<Place> {
  const { place, gitDirectory, commonDirectory } = await findRepository(directory, { bound, takesBare: false });
  const call = { cwd: place, environment: { GIT_DIR: gitDirectory } };
  const args = ['rev-parse', '--show-object-format', 'HEAD^{commit}', 'HEAD^{tree}', '--show-toplevel'];
  const { code, stdout, stderr } = await git.try(args, call);
  const [format, ...rest] = stdout.toString('utf8').split('\n');
  const idLength = format === 'sha256' ? 64 : 40;
  // What is not there ends it.
  const [head, headTree] = code === 0 ? rest : [null, emptyTrees[idLength]];
  if (format === '' || headTree === undefined || head === undefined) throw gitFailure(args, call, stderr);
  // The name of a directory may have a line break.
  const top =
    code === 0
      ? rest.slice(2, -1).join('\n')
      : (await git.run(['rev-parse', '--show-toplevel'], call)).toString('utf8').replace(/\n$/, '');
  // Its configuration says where the files are.
  if (!isWithin(directory, top))
    throw invalid(`${directory} has a repository that is the work tree of ${top}`, 'Commit there with git.', { top });
  const runner = inRepository(git, top, { GIT_DIR: gitDirectory, GIT_WORK_TREE: top });
  const branch = (await plainHeadOf(runner, top, gitDirectory))?.replace(/^refs\/heads\//, '') ?? null;
  const prefix = toBytePath(relative(top, directory));
  return { top, gitDirectory, commonDirectory, prefix, head, headTree, idLength, branch, runner };
}
