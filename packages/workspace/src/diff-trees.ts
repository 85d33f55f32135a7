import type { TreeChange, TreeDifference, TreeFacts } from '@opencode-tools/core';
import { type BytePath, toBytePath, toText } from './byte-path.ts';
import type { TreeEntry } from './tree-entry.ts';

/**
 * Lists what differs between two canonical trees, sorted by path. A directory's time alone is no change, for it follows
 * from what happens in it.
 */
export function diffTrees(from: readonly TreeEntry[], to: readonly TreeEntry[]): readonly TreeDifference[] {
  const before = new Map(from.map((entry) => [entry.path, entry]));
  const after = new Map(to.map((entry) => [entry.path, entry]));
  const changes: (readonly [BytePath, TreeChange['change']])[] = [];
  for (const entry of to) {
    const old = before.get(entry.path);
    if (old === undefined) changes.push([entry.path, 'added']);
    else if (!isSame(old, entry)) changes.push([entry.path, 'modified']);
  }
  for (const { path } of from) if (!after.has(path)) changes.push([path, 'deleted']);
  changes.sort(([one], [other]) => (one < other ? -1 : 1));
  return changes.map(([path, change]) => ({
    ...shown(path),
    change,
    from: factsOf(before.get(path)),
    to: factsOf(after.get(path)),
  }));
}

function shown(path: BytePath): Pick<TreeDifference, 'path' | 'pathBytes'> {
  const text = path === '' ? '.' : toText(path);
  const isWhole = path === '' || toBytePath(text) === path;
  return { path: text, pathBytes: isWhole ? null : Buffer.from(path, 'latin1').toString('base64') };
}

function factsOf(entry: TreeEntry | undefined): TreeFacts | null {
  if (entry === undefined) return null;
  const { type, mode, uid, gid, size } = entry;
  return { kind: type, mode, uid, gid, sizeBytes: size };
}

function isSame(one: TreeEntry, other: TreeEntry): boolean {
  return (
    one.type === other.type &&
    one.digest === other.digest &&
    one.mode === other.mode &&
    one.uid === other.uid &&
    one.gid === other.gid &&
    one.target === other.target &&
    one.attributes === other.attributes &&
    (one.type === 'directory' || one.mtimeNs === other.mtimeNs)
  );
}
