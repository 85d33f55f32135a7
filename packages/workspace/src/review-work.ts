import { type ChangedFile, type WorkReview, findTripwires, meaningfulText } from '@opencode-tools/core';
import type { BlobReader } from './blob-reader.ts';
import { type BytePath, toBytePath, toText } from './byte-path.ts';
import { type ChangeMarks, type MarkingTrees, type UnmarkedChange, markChanges } from './mark-changes.ts';
import type { TreeEntry } from './tree-entry.ts';

export const mostTextBytes = 1024 ** 2;

/** What stands at the top under this name is not the work's. */
export const ownRepository = '.git';

/** One path that the work changed; undefined where there is nothing. */
export interface WorkChange {
  readonly path: BytePath;
  readonly before: TreeEntry | undefined;
  readonly after: TreeEntry | undefined;
  /** What stood there after work was brought in last; absent when it never was. */
  readonly last?: { readonly entry: TreeEntry | undefined };
  readonly marks?: ChangeMarks;
}

/** Lists what differs in content, kind, link target or executable bit. Directories count only where they come or go. */
export function workChanges(from: readonly TreeEntry[], to: readonly TreeEntry[]): readonly WorkChange[] {
  const before = new Map(from.map((entry) => [entry.path, entry]));
  const after = new Map(to.map((entry) => [entry.path, entry]));
  const paths = [...new Set([...before.keys(), ...after.keys()])].sort();
  const changes = paths.flatMap((path) => {
    if (path === '' || path === ownRepository || path.startsWith(`${ownRepository}/`)) return [];
    const change = { path, before: before.get(path), after: after.get(path) };
    return isSame(change.before, change.after) ? [] : [change];
  });
  const trees: MarkingTrees = {
    stands: (path) => after.has(toBytePath(path)),
    executables: () => new Set(from.flatMap((entry) => (isExecutable(entry) ? [entry.digest] : []))),
  };
  const marks = markChanges(changes.map(unmarked), trees);
  return changes.map((change, at) => ({ ...change, marks: marks[at] ?? {} }));
}

function unmarked({ path, before, after }: WorkChange): UnmarkedChange {
  const becomes = after !== undefined && isExecutable(after) && (before === undefined || !isExecutable(before));
  const change = before === undefined ? 'added' : after === undefined ? 'deleted' : 'modified';
  return { path: toText(path), change, executable: becomes ? after.digest : undefined };
}

function isExecutable(entry: TreeEntry): boolean {
  return kindOf(entry) === 'file' && (entry.mode & 0o100) !== 0;
}

/** Adds to the changes since the work started those since it was brought in last, which may undo something of that. */
export function withLast(changes: readonly WorkChange[], sinceLast: readonly WorkChange[]): readonly WorkChange[] {
  const since = new Map(sinceLast.map((change) => [change.path, change]));
  const all = new Map([...sinceLast, ...changes].map((change) => [change.path, change]));
  const paths = [...all.keys()].sort();
  return paths.flatMap((path) => {
    const change = all.get(path);
    const then = since.get(path);
    return change === undefined
      ? []
      : [{ ...change, last: { entry: then === undefined ? change.after : then.before } }];
  });
}

export function isSame(one: TreeEntry | undefined, other: TreeEntry | undefined): boolean {
  if (one === undefined || other === undefined) return one === other;
  const [kind, otherKind] = [kindOf(one), kindOf(other)];
  if (kind !== otherKind) return false;
  if (kind === 'symlink') return one.target === other.target;
  if (kind === 'directory') return true;
  return one.digest === other.digest && modeOf(one) === modeOf(other);
}

/** A hard link is a file like any other to whoever looks at one path. */
export function kindOf({ type }: Pick<TreeEntry, 'type'>): ChangedFile['type'] {
  return type === 'link' ? 'file' : type;
}

/** What git would keep of a mode, and the bits that nobody should get. */
function modeOf({ mode }: Pick<TreeEntry, 'mode'>): number {
  return (mode & 0o7000) | ((mode & 0o100) === 0 ? 0o644 : 0o755);
}

export function reviewWork(changes: readonly WorkChange[], blobs: BlobReader): WorkReview {
  const text = (entry: TreeEntry): string | null =>
    entry.size <= mostTextBytes ? blobs.read(entry).toString('utf8') : null;
  const files = changes.map((change) => describeChange(change, text));
  return {
    changes: files.map(({ path, change }) => ({ path, change })),
    tripwires: findTripwires(files),
  };
}

/** What of an entry counts for tripwires, wherever it was found. */
export type ChangeSide = Pick<TreeEntry, 'type' | 'mode' | 'target'>;

/**
 * Puts a change as tripwires look at it.
 *
 * @param textOf asked for regular files whose meaning depends on their text
 */
export function describeChange<T extends ChangeSide>(
  {
    path,
    before,
    after,
    marks,
  }: {
    readonly path: BytePath;
    readonly before: T | undefined;
    readonly after: T | undefined;
    readonly marks?: ChangeMarks | undefined;
  },
  textOf: (side: T) => string | null,
): ChangedFile {
  const shown = toText(path);
  const entry = after ?? before;
  const meaningful = meaningfulText.test(shown);
  const text = (one: T | undefined): string | null =>
    one !== undefined && meaningful && kindOf(one) === 'file' ? textOf(one) : null;
  const mode = (one: T | undefined): number | null =>
    one === undefined || kindOf(one) !== 'file' ? null : modeOf(one);
  return {
    path: shown,
    change: before === undefined ? 'added' : after === undefined ? 'deleted' : 'modified',
    type: entry === undefined ? 'file' : kindOf(entry),
    modes: [mode(before), mode(after)],
    target: after?.type === 'symlink' ? toText(after.target) : '',
    texts: [text(before), text(after)],
    ...marks,
  };
}
