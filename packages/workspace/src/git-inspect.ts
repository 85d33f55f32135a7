import type { RepositoryState } from '@opencode-tools/core';
import { realDirectory } from './check-directory.ts';
import { invalid } from './failures.ts';
import { type GitRunner, gitFailure } from './git-runner.ts';

const mostPaths = 100;

/** What status says of one path; both letters as in `git status --short`. */
export interface ChangedPath {
  readonly staged: string;
  readonly unstaged: string;
  /** Bytes of the name, as Latin-1. */
  readonly path: string;
}

/** Looks at a repository without running anything that it configures. See `GitPort.inspect`. */
export async function inspectRepository(git: GitRunner, directory: string, ref?: string): Promise<RepositoryState> {
  const cwd = await realDirectory(directory);
  const { top, bare } = await topOf(git, cwd);
  const commit = await resolveCommit(git, top, ref);
  const changes = bare ? [] : await listChanges(git, top);
  const shallow = (await text(git, top, ['rev-parse', '--is-shallow-repository'])) === 'true';
  const branch = await git.try(['symbolic-ref', '--quiet', '--short', 'HEAD'], { cwd: top });
  return {
    topDirectory: top,
    commit,
    branch: branch.code === 0 ? branch.stdout.toString('utf8').trim() : null,
    dirtyPaths: changes.slice(0, mostPaths).map(({ path }) => Buffer.from(path, 'latin1').toString('utf8')),
    submodules: await listSubmodules(git, top, commit),
    shallow,
  };
}

/** Paths that differ from HEAD or the index, or are untracked and not ignored, with filters switched off. */
export async function listChanges(git: GitRunner, top: string): Promise<readonly ChangedPath[]> {
  const args = ['status', '--porcelain=v1', '-z', '--untracked-files=all', '--ignore-submodules=all', '--no-renames'];
  const out = await git.run(args, { cwd: top, config: await filterOverrides(git, top), timeoutMs: 300_000 });
  return out
    .toString('latin1')
    .split('\0')
    .filter((line) => line.length > 3)
    .map((line) => ({ staged: line.charAt(0), unstaged: line.charAt(1), path: line.slice(3) }));
}

async function topOf(git: GitRunner, cwd: string): Promise<{ readonly top: string; readonly bare: boolean }> {
  const args = ['rev-parse', '--is-bare-repository', '--is-inside-work-tree', '--absolute-git-dir'];
  const result = await git.try(args, { cwd });
  if (result.code !== 0) throw gitFailure(args, { cwd }, result.stderr);
  const [bare, inside, gitDirectory = ''] = result.stdout.toString('utf8').split('\n');
  if (bare === 'true') return { top: gitDirectory, bare: true };
  if (inside !== 'true') {
    throw invalid(`Not inside a work tree: ${cwd}`, 'Name the directory that holds the files, not its .git.', {
      directory: cwd,
    });
  }
  return {
    top: (await git.run(['rev-parse', '--show-toplevel'], { cwd })).toString('utf8').replace(/\n$/, ''),
    bare: false,
  };
}

async function resolveCommit(git: GitRunner, cwd: string, ref: string | undefined): Promise<string> {
  const name = ref ?? 'HEAD';
  const result = name.startsWith('-')
    ? undefined
    : await git.try(['rev-parse', '--verify', '--quiet', `${name}^{commit}`], { cwd });
  if (result?.code === 0) return result.stdout.toString('utf8').trim();
  if (ref === undefined) {
    throw invalid(
      `The repository at ${cwd} has no commit`,
      'Make a first commit, or seed from the directory instead.',
      {
        directory: cwd,
      },
    );
  }
  throw invalid(`No commit ${ref} in the repository at ${cwd}`, 'Name a branch, tag or commit that exists there.', {
    directory: cwd,
    ref,
  });
}

async function listSubmodules(git: GitRunner, cwd: string, commit: string): Promise<readonly string[]> {
  const out = await git.run(['ls-tree', '-r', '-z', '--full-tree', commit], { cwd });
  if (!out.includes('160000 commit ')) return [];
  return out
    .toString('utf8')
    .split('\0')
    .filter((line) => line.startsWith('160000 '))
    .map((line) => line.slice(line.indexOf('\t') + 1));
}

/** Empties every filter that the repository configures, so that looking at files runs none. */
async function filterOverrides(git: GitRunner, cwd: string): Promise<readonly string[]> {
  const result = await git.try(['config', '--name-only', '-z', '--get-regexp', '^filter\\.'], { cwd });
  const names = result.stdout
    .toString('utf8')
    .split('\0')
    .filter((name) => name !== '');
  const filters = new Set(names.map((name) => name.slice(0, name.lastIndexOf('.'))));
  return [...filters].flatMap((name) => [
    `${name}.clean=`,
    `${name}.smudge=`,
    `${name}.process=`,
    `${name}.required=false`,
  ]);
}

async function text(git: GitRunner, cwd: string, args: readonly string[]): Promise<string> {
  return (await git.run(args, { cwd })).toString('utf8').trim();
}
