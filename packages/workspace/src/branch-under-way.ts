import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { invalid } from './failures.ts';

const rebased = ['rebase-merge/head-name', 'rebase-apply/head-name', 'rebase-merge/update-refs'];

/**
 * Refuses a branch that a rebase or a bisection of any work tree goes back to: its work tree has a detached commit meanwhile, and its
 * end or abort puts the branch where it was.
 *
 * @param commonDirectory what the work trees of the repository share
 * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT`
 */
export async function refuseBranchUnderWay(commonDirectory: string, ref: string): Promise<void> {
  const trees = join(commonDirectory, 'worktrees');
  const linked = await readdir(trees).catch(() => []);
  for (const gitDirectory of [commonDirectory, ...linked.map((name) => join(trees, name))]) {
    const lines = await Promise.all(rebased.map(async (name) => linesOf(join(gitDirectory, name))));
    if (lines.flat().includes(ref)) throw underWay(ref, 'rebase', gitDirectory);
    const [start = ''] = await linesOf(join(gitDirectory, 'BISECT_START'));
    if (`refs/heads/${start}` === ref) throw underWay(ref, 'bisection', gitDirectory);
  }
}

async function linesOf(path: string): Promise<readonly string[]> {
  return (await readFile(path, 'utf8').catch(() => '')).split('\n');
}

function underWay(ref: string, what: string, gitDirectory: string) {
  return invalid(
    `${ref} is in the middle of a ${what}, which would take back what is merged into it`,
    'Finish or abort it first.',
    {
      ref,
      gitDirectory,
    },
  );
}
