import type { BytePath } from './byte-path.ts';
import { type IndexEntry, gitlink, isAsIndexed } from './git-index.ts';
import type { Pacer } from './pacer.ts';
import { type DiskNode, findNode, nodeAt, walk } from './scan-directory.ts';

/** What a work tree has, beside what its index says. */
export interface WorkTreeLook {
  /** Files and links of the index that may have changed. */
  readonly suspects: readonly DiskNode[];
  /** Files and links that the index does not have. */
  readonly unknown: readonly DiskNode[];
  readonly gone: readonly BytePath[];
  /** Files by which git tells what to ignore and how to convert, at any depth. */
  readonly rules: readonly DiskNode[];
  /** Repositories, and what is neither file nor link. */
  readonly leftOut: readonly BytePath[];
}

interface Found {
  readonly suspects: DiskNode[];
  readonly unknown: DiskNode[];
  readonly rules: DiskNode[];
  readonly leftOut: BytePath[];
}

/**
 * Compares a directory of a work tree with an index by `lstat` alone. Repositories in it are not entered.
 *
 * @param root top of the work tree, a real path
 * @param prefix directory below it; empty for all
 * @param indexedNs when the index was written
 */
export async function lookAtWorkTree(
  root: BytePath,
  prefix: BytePath,
  index: { readonly entries: readonly IndexEntry[]; readonly indexedNs: bigint },
  pacer: Pacer,
): Promise<WorkTreeLook> {
  const known = new Map(index.entries.map((entry) => [entry.path, entry]));
  const found = new Set<BytePath>();
  const look: Found = { suspects: [], unknown: [], rules: [], leftOut: [] };
  const visit = (path: BytePath): boolean => {
    if (/(^|\/)\.git$/i.test(path)) return false;
    const entry = known.get(path);
    const node = nodeAt(root, path);
    if (node.type === 'directory') return path === prefix || isEntered(root, path, entry, look.leftOut);
    if (node.type === 'other') {
      look.leftOut.push(path);
      return false;
    }
    if (node.type === 'file' && /(^|\/)\.git(ignore|attributes)$/.test(path)) look.rules.push(node);
    found.add(path);
    if (entry === undefined || entry.mode === gitlink) look.unknown.push(node);
    else if (!entry.skipped && (entry.intended || !isAsIndexed(entry, node, index.indexedNs))) look.suspects.push(node);
    return false;
  };
  await walk(root, pacer, visit, [prefix]);
  rulesAbove(root, prefix, look.rules);
  const gone = index.entries.filter(({ path, mode, skipped }) => !found.has(path) && mode !== gitlink && !skipped);
  return { ...look, gone: gone.map(({ path }) => path) };
}

function isEntered(root: BytePath, path: BytePath, entry: IndexEntry | undefined, leftOut: BytePath[]): boolean {
  if (entry?.mode === gitlink) return false;
  if (findNode(root, `${path}/.git`) === undefined) return true;
  leftOut.push(path);
  return false;
}

/** What says so in the directories between the top and the one that is looked at. */
function rulesAbove(root: BytePath, prefix: BytePath, rules: DiskNode[]): void {
  for (let at = prefix; at !== '';) {
    at = at.includes('/') ? at.slice(0, at.lastIndexOf('/')) : '';
    for (const name of ['.gitignore', '.gitattributes']) {
      const node = findNode(root, at === '' ? name : `${at}/${name}`);
      if (node?.type === 'file') rules.push(node);
    }
  }
}
