import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import { realDirectory } from './check-directory.ts';
import { invalid } from './failures.ts';
import { type FoundRepository, findRepository } from './find-repository.ts';
import type { GitCall, GitRunner } from './git-runner.ts';

/** A repository of the user that no sandbox can write. */
export interface UserRepository extends FoundRepository {
  /** Its calls in the directory that has the `.git` are for this repository, whatever git would find there. */
  readonly runner: GitRunner;
}

/**
 * Finds the repository that a directory is in, as git would where no sandbox could have put one.
 *
 * @param directory absolute
 * @param bound directories that sandboxes can write, in which only the `.git` at the top is kept from them
 * @throws OpencodeToolsError as `findRepository`, and `OCT_INVALID_ARGUMENT` for a repository of another user
 */
export async function openUserRepository(
  git: GitRunner,
  directory: string,
  bound: readonly string[],
): Promise<UserRepository> {
  const found = await findRepository(await realDirectory(directory), { bound, takesBare: true });
  if (!found.bare) assertOwn(found);
  return { ...found, runner: found.bare ? git : inRepository(git, found.place, { GIT_DIR: found.gitDirectory }) };
}

/** A runner whose calls in a directory are for the repository that was found, whatever git would find. */
export function inRepository(
  git: GitRunner,
  directory: string,
  repository: { readonly GIT_DIR: string; readonly GIT_WORK_TREE?: string },
): GitRunner {
  const placed = <T extends Pick<GitCall, 'cwd' | 'environment'>>(call: T): T =>
    call.cwd === directory ? { ...call, environment: { ...repository, ...call.environment } } : call;
  return {
    try: (args, call) => git.try(args, placed(call)),
    run: (args, call) => git.run(args, placed(call)),
    stream: (args, call) => git.stream(args, placed(call)),
  };
}

/** Git does not look at owners where it is told the repository. */
function assertOwn({ place, gitDirectory }: FoundRepository): void {
  const user = process.geteuid?.();
  const other = [place, join(place, '.git'), gitDirectory].find((path) => lstatSync(path).uid !== user);
  if (user === undefined || other === undefined) return;
  throw invalid(`The repository at ${place} is of another user`, 'Run as the owner of the repository.', {
    directory: place,
  });
}
