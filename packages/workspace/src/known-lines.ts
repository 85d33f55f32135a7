import type { StatCache } from './stat-cache.ts';
import type { TreeEntry } from './tree-entry.ts';

/** Names that follow each other in what the last scan learned, and are as they were. */
export interface KnownLines {
  readonly type: 'known';
  readonly cache: StatCache;
  readonly from: number;
  /** The one after the last; it grows while parts are gathered. */
  to: number;
}

/** A part of a tree whose parts are in the order of a walk. */
export type TreePart = TreeEntry | KnownLines;

/** Adds a name to parts: to the known ones before it where they end with the one before. */
export function addKnown(
  parts: { push: (part: KnownLines) => unknown; at: (index: number) => { readonly type: string } | undefined },
  cache: StatCache,
  from: number,
  to = from + 1,
): void {
  const last = parts.at(-1);
  if (last !== undefined && isKnown(last) && last.to === from) last.to = to;
  else parts.push({ type: 'known', cache, from, to });
}

export function isKnown(part: { readonly type: string }): part is KnownLines {
  return part.type === 'known';
}

/** The entries of parts one by one. */
export function entriesOf(tree: readonly TreePart[]): readonly TreeEntry[] {
  return tree.flatMap((part) => {
    if (!isKnown(part)) return [part];
    return Array.from({ length: part.to - part.from }, (_, at) => part.cache.entryAt(part.from + at));
  });
}
