import type { BytePath } from './byte-path.ts';
import { parentOf } from './byte-path.ts';
import type { DiskNode } from './scan-directory.ts';
import type { TreeEntry } from './tree-entry.ts';

/** What has to be done to make a directory equal to a snapshot. */
export interface RestorePlan {
  /** Deepest first. */
  readonly remove: readonly DiskNode[];
  /** Missing directories, top first. */
  readonly create: readonly TreeEntry[];
  /** Files and symbolic links to write anew. */
  readonly write: readonly TreeEntry[];
  /** Hard links to make once the files are there. */
  readonly link: readonly TreeEntry[];
  /** Files whose content is right and whose mode or owner is not. */
  readonly amend: readonly TreeEntry[];
}

export interface Comparison {
  /** The digest of a file on disk. */
  readonly digestOf: (node: DiskNode) => Promise<string>;
  /** False when this process may not give files away, so that owners are left as they are. */
  readonly owners: boolean;
}

/** Decides what to do. Sockets, pipes and devices stay, unless they are in the way. */
export async function planRestore(
  entries: readonly TreeEntry[],
  nodes: readonly DiskNode[],
  comparison: Comparison,
): Promise<RestorePlan> {
  const wanted = new Map(entries.map((entry) => [entry.path, entry]));
  const present = new Map(nodes.map((node) => [node.path, node]));
  const remove = nodes.filter((node) => mustGo(node, wanted));
  const goes = new Set(remove);
  const leaders = leadersOnDisk(nodes, wanted);
  const plan = {
    create: [] as TreeEntry[],
    write: [] as TreeEntry[],
    link: [] as TreeEntry[],
    amend: [] as TreeEntry[],
  };
  const rewritten = new Set<BytePath>();
  for (const entry of entries) {
    const found = present.get(entry.path);
    const node = found === undefined || goes.has(found) ? undefined : found;
    if (entry.type === 'directory') {
      if (node === undefined) plan.create.push(entry);
    } else if (entry.type === 'link') {
      const leader = present.get(entry.target);
      if (node === undefined || node.identity !== leader?.identity || rewritten.has(entry.target))
        plan.link.push(entry);
    } else if (node === undefined || (await differs(entry, node, leaders, comparison))) {
      rewritten.add(entry.path);
      plan.write.push(entry);
    } else if (entry.type === 'file' && (entry.mode !== node.mode || hasOtherOwner(entry, node, comparison))) {
      plan.amend.push(entry);
    }
  }
  return { ...plan, remove: remove.sort((one, other) => (one.path < other.path ? 1 : -1)) };
}

export function hasOtherOwner(entry: TreeEntry, node: DiskNode, { owners }: Pick<Comparison, 'owners'>): boolean {
  return owners && (entry.uid !== node.uid || entry.gid !== node.gid);
}

function mustGo(node: DiskNode, wanted: ReadonlyMap<BytePath, TreeEntry>): boolean {
  if (node.path === '') return false;
  const entry = wanted.get(node.path);
  if (entry !== undefined) return node.type !== (entry.type === 'link' ? 'file' : entry.type);
  if (node.type !== 'other') return true;
  return wanted.get(parentOf(node.path))?.type !== 'directory' && parentOf(node.path) !== '';
}

/** The path that leads each inode on disk: a file that shares its inode with a file of another group is written anew. */
function leadersOnDisk(
  nodes: readonly DiskNode[],
  wanted: ReadonlyMap<BytePath, TreeEntry>,
): ReadonlyMap<string, BytePath> {
  const leaders = new Map<string, BytePath>();
  for (const node of nodes) {
    const entry = wanted.get(node.path);
    if (node.type !== 'file' || node.links < 2 || entry === undefined) continue;
    if (!leaders.has(node.identity)) leaders.set(node.identity, entry.type === 'link' ? entry.target : entry.path);
  }
  return leaders;
}

async function differs(
  entry: TreeEntry,
  node: DiskNode,
  leaders: ReadonlyMap<string, BytePath>,
  comparison: Comparison,
): Promise<boolean> {
  if (entry.mtimeNs !== node.mtimeNs) return true;
  if (entry.type === 'symlink') return entry.target !== node.target || hasOtherOwner(entry, node, comparison);
  if (entry.size !== node.size) return true;
  if ((leaders.get(node.identity) ?? entry.path) !== entry.path) return true;
  return (await comparison.digestOf(node)) !== entry.digest;
}
