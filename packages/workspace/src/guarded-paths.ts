import { lstat, readFile, readdir, realpath } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';

/** In a repository's directory: what git obeys as configuration or runs. */
const obeyed = ['config', 'config.worktree', 'hooks', 'info', 'commondir', 'gitdir'];

/**
 * Finds the files through which git on the host could be steered, without running git. See `GitPort.guardedPaths`.
 * Repositories elsewhere than at the top of the directory are not looked for.
 */
export async function guardedPaths(directory: string): Promise<readonly string[]> {
  const top = await realpath(directory);
  const dotGit = join(top, '.git');
  const facts = await lstat(dotGit).catch(() => undefined);
  if (facts === undefined || facts.isSymbolicLink()) return [];
  if (facts.isDirectory()) return below(dotGit);
  const target = /^gitdir: (.+)\n*$/.exec(await readFile(dotGit, 'utf8').catch(() => ''))?.[1];
  const repository = target === undefined ? undefined : resolve(top, target);
  const isInside = repository !== undefined && !relative(top, repository).startsWith('..');
  return [dotGit, ...(isInside ? await below(repository) : [])];
}

async function below(repository: string): Promise<readonly string[]> {
  const own = await present(obeyed.map((name) => join(repository, name)));
  const worktrees = await childrenOf(join(repository, 'worktrees'));
  const linked = await Promise.all(
    worktrees.map((path) => present(obeyed.filter((name) => name !== 'config').map((name) => join(path, name)))),
  );
  return [...own, ...linked.flat(), ...(await modulesIn(join(repository, 'modules')))];
}

/** Names of submodules may have slashes, so repositories are told by their HEAD. */
async function modulesIn(directory: string): Promise<readonly string[]> {
  const found: string[] = [];
  for (const path of await childrenOf(directory)) {
    const isRepository = (await present([join(path, 'HEAD')])).length > 0;
    found.push(...(await (isRepository ? below(path) : modulesIn(path))));
  }
  return found;
}

async function childrenOf(directory: string): Promise<readonly string[]> {
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(directory, name));
}

async function present(paths: readonly string[]): Promise<readonly string[]> {
  const facts = await Promise.all(paths.map((path) => lstat(path).catch(() => undefined)));
  return paths.filter((_, index) => facts[index]?.isFile() === true || facts[index]?.isDirectory() === true);
}
