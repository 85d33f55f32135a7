/** Names in a directory that git takes for a repository, which it obeys or needs. */
const names =
  'head config config.worktree commondir gitdir index packed-refs objects refs hooks info modules worktrees logs shallow'.split(
    ' ',
  );
const known = new Set(names);

/** One changed path, as far as it matters to git. */
export interface ChangedName {
  readonly path: string;
  readonly change: 'added' | 'modified' | 'deleted';
}

/**
 * The directories that would be repositories if what git looks for were there: whether a caller has to know what else is in the tree.
 *
 * @returns paths relative to the top; empty for the top
 */
export function possibleRepositories(changes: readonly ChangedName[]): ReadonlySet<string> {
  return new Set(changes.flatMap(({ path, change }) => (change === 'deleted' ? [] : holdersOf(path))));
}

/**
 * Finds the changed paths by which git takes a directory for a repository without a `.git`, or that it obeys in one: whoever goes there, with a prompt that
 * asks git for the status, runs what its `config` says.
 *
 * @param stands whether anything is at a path, relative to the top, when the changes are there
 */
export function repositoryFiles(
  changes: readonly ChangedName[],
  stands: (path: string) => boolean,
): ReadonlySet<string> {
  const changed = new Set<string>();
  for (const { path, change } of changes) {
    if (change === 'deleted') continue;
    for (let place = plainPath(path); place !== '' && !changed.has(place); place = above(place)) changed.add(place);
  }
  const asked = new Map<string, boolean>();
  const isRepository = (directory: string): boolean => {
    const found = asked.get(directory);
    if (found !== undefined) return found;
    const has = (name: string): boolean => {
      const path = directory === '' ? name : `${directory}/${name}`;
      return changed.has(plainPath(path)) || stands(path);
    };
    const is = has('HEAD') && (has('commondir') || (has('objects') && has('refs')));
    asked.set(directory, is);
    return is;
  };
  const files = changes.filter(({ path, change }) => change !== 'deleted' && holdersOf(path).some(isRepository));
  return new Set(files.map(({ path }) => path));
}

/** As file systems of other hosts tell names apart: in small letters, without what is not seen. */
export function plainPath(path: string): string {
  return path
    .toLowerCase()
    .normalize('NFKC')
    .replaceAll(/[\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]/g, '');
}

/** Directories above a path in which it would be git's, were they repositories. */
function holdersOf(path: string): readonly string[] {
  const parts = path.split('/');
  return parts.flatMap((part, at) => (known.has(plainPath(part)) ? [parts.slice(0, at).join('/')] : []));
}

function above(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}
