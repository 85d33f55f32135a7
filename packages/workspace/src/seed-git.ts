import { hash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type ByteStream, OpencodeToolsError, type SeedRequest, allEnded } from '@opencode-tools/core';
import { carryChanges } from './carry-changes.ts';
import { invalid } from './failures.ts';
import type { HostGit } from './git.ts';
import { type ListedPath, listedPaths, objectsToRead } from './freeze-commit.ts';
import {
  type ChangedPath,
  isPlain,
  listChanges,
  listTree,
  pathsOf,
  resolveInRepository,
  settingsOf,
  submodulesAmong,
} from './git-inspect.ts';
import { plainHead, plainTags } from './plain-repository.ts';
import { withoutCredentials } from './remote-url.ts';
import { type BegunRepository, fillRepository } from './seed-repository.ts';
import type { UserRepository } from './user-repository.ts';

const longMs = 30 * 60_000;
/** A log of references says who runs this on which machine. */
const withoutLog = ['core.logAllRefUpdates=false'];

type GitSource = Extract<SeedRequest['source'], { readonly kind: 'git' }>;

/** What a seeded repository is made of. */
export interface GitSeed {
  readonly found: UserRepository;
  readonly topDirectory: string;
  readonly commit: string;
  /** Null for a detached commit. */
  readonly branch: string | null;
  readonly remote: string | undefined;
  /** Whether uncommitted changes come along. */
  readonly carries: boolean;
  readonly shallow: boolean;
  /** Whether the source has any. */
  readonly hasTags: boolean;
  /** The same for what gives the same tree; null where that is not known beforehand. */
  readonly key: string | null;
}

/** What is planned while it is still looked at whether uncommitted changes stand in the way. */
export interface PlannedSeed extends GitSeed {
  /** Rejects for a source with changes that are refused. */
  readonly accepted: Promise<unknown>;
}

/** Looks at the source and decides what comes along. Refuses what cannot. */
export async function planGitSeed(git: HostGit, source: GitSource, pin?: SeedRequest['pin']): Promise<PlannedSeed> {
  const found = await git.find(source.repository);
  const { runner, place } = found;
  const { filters, remote: origin } = settingsOf(runner, place);
  const looking = source.dirty === 'leave' ? Promise.resolve([]) : listChanges(runner, place, filters);
  // It takes longest, so it begins before the others.
  await filters.then(nextTurn, () => undefined);
  const allRefs = refsOf(found, source);
  // What is wrong with it is said by what asks where it stands.
  for (const one of [allRefs, origin, looking]) one.catch(() => undefined);
  const { topDirectory, bare, shallow, commit } = await (pin?.() ?? resolveInRepository(found, source.commit));
  const accepted = applyDirtyPolicy(found, source, { topDirectory, commit }, bare ? Promise.resolve([]) : looking);
  accepted.catch(() => undefined);
  const carries = source.dirty === 'carry' && (await accepted);
  const { head, refs: all } = await allRefs;
  refuseAmbiguous(source, commit, all);
  const name = branchName(source, head);
  const remote = withoutCredentials((await origin)?.trim() ?? '');
  const refs = all.filter(
    (line) => line.includes(' refs/tags/') || (name !== null && line.endsWith(` refs/heads/${name}`)),
  );
  const tags = refs.filter((line) => line.includes(' refs/tags/')).join('\n');
  const branch = refs.some((line) => line.endsWith(` refs/heads/${name}`)) ? name : null;
  // How much history a shallow repository has can change while its commits stay.
  const known = !carries && !shallow;
  const key = known ? hash('sha256', JSON.stringify([topDirectory, commit, branch, remote ?? null, tags])) : null;
  return { found, topDirectory, commit, branch, remote, carries, shallow, hasTags: tags !== '', key, accepted };
}

/**
 * Reads what the commit has.
 *
 * @returns what is in it; null where its files are not what git keeps of them, so that they have to be checked out
 * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` for one with submodules
 */
export async function readSeed({
  found: { runner, place },
  topDirectory,
  commit,
  carries,
}: GitSeed): Promise<readonly ListedPath[] | null> {
  const tree = await listTree(runner, place, commit);
  refuseSubmodules(topDirectory, submodulesAmong(tree));
  return isPlain(tree) && !carries ? listedPaths(tree) : null;
}

/**
 * Makes a repository of its own from the source: the history of the commit and the tags on it, checked out on its branch
 * (detached when the ref is none). No hook, filter or alternate of the source comes along, its remote only without
 * credentials.
 */
export async function seedFromGit(
  git: HostGit,
  seed: GitSeed,
  begun: BegunRepository,
  signal?: AbortSignal,
): Promise<void> {
  const { commit, branch } = seed;
  const { directory } = begun;
  await fillRepository(git.runner, seed, begun, signal);
  const place = branch === null ? ['--detach', commit] : ['--no-track', '-B', branch, commit];
  const checkout = ['checkout', '--quiet', '--force', ...place];
  await git.runner.run(checkout, { cwd: directory, config: withoutLog, signal, timeoutMs: longMs });
  if (seed.carries) await carryChanges(seed.found, seed.topDirectory, directory, signal);
}

/**
 * As `seedFromGit` for what `readSeed` says needs no checking out: the repository has no files then, but its index knows of them,
 * and what is in them is read beside its making.
 *
 * @param seed with what `readSeed` gave
 * @param read gets what `git cat-file --batch` answers to `objectsToRead`
 */
export async function seedWithoutFiles<T>(
  { runner }: HostGit,
  seed: GitSeed & { readonly paths: readonly ListedPath[] },
  begun: BegunRepository,
  read: (objects: ByteStream) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const { commit, paths } = seed;
  const { directory, environment } = begun;
  const index = runner.run(['read-tree', commit], { cwd: directory, environment, signal });
  const fill = allEnded(fillRepository(runner, seed, begun, signal), index);
  const input = objectsToRead(commit, paths);
  const objects = runner.stream(['cat-file', '--batch', '--buffer'], { cwd: directory, environment, input, signal });
  // What is wrong with the source is said best by what makes the repository.
  const [, files] = await allEnded(fill, read(objects));
  return files;
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
async function applyDirtyPolicy(
  { runner, place }: UserRepository,
  source: GitSource,
  { topDirectory, commit }: Pick<GitSeed, 'topDirectory' | 'commit'>,
  looking: Promise<readonly ChangedPath[]>,
): Promise<boolean> {
  const paths = pathsOf(await looking);
  if (source.dirty === 'leave' || paths.length === 0) return false;
  const head = await runner.try(['rev-parse', '--verify', '--quiet', 'HEAD^{commit}'], { cwd: place });
  const isHead = head.stdout.toString('utf8').trim() === commit;
  if (source.dirty === 'carry') {
    if (isHead) return true;
    throw invalid(
      `Uncommitted changes belong to HEAD, not to ${source.ref ?? commit}`,
      'Seed from HEAD to carry them, or leave them with `dirty: leave`.',
      { commit },
    );
  }
  if (!isHead) return false;
  throw new OpencodeToolsError(
    'OCT_INVALID_ARGUMENT',
    `The repository at ${topDirectory} has uncommitted changes: ${paths.slice(0, 10).join(', ')}`,
    {
      remedy: 'Commit them, bring them along with `dirty: carry`, or seed without them with `dirty: leave`.',
      details: { argument: 'dirty', paths },
    },
  );
}

/** Git takes the tag of two that are named alike; whoever meant the branch would not notice. */
function refuseAmbiguous({ ref, repository }: GitSource, commit: string, refs: readonly string[]): void {
  const has = (kind: 'tags' | 'heads'): boolean => refs.some((line) => line.endsWith(` refs/${kind}/${ref ?? ''}`));
  if (ref === null || !has('tags') || !has('heads') || refs.includes(`${commit} refs/heads/${ref}`)) return;
  throw invalid(
    `${ref} is a branch and a tag in ${repository}, at different commits`,
    `Say refs/heads/${ref} or refs/tags/${ref}.`,
    { directory: repository, ref },
  );
}

/** What may be a branch, or null. */
function branchName({ ref }: GitSource, head: string | null): string | null {
  const name = ref === null || ref === 'HEAD' ? head : ref.replace(/^refs\/heads\//, '');
  return name === null || name.startsWith('-') || name === 'HEAD' || name.includes('\0') ? null : name;
}

interface Refs {
  /** The branch that is checked out; null for a detached commit. */
  readonly head: string | null;
  /** Tags and branches as `<object> <name>`. */
  readonly refs: readonly string[];
}

/** All tags, and at least the branch that is seeded. */
async function refsOf(found: UserRepository, { ref }: GitSource): Promise<Refs> {
  return (ref === null || ref === 'HEAD' ? await plainRefs(found.place) : undefined) ?? askRefs(found);
}

async function plainRefs(directory: string): Promise<Refs | undefined> {
  const [head, tags] = await Promise.all([plainHead(directory), plainTags(directory)]);
  if (head === undefined || tags === undefined) return undefined;
  const { branch, commit } = head;
  return { head: branch, refs: branch === null ? tags : [...tags, `${commit} refs/heads/${branch}`] };
}

async function askRefs({ runner, place: cwd }: UserRepository): Promise<Refs> {
  const wanted = ['refs/tags', 'refs/heads'];
  const out = await runner.run(['for-each-ref', '--format=%(HEAD)%(objectname) %(refname)', ...wanted], { cwd });
  const lines = out.toString('utf8').split('\n');
  const head = lines.find((line) => line.startsWith('*'));
  const branches = ' refs/heads/';
  return {
    head: head === undefined ? null : head.slice(head.indexOf(branches) + branches.length),
    refs: lines.map((line) => line.slice(1)),
  };
}
