import { type BytePath, parentOf } from './byte-path.ts';

export type EntryType = 'file' | 'directory' | 'symlink' | 'link';

/** One name of a tree. The top directory has the empty path; its time is always 0, for no copy of a tree keeps it. */
export interface TreeEntry {
  readonly path: BytePath;
  readonly type: EntryType;
  /** The lower twelve bits: permissions, setuid, setgid, sticky. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Nanoseconds since 1970. */
  readonly mtimeNs: bigint;
  /** Bytes of a file (and of the file that a hard link leads to); 0 for the others. */
  readonly size: number;
  /** SHA-256 of a file's bytes in hexadecimal; empty for directories and symbolic links. */
  readonly digest: string;
  /** Target of a symbolic link as it is, or the path of the file that a hard link leads to; else empty. */
  readonly target: BytePath;
  /** Extended attributes of a file or a directory, as `encodeAttributes` gives them; absent for none. */
  readonly attributes?: string | undefined;
}

/**
 * A text by which paths sort as a walk meets them: a directory, then all below it, names by their bytes. Tools that
 * extract a stream set a directory's time when they leave it, so what is below must not come later.
 */
export function walkKey(path: BytePath): string {
  return path.replaceAll('/', '\0');
}

/**
 * Brings entries into the one form that equal trees share: in the order of a walk, each group of hard links led by its
 * first path, every parent present.
 */
export function canonicalTree(entries: readonly TreeEntry[]): readonly TreeEntry[] {
  const byPath = new Map(entries.map((entry) => [entry.path, entry]));
  for (const entry of entries) addParents(byPath, entry);
  const leaders = leadersOf(byPath);
  const plain = [...byPath.values()];
  const tree = leaders.size === 0 ? plain : plain.map((entry) => relink(entry, leaders.get(entry)));
  const keyed = tree.map((entry) => [walkKey(entry.path), entry] as const);
  if (keyed.every(([key], index) => index === 0 || (keyed[index - 1]?.[0] ?? '') < key)) return tree;
  return keyed.sort(([one], [other]) => (one < other ? -1 : 1)).map(([, entry]) => entry);
}

/** For every entry of a group of hard links: the file, and the path that leads the group. */
function leadersOf(byPath: ReadonlyMap<BytePath, TreeEntry>): Map<TreeEntry, readonly [TreeEntry, BytePath]> {
  const groups = new Map<TreeEntry, TreeEntry[]>();
  for (const entry of byPath.values()) {
    if (entry.type !== 'link') continue;
    const file = byPath.get(entry.target);
    if (file?.type !== 'file') throw new Error(`A hard link leads to no file: ${entry.path}`);
    const group = groups.get(file);
    if (group === undefined) groups.set(file, [file, entry]);
    else group.push(entry);
  }
  const leaders = new Map<TreeEntry, readonly [TreeEntry, BytePath]>();
  for (const [file, group] of groups) {
    const first = group.reduce((least, { path }) => (walkKey(path) < walkKey(least) ? path : least), file.path);
    for (const entry of group) leaders.set(entry, [file, first]);
  }
  return leaders;
}

function relink(entry: TreeEntry, leader: readonly [TreeEntry, BytePath] | undefined): TreeEntry {
  if (leader === undefined) return entry;
  const [file, first] = leader;
  return entry.path === first ? { ...file, path: first } : { ...file, path: entry.path, type: 'link', target: first };
}

function addParents(byPath: Map<BytePath, TreeEntry>, entry: TreeEntry): void {
  for (let path = parentOf(entry.path); path !== '' && !byPath.has(path); path = parentOf(path)) {
    const { uid, gid } = entry;
    byPath.set(path, { path, type: 'directory', mode: 0o755, uid, gid, mtimeNs: 0n, size: 0, digest: '', target: '' });
  }
}

/** A tree in canonical form with a plain top directory, if it has none of its own. */
export function withTop(tree: readonly TreeEntry[]): readonly TreeEntry[] {
  if (tree[0]?.path === '') return tree;
  const plain = { mode: 0o755, uid: 0, gid: 0, mtimeNs: 0n, size: 0, digest: '', target: '' };
  return [{ ...plain, path: '', type: 'directory' }, ...tree];
}
