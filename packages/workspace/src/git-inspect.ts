import type { GitPort, RepositoryState } from '@opencode-tools/core';
import { invalid } from './failures.ts';
import { type GitRunner, gitFailure } from './git-runner.ts';
import { plainConfiguration, plainHead } from './plain-repository.ts';
import type { UserRepository } from './user-repository.ts';

const mostPaths = 100;

/** What status says of one path; both letters as in `git status --short`. */
export interface ChangedPath {
  readonly staged: string;
  readonly unstaged: string;
  /** Bytes of the name, as Latin-1. */
  readonly path: string;
}

/** Looks at a repository without running anything that it configures. See `GitPort.inspect`. */
export async function inspectRepository(repository: UserRepository, ref?: string): Promise<RepositoryState> {
  const { runner: git, place: cwd } = repository;
  const { top, bare, shallow, commit } = await standing(repository, ref);
  const [changes, branch, tree] = await Promise.all([
    bare ? [] : listChanges(git, cwd),
    git.try(['symbolic-ref', '--quiet', '--short', 'HEAD'], { cwd }),
    listTree(git, cwd, commit),
  ]);
  return {
    topDirectory: top,
    commit,
    branch: branch.code === 0 ? branch.stdout.toString('utf8').trim() : null,
    dirtyPaths: pathsOf(changes),
    shallow,
    submodules: submodulesAmong(tree),
  };
}

/** The first of them, as text. */
export function pathsOf(changes: readonly ChangedPath[]): readonly string[] {
  return changes.slice(0, mostPaths).map(({ path }) => Buffer.from(path, 'latin1').toString('utf8'));
}

/** See `GitPort.resolve`. */
export async function resolveInRepository(repository: UserRepository, ref?: string): ReturnType<GitPort['resolve']> {
  const { top, bare, shallow, commit } = await standing(repository, ref);
  return { topDirectory: top, bare, commit, shallow };
}

/** Paths that differ from HEAD or the index, or are untracked and not ignored, with filters switched off. */
export async function listChanges(
  git: GitRunner,
  top: string,
  filters = settingsOf(git, top).filters,
): Promise<readonly ChangedPath[]> {
  const args = ['status', '--porcelain=v1', '-z', '--untracked-files=all', '--ignore-submodules=all', '--no-renames'];
  const out = await git.run(args, { cwd: top, config: await filters, timeoutMs: 300_000 });
  return out
    .toString('latin1')
    .split('\0')
    .filter((line) => line.length > 3)
    .map((line) => ({ staged: line.charAt(0), unstaged: line.charAt(1), path: line.slice(3) }));
}

interface Standing {
  readonly top: string;
  readonly bare: boolean;
  readonly shallow: boolean;
  readonly commit: string;
}

/** Where a directory is, and the commit. One process answers all, if it takes one; what has no top directory ends it before the commit is looked for. */
async function standing({ runner: git, place: cwd }: UserRepository, ref: string | undefined): Promise<Standing> {
  const head = ref === undefined ? await plainHead(cwd) : undefined;
  if (head !== undefined) return { top: cwd, bare: false, shallow: false, commit: head.commit };
  const asked = ['--is-bare-repository', '--is-inside-work-tree', '--is-shallow-repository'];
  const args = ['rev-parse', ...asked, '--show-toplevel', ...verified(ref)];
  const { code, stdout, stderr } = await git.try(args, { cwd });
  const [bare, inside, isShallow, ...rest] = stdout.toString('utf8').split('\n');
  const shallow = isShallow === 'true';
  if (bare === 'true') return { ...(await bareStanding(git, cwd, ref)), bare: true, shallow };
  if (inside === 'false') {
    throw invalid(`Not inside a work tree: ${cwd}`, 'Name the directory that holds the files, not its .git.', {
      directory: cwd,
    });
  }
  // The name of a directory may have a line break.
  const commit = code === 0 ? rest.at(-2) : undefined;
  const top = rest.slice(0, code === 0 ? -2 : -1).join('\n');
  if (top === '') throw gitFailure(args, { cwd }, stderr);
  return { top, bare: false, shallow, commit: asCommit(commit, top, ref) };
}

async function bareStanding(git: GitRunner, cwd: string, ref: string | undefined) {
  const args = ['rev-parse', '--absolute-git-dir', ...verified(ref)];
  const { code, stdout, stderr } = await git.try(args, { cwd });
  const lines = stdout.toString('utf8').split('\n');
  const commit = code === 0 ? lines.at(-2) : undefined;
  const top = lines.slice(0, code === 0 ? -2 : -1).join('\n');
  if (top === '') throw gitFailure(args, { cwd }, stderr);
  return { top, commit: asCommit(commit, top, ref) };
}

/** Asks for one commit; a name that could be an option is none. */
function verified(ref = 'HEAD'): readonly string[] {
  return ['--verify', '--quiet', ref.startsWith('-') ? '' : `${ref}^{commit}`];
}

/** A name such as `^main` gives what is no id. */
function asCommit(found: string | undefined, directory: string, ref: string | undefined): string {
  if (found !== undefined && /^[0-9a-f]+$/.test(found)) return found;
  if (ref === undefined) {
    const remedy = 'Make a first commit, or seed from the directory instead.';
    throw invalid(`The repository at ${directory} has no commit`, remedy, { directory });
  }
  const remedy = 'Name a branch, tag or commit that exists there.';
  throw invalid(`No commit ${ref} in the repository at ${directory}`, remedy, { directory, ref });
}

/** Every path of a commit, directories included, as `mode type object`, a tab and the name, with a zero at its end. */
export async function listTree(git: GitRunner, cwd: string, commit: string): Promise<Buffer> {
  return git.run(['ls-tree', '-r', '-t', '-z', '--full-tree', commit], { cwd });
}

export function submodulesAmong(tree: Buffer): readonly string[] {
  if (!tree.includes('160000 commit ')) return [];
  return tree
    .toString('utf8')
    .split('\0')
    .filter((line) => line.startsWith('160000 '))
    .map((line) => line.slice(line.indexOf('\t') + 1));
}

/** False when attributes may change what is checked out. */
export function isPlain(tree: Buffer): boolean {
  return !tree.includes('.gitattributes\0') || !/[\t/]\.gitattributes\0/.test(tree.toString('latin1'));
}

/** What the configuration of a repository says that matters to a seed. */
export interface SourceSettings {
  /** Empties every filter, so that looking at files runs none. */
  readonly filters: Promise<readonly string[]>;
  /** The address of `origin`. */
  readonly remote: Promise<string | undefined>;
}

/** What the repository configures; git is not asked where its file is plain and speaks of no such thing. */
export function settingsOf(git: GitRunner, cwd: string): SourceSettings {
  const text = plainConfiguration(cwd);
  let asked: Promise<readonly Setting[]> | undefined;
  const settings = async (without: RegExp): Promise<readonly Setting[]> => {
    const plain = await text;
    if (plain !== undefined && !elsewhere.test(plain) && !without.test(plain)) return [];
    return (asked ??= askSettings(git, cwd));
  };
  return {
    filters: settings(/filter/i).then(withoutFilters),
    remote: settings(/remote/i).then((all) => all.findLast(([name]) => name === 'remote.origin.url')?.[1]),
  };
}

type Setting = readonly [name: string, value: string];

/** Words by which a configuration leads to other files. */
const elsewhere = /include|worktreeconfig/i;

async function askSettings(git: GitRunner, cwd: string): Promise<readonly Setting[]> {
  const result = await git.try(['config', '-z', '--get-regexp', '^(filter\\.|remote\\.origin\\.url$)'], { cwd });
  return result.stdout
    .toString('utf8')
    .split('\0')
    .filter((setting) => setting !== '')
    .map((setting) => {
      const end = setting.indexOf('\n');
      return end === -1 ? ([setting, ''] as const) : ([setting.slice(0, end), setting.slice(end + 1)] as const);
    });
}

function withoutFilters(settings: readonly Setting[]): readonly string[] {
  const names = settings.map(([name]) => name).filter((name) => name.startsWith('filter.'));
  const filters = new Set(names.map((name) => name.slice(0, name.lastIndexOf('.'))));
  return [...filters].flatMap((name) => [
    `${name}.clean=`,
    `${name}.smudge=`,
    `${name}.process=`,
    `${name}.required=false`,
  ]);
}
