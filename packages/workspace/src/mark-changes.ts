import { type ChangedFile, possibleRepositories, repositoryFiles } from '@opencode-tools/core';

/** What of a change depends on what else is there, before and after. */
export type ChangeMarks = Pick<ChangedFile, 'inRepository' | 'wasExecutable'>;

/** A change to be marked. */
export interface UnmarkedChange extends Pick<ChangedFile, 'path' | 'change'> {
  /** Names the content of a file that becomes executable; undefined for what does not. */
  readonly executable: string | undefined;
}

/** The trees before and after, each asked for only where a change needs it. */
export interface MarkingTrees {
  /** Whether anything is at a path after the changes. */
  readonly stands: (path: string) => boolean;
  /** Names of contents that were executable before. */
  readonly executables: () => ReadonlySet<string>;
}

/** Which trees the marks of these changes need. */
export function treesFor(changes: readonly UnmarkedChange[]): { readonly before: boolean; readonly after: boolean } {
  return {
    before: changes.some(({ executable }) => executable !== undefined),
    after: possibleRepositories(changes).size > 0,
  };
}

/** @returns the marks in the order of the changes */
export function markChanges(changes: readonly UnmarkedChange[], trees: MarkingTrees): readonly ChangeMarks[] {
  const { before, after } = treesFor(changes);
  const inRepository = after ? repositoryFiles(changes, trees.stands) : new Set<string>();
  const executables = before ? trees.executables() : new Set<string>();
  return changes.map(({ path, executable }) => ({
    inRepository: inRepository.has(path),
    wasExecutable: executable !== undefined && executables.has(executable),
  }));
}
