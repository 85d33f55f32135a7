import { needsAttributes } from './attributes/restore-attributes.ts';
import type { BytePath } from './byte-path.ts';
import { parentOf } from './byte-path.ts';
import type { FoundName } from './scan-directory.ts';
import { type TreeEntry, walkKey } from './tree-entry.ts';

/** What has to be done to make a directory equal to a snapshot. */
export interface RestorePlan {
  /** Deepest first. */
  readonly remove: readonly FoundName[];
  /** Missing directories, and the files and symbolic links to write anew, in the order of a walk. */
  readonly write: readonly TreeEntry[];
  /** Hard links to make once the files are there. */
  readonly link: readonly TreeEntry[];
  /** Files whose content is right and whose mode, owner or attributes are not. */
  readonly amend: readonly TreeEntry[];
  /** All directories, with what was found of them. */
  readonly directories: readonly (readonly [entry: TreeEntry, node: FoundName | undefined])[];
}

export interface Comparison {
  /** The digest of a file on disk. */
  readonly digestOf: (node: FoundName) => string | Promise<string>;
  /** False when this process may not give files away, so that owners are left as they are. */
  readonly owners: boolean;
}

/**
 * Decides what to do. Sockets, pipes and devices stay, unless they are in the way.
 *
 * @param entries in the order of a walk, as are the nodes
 */
export async function planRestore(
  entries: readonly TreeEntry[],
  nodes: readonly FoundName[],
  comparison: Comparison,
): Promise<RestorePlan> {
  const pairs = pairUp(entries, nodes);
  const remove = [...whatMustGo(pairs.unwanted, entries), ...pairs.otherwise];
  const leaders = leadersOnDisk(entries, pairs.found);
  const plan = { write: [] as TreeEntry[], link: [] as TreeEntry[], amend: [] as TreeEntry[] };
  const directories: (readonly [TreeEntry, FoundName | undefined])[] = [];
  const rewritten = new Set<BytePath>();
  for (const [at, entry] of entries.entries()) {
    const node = pairs.found[at];
    if (entry.type === 'directory') {
      directories.push([entry, node]);
      if (node === undefined) plan.write.push(entry);
    } else if (entry.type === 'link') {
      const isLinked = node !== undefined && node.links > 1 && node.identity === leaders.identities.get(entry.target);
      if (!isLinked || rewritten.has(entry.target)) plan.link.push(entry);
    } else if (node === undefined || (await differs(entry, node, leaders.paths, comparison))) {
      rewritten.add(entry.path);
      plan.write.push(entry);
    } else if (entry.type === 'file') {
      const isOther = entry.mode !== node.mode || hasOtherOwner(entry, node, comparison);
      if (isOther || needsAttributes(entry, node, false)) plan.amend.push(entry);
    }
  }
  return { ...plan, directories, remove: remove.sort((one, other) => (one.path < other.path ? 1 : -1)) };
}

interface Pairs {
  /** What is on disk for each entry, by the entry's place: only what is of its type. */
  readonly found: readonly (FoundName | undefined)[];
  /** What no entry names. */
  readonly unwanted: readonly FoundName[];
  /** What is of another type than its entry. */
  readonly otherwise: readonly FoundName[];
}

function pairUp(entries: readonly TreeEntry[], nodes: readonly FoundName[]): Pairs {
  const found: (FoundName | undefined)[] = [];
  const unwanted: FoundName[] = [];
  const otherwise: FoundName[] = [];
  let next = 0;
  for (const { path, type } of entries) {
    let node = nodes[next];
    while (node !== undefined && node.path !== path && walkKey(node.path) < walkKey(path)) {
      unwanted.push(node);
      next += 1;
      node = nodes[next];
    }
    const isThere = node?.path === path;
    if (isThere) next += 1;
    const fits = isThere && node?.type === (type === 'link' ? 'file' : type);
    found.push(fits ? node : undefined);
    if (isThere && !fits && node !== undefined) otherwise.push(node);
  }
  return { found, unwanted: [...unwanted, ...nodes.slice(next)], otherwise };
}

export function hasOtherOwner(entry: TreeEntry, node: FoundName, { owners }: Pick<Comparison, 'owners'>): boolean {
  return owners && (entry.uid !== node.uid || entry.gid !== node.gid);
}

function whatMustGo(unwanted: readonly FoundName[], entries: readonly TreeEntry[]): readonly FoundName[] {
  const others = unwanted.filter(({ type }) => type === 'other');
  const directories = new Set(
    others.length === 0 ? [] : entries.flatMap(({ path, type }) => (type === 'directory' ? [path] : [])),
  );
  const mayStay = ({ path, type }: FoundName): boolean => {
    const parent = parentOf(path);
    return path === '' || (type === 'other' && (parent === '' || directories.has(parent)));
  };
  return unwanted.filter((node) => !mayStay(node));
}

interface Leaders {
  /** The path that leads each inode on disk: a file that shares its inode with a file of another group is written anew. */
  readonly paths: ReadonlyMap<string, BytePath>;
  /** The inode of each path that has several names. */
  readonly identities: ReadonlyMap<BytePath, string>;
}

function leadersOnDisk(entries: readonly TreeEntry[], found: readonly (FoundName | undefined)[]): Leaders {
  const paths = new Map<string, BytePath>();
  const identities = new Map<BytePath, string>();
  for (const [at, node] of found.entries()) {
    const entry = entries[at];
    if (entry === undefined || node?.type !== 'file' || node.links < 2) continue;
    identities.set(entry.path, node.identity);
    if (!paths.has(node.identity)) paths.set(node.identity, entry.type === 'link' ? entry.target : entry.path);
  }
  return { paths, identities };
}

async function differs(
  entry: TreeEntry,
  node: FoundName,
  leaders: ReadonlyMap<string, BytePath>,
  comparison: Comparison,
): Promise<boolean> {
  if (entry.mtimeNs !== node.mtimeNs) return true;
  if (entry.type === 'symlink') return entry.target !== node.target || hasOtherOwner(entry, node, comparison);
  if (entry.size !== node.size) return true;
  if (node.links > 1 && (leaders.get(node.identity) ?? entry.path) !== entry.path) return true;
  return (await comparison.digestOf(node)) !== entry.digest;
}
