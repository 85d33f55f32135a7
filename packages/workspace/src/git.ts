import type { GitPort, Logger } from '@opencode-tools/core';
import type { Environment } from './extract-tar.ts';
import { invalid } from './failures.ts';
import { inspectRepository, resolveInRepository, settingsOf } from './git-inspect.ts';
import { type GitRunner, createGitRunner, gitFailure } from './git-runner.ts';
import { type UserRepository, openUserRepository } from './user-repository.ts';

/** The git port, and what brings work in and out by git. */
export interface HostGit extends GitPort {
  readonly runner: GitRunner;
  /** Of whoever runs this process. */
  readonly environment: Environment;
  /** Directories of the host that sandboxes of any task can write, but for the `.git` at the top of each. */
  bound(): Promise<readonly string[]>;
  /** @throws as `openUserRepository` */
  find(directory: string): Promise<UserRepository>;
}

export interface GitOptions {
  /** Only PATH, HOME, XDG_CONFIG_HOME and TMPDIR are taken; for commits in the user's name also what says where git's settings are and who that is. */
  readonly environment: Environment;
  readonly logger: Logger;
  /** As `HostGit.bound`. */
  readonly bound: () => Promise<readonly string[]>;
}

/**
 * Makes the git port over the host's `git` program. System and user configuration are not read, hooks, filters, monitors and
 * credential helpers never run, and no network is used. No repository is opened that a sandbox could have written.
 */
export function createGit(options: GitOptions): HostGit {
  const runner = createGitRunner(options);
  const isBranchName = async (name: string): Promise<boolean> => {
    if (name.startsWith('-') || name === 'HEAD' || name.includes('\0')) return false;
    return (await runner.try(['check-ref-format', `refs/heads/${name}`], { cwd: '/' })).code === 0;
  };
  const find = async (directory: string): Promise<UserRepository> =>
    openUserRepository(runner, directory, await options.bound());
  return {
    runner,
    environment: options.environment,
    bound: () => options.bound(),
    find,
    isBranchName,
    inspect: async (directory, ref) => inspectRepository(await find(directory), ref),
    resolve: async (directory, ref) => resolveInRepository(await find(directory), ref),
    listBranches: async (directory) => {
      const { runner: git, place: cwd } = await find(directory);
      const out = await git.run(['for-each-ref', '--format=%(refname)', 'refs/heads/'], { cwd });
      const lines = out.toString('utf8').split('\n');
      return lines.filter((line) => line !== '').map((line) => line.slice('refs/heads/'.length));
    },
    createBranch: async (directory, branch) => {
      if (!(await isBranchName(branch))) {
        throw invalid(`Not a branch name: ${branch}`, 'Use letters, digits, dashes and slashes.', { branch });
      }
      const args = ['checkout', '--quiet', '--no-track', '-b', branch];
      const { runner: git, place: cwd } = await find(directory);
      const call = { cwd, config: await settingsOf(git, cwd).filters };
      const result = await git.try(args, call);
      if (result.code !== 0) throw gitFailure(args, call, result.stderr);
    },
  };
}
