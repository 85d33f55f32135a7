import { type BytePath, parentOf } from './byte-path.ts';
import type { FileShape } from './file-shape.ts';
import { findNode } from './scan-directory.ts';

/** One change of one name. Each is done at once or not at all, and can be seen afterwards to have been done. */
export type WorkStep =
  /** A file or link goes aside, under its number. */
  | { readonly does: 'take'; readonly path: BytePath; readonly shape: FileShape; readonly number: number }
  /** A file that was made ready under its number gets its name, or a link is made. */
  | { readonly does: 'put'; readonly path: BytePath; readonly shape: FileShape; readonly number: number }
  | { readonly does: 'make-directory'; readonly path: BytePath }
  /** With `ifEmpty`, a directory in which the user has files stays. */
  | { readonly does: 'remove-directory'; readonly path: BytePath; readonly mode: number; readonly ifEmpty: boolean };

export type Content = 'directory' | FileShape | undefined;

/** What a path is and what it is to be. */
export interface PathChange {
  readonly path: BytePath;
  readonly from: Content;
  readonly to: Content;
}

/**
 * Puts changes into steps: what goes away first, what is inside before the directory; then the rest, a directory before what is
 * inside. Parents that are missing are made.
 *
 * @param changes sorted by path
 */
export function planSteps(root: BytePath, changes: readonly PathChange[]): readonly WorkStep[] {
  const numbered = changes.map((change, number) => ({ ...change, number }));
  const made = new Set<BytePath>();
  const goes = numbered.filter(({ to }) => to === undefined).toReversed();
  const gone = new Set(goes.map(({ path }) => path));
  const comes = numbered.filter(({ to }) => to !== undefined);
  return [
    ...goes.flatMap((change) => leave(root, change, true)),
    ...comes.flatMap((change) => [
      ...makeParents(root, parentOf(change.path), { made, gone }),
      ...leave(root, change, false),
      ...arrive(change, made),
    ]),
  ];
}

type Numbered = PathChange & { readonly number: number };

function leave(root: BytePath, { path, from, number }: Numbered, ifEmpty: boolean): readonly WorkStep[] {
  if (from === undefined) return [];
  if (from !== 'directory') return [{ does: 'take', path, shape: from, number }];
  return [{ does: 'remove-directory', path, mode: findNode(root, path)?.mode ?? 0o755, ifEmpty }];
}

function arrive({ path, to, number }: Numbered, made: Set<BytePath>): readonly WorkStep[] {
  if (to === undefined) return [];
  if (to !== 'directory') return [{ does: 'put', path, shape: to, number }];
  made.add(path);
  return [{ does: 'make-directory', path }];
}

interface Ahead {
  readonly made: Set<BytePath>;
  readonly gone: ReadonlySet<BytePath>;
}

function makeParents(root: BytePath, directory: BytePath, ahead: Ahead): readonly WorkStep[] {
  if (directory === '' || ahead.made.has(directory)) return [];
  const stands = findNode(root, directory)?.type === 'directory' && !ahead.gone.has(directory);
  if (stands) return [];
  const above = makeParents(root, parentOf(directory), ahead);
  ahead.made.add(directory);
  return [...above, { does: 'make-directory', path: directory }];
}
