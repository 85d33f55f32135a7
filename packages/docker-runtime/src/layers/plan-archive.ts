import type { LayerRoot } from '@opencode-tools/core';
import type { DirectoryMarks, ListingChange, UpperEntry } from './upper-listing.ts';

/**
 * How an upper is archived. `add` puts a layer with the changes on top of what was archived from it before; `whole` copies all
 * of it, for stacking on its lowers; `merged` copies the tree as it is seen, for standing alone.
 */
export type ArchivePlan =
  | { readonly kind: 'same' | 'whole' | 'merged' }
  | {
      readonly kind: 'add';
      /** Names to copy as they are, directories without what is in them. */
      readonly copy: readonly string[];
      /** Directories that stay, with all above what changed: they get the attributes they have now. */
      readonly attributes: readonly string[];
      /** Names to mark as removed. */
      readonly gone: readonly string[];
    };

/** Decides for an upper that was not archived before. @param began what its top directory was when it was made */
export function planFirst(entries: readonly UpperEntry[], began: LayerRoot | null): ArchivePlan {
  if (entries.some(({ part }) => part === 'i')) return { kind: 'merged' };
  const attributes = entries.find(({ part }) => part === 'x')?.inode;
  const tree = entries.filter(({ part }) => part === 'd');
  const [root, ...rest] = tree.toSorted((one, other) => one.path.length - other.path.length);
  const isSame = root !== undefined && began !== null && isSameRoot(root, attributes, began);
  const unchanged = rest.length === 0 && isSame;
  return { kind: unchanged ? 'same' : 'whole' };
}

/**
 * Decides from what changed since the last archive. Whatever cannot be said by a layer on top of that one is said by a copy of
 * the whole upper. Hard links that were copied up have other names that are in no layer, only in the index: where there are
 * any, the tree is copied as it is seen.
 *
 * @param marks of all directories that are new or changed
 */
export function planNext(
  change: ListingChange,
  marks: ReadonlyMap<string, DirectoryMarks>,
  indexed: boolean,
): ArchivePlan {
  if (onlyRootTouched(change)) return { kind: 'same' };
  const whole = { kind: indexed ? 'merged' : 'whole' } as const;
  if ([...change.before, ...change.after].some(({ part }) => part === 'i')) return { kind: 'merged' };
  const before = byPath(change.before);
  const after = byPath(change.after);
  const fresh = new Set<string>();
  for (const [path, mark] of marks) {
    const [old, now] = [before.get(path), after.get(path)];
    if (isSameDirectory(old, now)) {
      // Where no birth is known, another directory may have the number of the one that was there: then it has a mark.
      if (!isBirthKnown(now) && (mark.opaque || mark.redirected)) return whole;
      continue;
    }
    // What is in a directory that took another's place may be the same as before, and then is not among the changes.
    if (old?.type === 'd' || mark.redirected) return whole;
    fresh.add(path);
  }
  return planAddition(before, after, fresh) ?? whole;
}

function planAddition(
  before: ReadonlyMap<string, UpperEntry>,
  after: ReadonlyMap<string, UpperEntry>,
  fresh: ReadonlySet<string>,
): ArchivePlan | undefined {
  const staying = [...after].filter(([path, { type }]) => type === 'd' && !fresh.has(path)).map(([path]) => path);
  const copy = [...after.keys()].filter((path) => fresh.has(path) || after.get(path)?.type !== 'd');
  const gone: string[] = [];
  for (const [path, { type }] of before) {
    if (after.has(path) || isWithin(path, before, after)) continue;
    // What was hidden is seen again, which no layer on top can say.
    if (type === 'c') return undefined;
    gone.push(path);
  }
  const above = [...staying, ...copy, ...gone].flatMap(ancestors).filter((path) => !fresh.has(path));
  const attributes = [...new Set(['', ...staying, ...above])];
  return { kind: 'add', copy: copy.toSorted(byBytes), attributes: attributes.toSorted(byBytes), gone };
}

function ancestors(path: string): readonly string[] {
  const found: string[] = [];
  for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) found.push(path.slice(0, at));
  return found;
}

/** True when a directory above is gone or another one now: what was in it went with it. */
function isWithin(
  path: string,
  before: ReadonlyMap<string, UpperEntry>,
  after: ReadonlyMap<string, UpperEntry>,
): boolean {
  return ancestors(path).some((above) => {
    const old = before.get(above);
    return old !== undefined && !isSameDirectory(old, after.get(above));
  });
}

/** The kernel notes things on the top directory of an upper whenever it is mounted. */
function onlyRootTouched({ before, after }: ListingChange): boolean {
  if (before.length === 0 && after.length === 0) return true;
  const [old, now] = [before[0], after[0]];
  if (before.length !== 1 || after.length !== 1 || old === undefined || now === undefined) return false;
  const facts = ({ part, path, inode, mode, uid, gid, modifiedAt }: UpperEntry): string =>
    [part, path, inode, mode, uid, gid, modifiedAt].join(' ');
  return now.path === '' && facts(old) === facts(now);
}

/** File systems give the number of a directory that was removed to the next one: it is another if it was born later. */
function isSameDirectory(old: UpperEntry | undefined, now: UpperEntry | undefined): boolean {
  return old?.type === 'd' && now?.type === 'd' && old.inode === now.inode && old.bornAt === now.bornAt;
}

function isBirthKnown(entry: UpperEntry | undefined): boolean {
  return Number(entry?.bornAt) > 0;
}

function isSameRoot(entry: UpperEntry, attributes: string | undefined, root: LayerRoot): boolean {
  const isOwned = Number(entry.uid) === root.uid && Number(entry.gid) === root.gid;
  return isOwned && Number.parseInt(entry.mode, 8) === root.mode && attributes === root.attributes;
}

function byPath(entries: readonly UpperEntry[]): ReadonlyMap<string, UpperEntry> {
  return new Map(entries.filter(({ part }) => part === 'd').map((entry) => [entry.path, entry]));
}

function byBytes(one: string, other: string): number {
  return one < other ? -1 : 1;
}
