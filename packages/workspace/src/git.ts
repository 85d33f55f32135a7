import type { GitPort, Logger } from '@opencode-tools/core';
import type { Environment } from './extract-tar.ts';
import { invalid } from './failures.ts';
import { inspectRepository, resolveInRepository } from './git-inspect.ts';
import { type GitRunner, createGitRunner, gitFailure } from './git-runner.ts';

/** The git port, and the runner that seeding uses. */
export interface HostGit extends GitPort {
  readonly runner: GitRunner;
}

/**
 * Makes the git port over the host's `git` program. System and user configuration are not read, hooks, filters, monitors and
 * credential helpers never run, and no network is used.
 *
 * @param options.environment only PATH, HOME, XDG_CONFIG_HOME and TMPDIR are taken
 */
export function createGit(options: { readonly environment: Environment; readonly logger: Logger }): HostGit {
  const runner = createGitRunner(options);
  const isBranchName = async (name: string): Promise<boolean> => {
    if (name.startsWith('-') || name === 'HEAD' || name.includes('\0')) return false;
    return (await runner.try(['check-ref-format', `refs/heads/${name}`], { cwd: '/' })).code === 0;
  };
  return {
    runner,
    isBranchName,
    inspect: (directory, ref) => inspectRepository(runner, directory, ref),
    resolve: (directory, ref) => resolveInRepository(runner, directory, ref),
    listBranches: async (directory) => {
      const out = await runner.run(['for-each-ref', '--format=%(refname)', 'refs/heads/'], { cwd: directory });
      const lines = out.toString('utf8').split('\n');
      return lines.filter((line) => line !== '').map((line) => line.slice('refs/heads/'.length));
    },
    createBranch: async (directory, branch) => {
      if (!(await isBranchName(branch))) {
        throw invalid(`Not a branch name: ${branch}`, 'Use letters, digits, dashes and slashes.', { branch });
      }
      const args = ['checkout', '--quiet', '--no-track', '-b', branch];
      const result = await runner.try(args, { cwd: directory });
      if (result.code !== 0) throw gitFailure(args, { cwd: directory }, result.stderr);
    },
  };
}
