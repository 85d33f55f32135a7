import type { ByteStream } from '@opencode-tools/core';
import { toBytePath } from './byte-path.ts';
import { type ListedPath, freezeCommit } from './freeze-commit.ts';
import { type FreezeDirectoryOptions, freezeDirectory } from './freeze-directory.ts';
import type { HostGit } from './git.ts';
import { entriesOf } from './known-lines.ts';
import { type GitSeed, seedWithoutFiles } from './seed-git.ts';
import type { BegunRepository } from './seed-repository.ts';
import type { Collect } from './store-parts.ts';
import { type TreeEntry, canonicalTree } from './tree-entry.ts';

/**
 * Reads what a commit has into a pack, and a repository of its own for it, without checking it out.
 *
 * @param seed with what `readSeed` gave
 */
export async function freezeSeed(
  git: HostGit,
  seed: GitSeed & { readonly paths: readonly ListedPath[] },
  begun: BegunRepository,
  store: Parameters<Collect>[0],
  options: Omit<FreezeDirectoryOptions, 'useStatCache'> & Required<Pick<FreezeDirectoryOptions, 'owner'>>,
): Promise<readonly TreeEntry[]> {
  const read = (objects: ByteStream) => freezeCommit(seed.paths, objects, store, options);
  const files = await seedWithoutFiles(git, seed, begun, read, options.signal);
  const own = await freezeDirectory(toBytePath(begun.directory), store, { ...options, useStatCache: false });
  return canonicalTree([...entriesOf(own.tree), ...files]);
}
