import type { BytePath } from './byte-path.ts';
import { type KnownLines, type TreePart, isKnown } from './known-lines.ts';
import type { FoundName } from './scan-directory.ts';
import type { StatCache } from './stat-cache.ts';
import type { TreeEntry } from './tree-entry.ts';

/** A tree and what is on disk, without what they have in common. */
export interface Unequal {
  readonly entries: readonly TreeEntry[];
  readonly names: readonly FoundName[];
  /** What was left out and has the path. */
  readonly equal: (path: BytePath) => TreeEntry | undefined;
}

/** Leaves out what a tree has as the last scan found it, and what is still found so. */
export function leaveOutEqual(
  tree: readonly TreePart[],
  found: readonly (FoundName | KnownLines)[],
  cache: StatCache,
): Unequal {
  // Where there are sockets, pipes and devices, it matters which directories stay.
  const isPlain = !found.some(({ type }) => type === 'other');
  const [wanted, present] = [marked(isPlain ? tree : [], cache), marked(isPlain ? found : [], cache)];
  const isEqual = (index: number): boolean => wanted[index] === 1 && present[index] === 1;
  return {
    entries: tree.flatMap((part) => (isKnown(part) ? unequal(part, isEqual, (at) => cache.entryAt(at)) : [part])),
    names: found.flatMap((one) => (isKnown(one) ? unequal(one, isEqual, (at) => cache.nameAt(at)) : [one])),
    equal: (path) => {
      const index = cache.find(path);
      return index !== undefined && isEqual(index) ? cache.entryAt(index) : undefined;
    },
  };
}

function marked(parts: readonly { readonly type: string }[], { size }: StatCache): Uint8Array {
  const marks = new Uint8Array(size);
  for (const part of parts) if (isKnown(part)) marks.fill(1, part.from, part.to);
  return marks;
}

function unequal<T>(
  { from, to }: KnownLines,
  isEqual: (index: number) => boolean,
  at: (index: number) => T,
): readonly T[] {
  const some: T[] = [];
  for (let index = from; index < to; index += 1) if (!isEqual(index)) some.push(at(index));
  return some;
}
