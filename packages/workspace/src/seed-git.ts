import { hash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { type ByteStream, OpencodeToolsError, type RepositoryState, type SeedRequest } from '@opencode-tools/core';
import { carryChanges } from './carry-changes.ts';
import { invalid } from './failures.ts';
import type { HostGit } from './git.ts';
import { isPlain, listTree, lookAtRepository, submodulesAmong } from './git-inspect.ts';
import { type GitRunner, partialCloneRemedy } from './git-runner.ts';
import { withoutCredentials } from './remote-url.ts';

const longMs = 30 * 60_000;
const seedRef = 'refs/opencode-tools/seed';

type LookedAt = Omit<RepositoryState, 'submodules'>;
type GitSource = Extract<SeedRequest['source'], { readonly kind: 'git' }>;

/** What a seeded repository is made of. */
export interface GitSeed {
  readonly topDirectory: string;
  readonly commit: string;
  /** Null for a detached commit. */
  readonly branch: string | null;
  readonly remote: string | undefined;
  /** Whether uncommitted changes come along. */
  readonly carries: boolean;
  /** The same for what gives the same tree; null where that is not known beforehand. */
  readonly key: string | null;
}

/** Looks at the source and decides what comes along. Refuses what cannot. */
export async function planGitSeed(git: HostGit, source: GitSource): Promise<GitSeed> {
  const { repository } = source;
  const [allRefs, itsRemote] = [refsOf(git, repository), remoteOf(git, repository)];
  // What is wrong with it is said by what looks at it.
  for (const one of [allRefs, itsRemote]) one.catch(() => undefined);
  const state = await lookAtRepository(git.runner, repository, source.commit);
  const { topDirectory, commit } = state;
  const carries = await applyDirtyPolicy(git, source, state);
  const name = branchName(source, state);
  const [all, remote] = await Promise.all([allRefs, itsRemote]);
  const refs = all.filter(
    (line) => line.includes(' refs/tags/') || (name !== null && line.endsWith(` refs/heads/${name}`)),
  );
  const tags = refs.filter((line) => line.includes(' refs/tags/')).join('\n');
  const branch = refs.some((line) => line.endsWith(` refs/heads/${name}`)) ? name : null;
  // How much history a shallow repository has can change while its commits stay.
  const known = !carries && !state.shallow;
  const key = known ? hash('sha256', JSON.stringify([topDirectory, commit, branch, remote ?? null, tags])) : null;
  return { topDirectory, commit, branch, remote, carries, key };
}

/**
 * Reads what the commit has.
 *
 * @returns whether its files are what git keeps of them, so that nothing has to be checked out to read them
 * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` for one with submodules
 */
export async function readSeed({ runner }: HostGit, { topDirectory, commit, carries }: GitSeed): Promise<boolean> {
  const tree = await listTree(runner, topDirectory, commit);
  refuseSubmodules(topDirectory, submodulesAmong(tree));
  return isPlain(tree) && !carries;
}

/**
 * Makes a repository of its own from the source: the history of the commit and the tags on it, checked out on its branch
 * (detached when the ref is none). No hook, filter or alternate of the source comes along, its remote only without
 * credentials.
 *
 * @param directory does not exist yet; the caller removes it, also after a failure
 */
export async function seedFromGit(git: HostGit, seed: GitSeed, directory: string, signal?: AbortSignal): Promise<void> {
  const { commit, branch } = seed;
  const call = { cwd: directory, signal, timeoutMs: longMs };
  await fetchSeed(git.runner, seed, directory, signal);
  const place = branch === null ? ['--detach', commit] : ['--no-track', '-B', branch, commit];
  await git.runner.run(['checkout', '--quiet', '--force', ...place], call);
  await finishSeed(git.runner, seed, directory);
  if (seed.carries) await carryChanges(git.runner, seed.topDirectory, directory, signal);
}

/**
 * As `seedFromGit` for what `readSeed` says needs no checking out: the repository has no files then, and they are given as a tar
 * stream, all as old as the commit.
 */
export async function seedWithoutFiles(
  git: HostGit,
  seed: GitSeed,
  directory: string,
  signal?: AbortSignal,
): Promise<ByteStream> {
  const { commit, branch } = seed;
  const call = { cwd: directory, signal, timeoutMs: longMs };
  await fetchSeed(git.runner, seed, directory, signal);
  const place = branch === null ? ['--no-deref', 'HEAD'] : ['HEAD'];
  await git.runner.run(['update-ref', '-m', 'seed', ...place, commit], call);
  await git.runner.run(['read-tree', commit], call);
  await finishSeed(git.runner, seed, directory);
  return git.runner.stream(['archive', '--format=tar', commit], { cwd: directory, signal, config: ['tar.umask=022'] });
}

async function fetchSeed(
  runner: GitRunner,
  { topDirectory, commit, branch }: GitSeed,
  directory: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  await mkdir(directory, { mode: 0o755 });
  const call = { cwd: directory, signal, timeoutMs: longMs };
  const objectFormat = commit.length === 64 ? 'sha256' : 'sha1';
  await runner.run(
    ['init', '--quiet', '--template=', `--object-format=${objectFormat}`, `--initial-branch=${branch ?? 'main'}`],
    call,
  );
  try {
    await runner.run(
      ['fetch', '--quiet', '--no-write-fetch-head', '--update-shallow', topDirectory, `${commit}:${seedRef}`],
      { ...call, config: ['fetch.unpackLimit=1'] },
    );
  } catch (error) {
    throw String(error).includes('promisor remote') ? lacking(topDirectory, error) : error;
  }
}

async function finishSeed(runner: GitRunner, { remote }: GitSeed, directory: string): Promise<void> {
  await runner.run(['update-ref', '-d', seedRef], { cwd: directory });
  if (remote !== undefined) await runner.run(['remote', 'add', 'origin', remote], { cwd: directory });
}

/** Git calls the remote a promisor that has the objects which a partial clone left out. */
function lacking(directory: string, cause: unknown): OpencodeToolsError {
  return new OpencodeToolsError(
    'OCT_INVALID_ARGUMENT',
    `The repository at ${directory} is a partial clone, and lacks objects of the commit or its history`,
    {
      remedy: partialCloneRemedy,
      details: { directory },
      cause,
    },
  );
}

function refuseSubmodules(topDirectory: string, submodules: readonly string[]): void {
  if (submodules.length === 0) return;
  throw invalid(
    `The repository at ${topDirectory} has submodules, which are not brought along: ${submodules.slice(0, 5).join(', ')}`,
    'Seed from the directory instead of from git, or use a bind workspace.',
    { submodules: submodules.slice(0, 100) },
  );
}

/** @returns whether uncommitted changes come along */
async function applyDirtyPolicy(git: HostGit, source: GitSource, state: LookedAt): Promise<boolean> {
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

/** What may be a branch, or null. */
function branchName({ ref }: GitSource, state: LookedAt): string | null {
  const name = ref === null || ref === 'HEAD' ? state.branch : ref.replace(/^refs\/heads\//, '');
  return name === null || name.startsWith('-') || name === 'HEAD' || name.includes('\0') ? null : name;
}

/** All tags and branches as `<object> <name>`. */
async function refsOf(git: HostGit, cwd: string): Promise<readonly string[]> {
  const wanted = ['refs/tags', 'refs/heads'];
  const out = await git.runner.run(['for-each-ref', '--format=%(objectname) %(refname)', ...wanted], { cwd });
  return out.toString('utf8').split('\n');
}

async function remoteOf(git: HostGit, from: string): Promise<string | undefined> {
  const result = await git.runner.try(['config', '--get', 'remote.origin.url'], { cwd: from });
  return result.code === 0 ? withoutCredentials(result.stdout.toString('utf8').trim()) : undefined;
}
