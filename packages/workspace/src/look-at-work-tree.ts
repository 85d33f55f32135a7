import { type BytePath, parentOf } from './byte-path.ts';
import { type IndexEntry, gitlink, isAsIndexed } from './git-index.ts';
import type { Pacer } from './pacer.ts';
import { type DiskNode, findNode, namesInUnfollowed, nodeAt, walk } from './scan-directory.ts';

/** What a work tree has, beside what its index says. */
export interface WorkTreeLook {
  /** Files and links of the index that may have changed. */
  readonly suspects: readonly DiskNode[];
  /** Files and links that the index does not have. */
  readonly unknown: readonly DiskNode[];
  readonly gone: readonly BytePath[];
  /** Files by which git tells what to ignore and how to convert, at any depth. */
  readonly rules: readonly DiskNode[];
  /** Repositories, what is neither file nor link, and names that git never takes. */
  readonly leftOut: readonly BytePath[];
  /** What the index has, and is neither file, link nor directory now. */
  readonly inTheWay: readonly BytePath[];
}

/** Names that git takes for its own on one file system or another, and adds nowhere. */
const neverTaken = /(^|\/)(\.git|git~1)$/i;

type Found = { readonly [Kind in Exclude<keyof WorkTreeLook, 'gone'>]: WorkTreeLook[Kind][number][] };

/**
 * Compares a directory of a work tree with an index by `lstat` alone. Repositories in it are not entered, but where the index has
 * something below: whoever may write there can make a repository of any directory.
 *
 * @param root top of the work tree, a real path
 * @param within.prefix directory below it
 * @param within.scope paths in that, and all below them: whether they are there or not
 * @param indexedNs when the index was written
 */
export async function lookAtWorkTree(
  root: BytePath,
  { prefix, scope }: { readonly prefix: BytePath; readonly scope: readonly BytePath[] },
  index: { readonly entries: readonly IndexEntry[]; readonly indexedNs: bigint },
  pacer: Pacer,
): Promise<WorkTreeLook> {
  const known = new Map(index.entries.map((entry) => [entry.path, entry]));
  const found = new Set<BytePath>();
  const look: Found = { suspects: [], unknown: [], rules: [], leftOut: [], inTheWay: [] };
  let parents: ReadonlySet<BytePath> | undefined;
  const isEntered = (path: BytePath, entry: IndexEntry | undefined): boolean => {
    if (path === prefix) return true;
    if (entry?.mode === gitlink) return false;
    if (!hasRepository(root, path) || (parents ??= parentsOf(index.entries)).has(path)) return true;
    look.leftOut.push(path);
    return false;
  };
  const visit = (path: BytePath): boolean => {
    if (/(^|\/)\.git$/.test(path)) return false;
    if (neverTaken.test(path)) {
      look.leftOut.push(path);
      return false;
    }
    const entry = known.get(path);
    const node = nodeAt(root, path);
    if (node.type === 'directory') return isEntered(path, entry);
    const isKnown = entry !== undefined && entry.mode !== gitlink;
    if (node.type === 'other') {
      (isKnown && !entry.skipped ? look.inTheWay : look.leftOut).push(path);
      found.add(path);
      return false;
    }
    if (node.type === 'file' && /(^|\/)\.git(ignore|attributes)$/.test(path)) look.rules.push(node);
    found.add(path);
    if (!isKnown) look.unknown.push(node);
    else if (!entry.skipped && (entry.intended || !isAsIndexed(entry, node, index.indexedNs))) look.suspects.push(node);
    return false;
  };
  const tops = scope.filter((path) => path === prefix || canBeReached(root, prefix, path, isEntered));
  await walk(root, pacer, visit, tops, namesInUnfollowed);
  rulesAbove(root, scope, look.rules);
  const gone = index.entries.filter(({ path, mode, skipped }) => !found.has(path) && mode !== gitlink && !skipped);
  return { ...look, gone: gone.map(({ path }) => path) };
}

/** Whether something is at a path, and all between it and the prefix are directories that are entered. */
function canBeReached(
  root: BytePath,
  prefix: BytePath,
  path: BytePath,
  isEntered: (path: BytePath, entry: undefined) => boolean,
): boolean {
  if (/(^|\/)\.git(\/|$)/i.test(path)) return false;
  const above: BytePath[] = [];
  for (let at = parentOf(path); at !== prefix; at = parentOf(at)) above.unshift(at);
  return (
    above.every((at) => findNode(root, at)?.type === 'directory' && isEntered(at, undefined)) &&
    findNode(root, path) !== undefined
  );
}

/** As git sees it, but for files and links: where they lead is not looked at. */
function hasRepository(root: BytePath, directory: BytePath): boolean {
  const at = `${directory}/.git`;
  const node = findNode(root, at);
  if (node?.type !== 'directory') return node?.type === 'symlink' || (node?.type === 'file' && node.size > 0);
  const has = (name: string): boolean => findNode(root, `${at}/${name}`) !== undefined;
  return has('HEAD') && (has('objects') || has('commondir'));
}

function parentsOf(entries: readonly IndexEntry[]): ReadonlySet<BytePath> {
  const parents = new Set<BytePath>();
  for (const { path } of entries)
    for (let at = parentOf(path); at !== '' && !parents.has(at); at = parentOf(at)) parents.add(at);
  return parents;
}

/** What says so in the directories between the top and the one that is looked at. */
function rulesAbove(root: BytePath, scope: readonly BytePath[], rules: DiskNode[]): void {
  const above = new Set<BytePath>();
  for (const path of scope)
    for (let at = path; at !== '' && !above.has(parentOf(at)); at = parentOf(at)) above.add(parentOf(at));
  for (const at of above) {
    for (const name of ['.gitignore', '.gitattributes']) {
      const node = findNode(root, at === '' ? name : `${at}/${name}`);
      if (node?.type === 'file') rules.push(node);
    }
  }
}
