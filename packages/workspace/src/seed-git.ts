import { mkdir } from 'node:fs/promises';
import { OpencodeToolsError, type RepositoryState, type SeedRequest } from '@opencode-tools/core';
import { carryChanges } from './carry-changes.ts';
import { invalid } from './failures.ts';
import type { HostGit } from './git.ts';
import { withoutCredentials } from './remote-url.ts';

const longMs = 30 * 60_000;
const seedRef = 'refs/opencode-tools/seed';

type GitSource = Extract<SeedRequest['source'], { readonly kind: 'git' }>;

/**
 * Makes a repository of its own from the source: the history of the commit and the tags on it, checked out on its branch
 * (detached when the ref is none). No hook, filter or alternate of the source comes along, its remote only without
 * credentials.
 *
 * @param directory does not exist yet; the caller removes it, also after a failure
 */
export async function seedFromGit(
  git: HostGit,
  source: GitSource,
  directory: string,
  signal?: AbortSignal,
): Promise<void> {
  const state = await git.inspect(source.repository, source.commit);
  refuseSubmodules(state);
  const carries = await applyDirtyPolicy(git, source, state);
  const branch = await branchOf(git, source, state);
  await mkdir(directory, { mode: 0o755 });
  const { runner } = git;
  const call = { cwd: directory, signal, timeoutMs: longMs };
  const format = (await runner.run(['rev-parse', '--show-object-format'], { cwd: state.topDirectory }))
    .toString()
    .trim();
  await runner.run(
    ['init', '--quiet', '--template=', `--object-format=${format}`, `--initial-branch=${branch ?? 'main'}`],
    call,
  );
  await runner.run(
    ['fetch', '--quiet', '--no-write-fetch-head', '--update-shallow', state.topDirectory, `${state.commit}:${seedRef}`],
    { ...call, config: ['fetch.unpackLimit=1'] },
  );
  const place = branch === null ? ['--detach', state.commit] : ['--no-track', '-B', branch, state.commit];
  await runner.run(['checkout', '--quiet', '--force', ...place], call);
  await runner.run(['update-ref', '-d', seedRef], call);
  await keepRemote(git, state.topDirectory, directory);
  if (carries) await carryChanges(runner, state.topDirectory, directory, signal);
}

function refuseSubmodules({ submodules, topDirectory }: RepositoryState): void {
  if (submodules.length === 0) return;
  throw invalid(
    `The repository at ${topDirectory} has submodules, which are not brought along: ${submodules.slice(0, 5).join(', ')}`,
    'Seed from the directory instead of from git, or use a bind workspace.',
    { submodules: submodules.slice(0, 100) },
  );
}

/** @returns whether uncommitted changes come along */
async function applyDirtyPolicy(git: HostGit, source: GitSource, state: RepositoryState): Promise<boolean> {
  if (source.dirty === 'leave' || state.dirtyPaths.length === 0) return false;
  const head = await git.runner.try(['rev-parse', '--verify', '--quiet', 'HEAD^{commit}'], { cwd: state.topDirectory });
  const isHead = head.stdout.toString('utf8').trim() === state.commit;
  if (source.dirty === 'carry') {
    if (isHead) return true;
    throw invalid(
      `Uncommitted changes belong to HEAD, not to ${source.ref ?? state.commit}`,
      'Seed from HEAD to carry them, or leave them with `dirty: leave`.',
      { commit: state.commit },
    );
  }
  if (!isHead) return false;
  const paths = state.dirtyPaths;
  throw new OpencodeToolsError(
    'OCT_INVALID_ARGUMENT',
    `The repository at ${state.topDirectory} has uncommitted changes: ${paths.slice(0, 10).join(', ')}`,
    {
      remedy: 'Commit them, bring them along with `dirty: carry`, or seed without them with `dirty: leave`.',
      details: { argument: 'dirty', paths },
    },
  );
}

async function branchOf(git: HostGit, source: GitSource, state: RepositoryState): Promise<string | null> {
  const name = source.ref === null || source.ref === 'HEAD' ? state.branch : source.ref.replace(/^refs\/heads\//, '');
  if (name === null || !(await git.isBranchName(name))) return null;
  const result = await git.runner.try(['show-ref', '--verify', '--quiet', `refs/heads/${name}`], {
    cwd: state.topDirectory,
  });
  return result.code === 0 ? name : null;
}

async function keepRemote(git: HostGit, from: string, to: string): Promise<void> {
  const result = await git.runner.try(['config', '--get', 'remote.origin.url'], { cwd: from });
  const url = result.code === 0 ? withoutCredentials(result.stdout.toString('utf8').trim()) : undefined;
  if (url !== undefined) await git.runner.run(['remote', 'add', 'origin', url], { cwd: to });
}
