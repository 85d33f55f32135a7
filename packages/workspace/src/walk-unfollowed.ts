import { closeSync, constants } from 'node:fs';
import { type BytePath, parentOf } from './byte-path.ts';
import { hasDescriptors, inUnfollowed, noFollow, openUnfollowed } from './open-unfollowed.ts';
import type { Pacer } from './pacer.ts';
import { guarded, namesIn } from './scan-directory.ts';

export interface Visitor<Seen> {
  /** Looks at a name. @param at a path of it by which no other can be meant, where the system has one */
  readonly look: (at: BytePath, path: BytePath) => Seen;
  /** Takes what was seen in the order of the walk. Says whether it is a directory, to go on with what is in it. */
  readonly take: (seen: Seen) => boolean;
}

/**
 * Walks over a directory and everything below it. Each directory is opened, found to lie where its path says, and listed and looked into as the
 * open one that it is: whoever puts a symbolic link in its place, or in that of one above it, gets nothing told of what is behind. All names in
 * a directory are looked at when it is listed.
 *
 * @param root real path
 * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` naming what cannot be read, or does not lie there any more
 */
export async function walkUnfollowed<Seen>(root: BytePath, pacer: Pacer, { look, take }: Visitor<Seen>): Promise<void> {
  const waiting: (readonly [BytePath, Seen])[] = [['', guarded(root, '', () => look(root, ''))]];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const [path, seen] = next;
    const isDirectory = take(seen);
    if (pacer.due()) await pacer.rest();
    if (!isDirectory) continue;
    const below = path === '' ? '' : `${path}/`;
    const full = path === '' ? root : `${root}/${path}`;
    const found = guarded(root, path, () =>
      inUnfollowed(full, (opened) =>
        namesIn(opened, '').map((name) => {
          const child = below + name;
          return [child, guarded(root, child, () => look(`${opened}/${name}`, child))] as const;
        }),
      ),
    );
    for (const one of found.toReversed()) waiting.push(one);
  }
}

/** Looks at names one by one as `walkUnfollowed` does. Those that follow each other in one directory cost least. */
export class UnfollowedLook implements Disposable {
  readonly #root: BytePath;
  #open: { readonly directory: BytePath; readonly file: number } | undefined;

  constructor(root: BytePath) {
    this.#root = root;
  }

  /** @throws as `walkUnfollowed` */
  at<Seen>(path: BytePath, look: Visitor<Seen>['look']): Seen {
    const root = this.#root;
    if (path === '') return guarded(root, '', () => look(root, ''));
    const parent = parentOf(path);
    const directory = guarded(root, parent, () => this.#enter(parent === '' ? root : `${root}/${parent}`));
    return guarded(root, path, () => look(`${directory}/${path.slice(path.lastIndexOf('/') + 1)}`, path));
  }

  [Symbol.dispose](): void {
    if (this.#open !== undefined) closeSync(this.#open.file);
    this.#open = undefined;
  }

  #enter(directory: BytePath): BytePath {
    if (this.#open?.directory !== directory) {
      this[Symbol.dispose]();
      this.#open = { directory, file: openUnfollowed(directory, noFollow | constants.O_DIRECTORY) };
    }
    return hasDescriptors ? `/proc/self/fd/${this.#open.file}` : directory;
  }
}
