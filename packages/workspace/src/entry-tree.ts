import { type BytePath, parentOf } from './byte-path.ts';
import type { TreeEntry } from './tree-entry.ts';

/** Entries by path. Of a directory it knows what is below, so that many go without a look at all others for each. */
export class EntryTree {
  readonly #entries: Map<BytePath, TreeEntry>;
  /** What lies in each directory, from when somebody first asks. */
  #inside: Map<BytePath, Set<BytePath>> | undefined;

  constructor(entries: readonly TreeEntry[]) {
    this.#entries = new Map(entries.map((entry) => [entry.path, entry]));
  }

  get entries(): ReadonlyMap<BytePath, TreeEntry> {
    return this.#entries;
  }

  set(path: BytePath, entry: TreeEntry): void {
    this.#entries.set(path, entry);
    if (this.#inside !== undefined) addTo(this.#inside, path);
  }

  delete(path: BytePath): void {
    this.#entries.delete(path);
    this.#inside?.get(parentOf(path))?.delete(path);
  }

  /** A path with all below it; nothing where nothing is. */
  subtree(path: BytePath): readonly BytePath[] {
    const entry = this.#entries.get(path);
    if (entry?.type !== 'directory') return entry === undefined ? [] : [path];
    this.#inside ??= insideOf(this.#entries.keys());
    const found = [path];
    for (const one of found) for (const inner of this.#inside.get(one) ?? []) found.push(inner);
    return found;
  }
}

function insideOf(paths: Iterable<BytePath>): Map<BytePath, Set<BytePath>> {
  const inside = new Map<BytePath, Set<BytePath>>();
  for (const path of paths) addTo(inside, path);
  return inside;
}

function addTo(inside: Map<BytePath, Set<BytePath>>, path: BytePath): void {
  if (path === '') return;
  const directory = parentOf(path);
  const names = inside.get(directory);
  if (names === undefined) inside.set(directory, new Set([path]));
  else names.add(path);
}
