import type { BlobReader } from './blob-reader.ts';
import { type BytePath, isAscii, parentOf } from './byte-path.ts';
import type { MemberName } from './tar-stream.ts';
import type { TreeEntry } from './tree-entry.ts';

/** How entries are written beside where they belong, and what of it then has to be moved. */
export interface StagedTrees {
  readonly members: readonly TreeEntry[];
  readonly nameOf: MemberName;
  /** In the order in which they are moved. */
  readonly moves: readonly TreeEntry[];
  /** Files that are stored with holes. */
  readonly sparse: ReadonlySet<TreeEntry>;
}

/**
 * Decides how entries are staged: a directory with all below it under a number, and under a number of its own what belongs
 * into a directory that is there. A file with holes always has one, for such a member cannot have every name.
 *
 * @param entries in the order of a walk
 */
export function stageTrees(entries: readonly TreeEntry[], blobs: Pick<BlobReader, 'holesOf'>): StagedTrees {
  const directories = new Map<BytePath, BytePath>();
  const numbers = new Map<TreeEntry, BytePath>();
  const sparse = new Set(entries.filter((entry) => entry.type === 'file' && blobs.holesOf(entry).size > 0));
  let last: { readonly parent: BytePath; readonly name: BytePath | undefined } | undefined;
  /** Entries of one directory mostly come one after the other. */
  const nameAbove = (parent: BytePath): BytePath | undefined => {
    if (last?.parent !== parent) last = { parent, name: directories.get(parent) };
    return last.name;
  };
  const nameOf = (entry: TreeEntry): BytePath => {
    const parent = parentOf(entry.path);
    return numbers.get(entry) ?? `${nameAbove(parent) ?? ''}${entry.path.slice(parent.length)}`;
  };
  for (const entry of entries) {
    const isWithin = nameAbove(parentOf(entry.path)) !== undefined && !(sparse.has(entry) && !isAscii(entry.path));
    if (!isWithin) numbers.set(entry, String(numbers.size));
    if (entry.type === 'directory') directories.set(entry.path, nameOf(entry));
  }
  const members = entries.map((entry) => {
    const opened = open(entry);
    const number = numbers.get(entry);
    if (opened !== entry && number !== undefined) numbers.set(opened, number);
    return opened;
  });
  return { members, moves: entries.filter((entry) => numbers.has(entry)), sparse, nameOf };
}

/** A directory that its owner may not write to can be neither moved nor removed: it gets its mode where it belongs. */
function open(entry: TreeEntry): TreeEntry {
  return entry.type === 'directory' && (entry.mode & 0o700) !== 0o700 ? { ...entry, mode: entry.mode | 0o700 } : entry;
}
