import type { Worker } from 'node:worker_threads';
import { lstatSync } from 'node:fs';
import { type BytePath, parentOf } from './byte-path.ts';
import { type KnownLines, addKnown } from './known-lines.ts';
import { type SharedLook, type WalkShare, lookAhead } from './look-ahead.ts';
import type { Pacer } from './pacer.ts';
import {
  type DiskNode,
  type Look,
  fullPath,
  guarded,
  namesIn,
  longestBelow,
  nodeFrom,
  scanDirectory,
  tooDeep,
  walk,
} from './scan-directory.ts';
import type { StatCache } from './stat-cache.ts';
import { changed } from './store-contents.ts';
import { startThread, threadsAtOnce } from './thread.ts';
import { UnfollowedLook } from './walk-unfollowed.ts';

/** What a thread takes to start pays from about here on. */
const manyNames = 20_000;
/** So many shares, for what is left at the end is not divided any more. */
const shareCount = 48;
const mostNames = 1_000;
const columns = 8;
const [typeMask, directoryType] = [0o170000, 0o040000];

type Found = DiskNode | KnownLines;
type Facts = Look & { readonly nlink: number };

/**
 * As `scanDirectory`; names that look as they did the last time, and have no other name, are given as what is known of them. The top
 * is always looked at. A second thread looks at half of a large directory.
 *
 * What is known was seen before, so nothing is told by finding it again, whatever is meant by its path now: only the rest is looked at in an
 * open directory that lies where its path says.
 *
 * @param cache what is known from the last time
 * @param tell told of each name that does not look as it did, while more are looked for
 * @param many from so many known names on there are two
 */
export async function scanKnown(
  root: BytePath,
  pacer: Pacer,
  cache: StatCache,
  tell?: (node: DiskNode) => void,
  many = manyNames,
): Promise<readonly Found[]> {
  if (cache.size === 0) return scanDirectory(root, pacer, tell);
  const found: Found[] = [];
  using unfollowed = new UnfollowedLook(root);
  const see = (path: BytePath, facts: Facts): boolean => {
    const known = path !== '' && (facts.nlink === 1 || isDirectory(facts)) ? cache.recall(path, facts) : undefined;
    if (known !== undefined) {
      addKnown(found, cache, known);
      return isDirectory(facts);
    }
    // Times in nanoseconds cost more than the rest, so they are asked for only when the name does not look as it did.
    const node = unfollowed.at(path, nodeFrom);
    const again = cache.recall(path, node);
    if (again === undefined) tell?.(node);
    found.push(again === undefined ? node : { ...node, ...cache.readAt(again) });
    return node.type === 'directory';
  };
  const longest = longestBelow(root);
  const lookAt = (path: BytePath): boolean => {
    if (path.length <= longest)
      return see(
        path,
        guarded(root, path, () => lstatSync(fullPath(root, path))),
      );
    found.push(tooDeep(path));
    return false;
  };
  if (cache.size < many || threadsAtOnce() < 2) await walk(root, pacer, lookAt, [''], namesIn);
  else await walkInTwo(root, pacer, cache, lookAt, see, longest);
  return found;
}

async function walkInTwo(
  root: BytePath,
  pacer: Pacer,
  cache: StatCache,
  lookAt: (path: BytePath) => boolean,
  see: (path: BytePath, facts: Facts) => boolean,
  longest: number,
): Promise<void> {
  const shares = divide(root, cache);
  const taken = new Int32Array(new SharedArrayBuffer(4));
  const thread = startThread(lookAhead, { root, shares, taken });
  const walkShare = ({ alone, whole }: WalkShare): Promise<void> => {
    for (const path of alone) lookAt(path);
    return walk(root, pacer, lookAt, whole, namesIn);
  };
  try {
    const ahead = messageOf(thread);
    let next = 0;
    for (; Atomics.add(taken, 0, 1) < shares.length; next += 1) await walkShare(shares[next] ?? none);
    const looks = new Map((await ahead).map((look) => [look.share, look]));
    for (const [at, share] of shares.entries()) {
      if (at < next) continue;
      const look = looks.get(at);
      if (look === undefined) await walkShare(share);
      else
        for (const [path, facts] of namesOf(look)) {
          if (path.length > longest) {
            if (parentOf(path).length <= longest) lookAt(path);
            continue;
          }
          // What is below it was listed, or was not.
          if (see(path, facts) !== isDirectory(facts)) throw changed(`${root}/${path}`);
        }
      await pacer.rest();
    }
  } finally {
    await thread.terminate();
  }
}

const none: WalkShare = { alone: [], whole: [] };

function isDirectory({ mode }: Facts): boolean {
  return (mode & typeMask) === directoryType;
}

/** Nothing where the thread failed: then this one looks at everything. */
function messageOf(thread: Worker): Promise<readonly SharedLook[]> {
  return new Promise((resolve) => {
    thread.once('message', resolve);
    thread.once('error', () => resolve([]));
    thread.once('exit', () => resolve([]));
  });
}

function* namesOf({ paths, facts }: SharedLook): Generator<readonly [BytePath, Facts]> {
  for (const [number, path] of paths.split('\0').entries()) {
    const [size = 0, mtimeMs = 0, ctimeMs = 0, ino = 0, mode = 0, uid = 0, gid = 0, nlink = 0] = facts.subarray(
      number * columns,
      (number + 1) * columns,
    );
    yield [path, { size, mtimeMs, ctimeMs, ino, mode, uid, gid, nlink }];
  }
}

/** Names in what is a directory. What it cannot tell is told by the walk, which looks again. */
function listed(root: BytePath, path: BytePath): readonly string[] | undefined {
  try {
    return lstatSync(fullPath(root, path)).isDirectory() ? namesIn(root, path) : undefined;
  } catch {
    return undefined;
  }
}

/** Divides a walk by what is known of the directory: a share has about as many names as another. */
function divide(root: BytePath, cache: StatCache): readonly WalkShare[] {
  const most = cache.size / shareCount;
  const shares: { alone: BytePath[]; whole: BytePath[] }[] = [{ alone: [], whole: [] }];
  let weight = 0;
  const open = (): { alone: BytePath[]; whole: BytePath[] } => {
    const share = { alone: [], whole: [] };
    shares.push(share);
    weight = 0;
    return share;
  };
  const add = (path: BytePath, [from, to]: readonly [number, number]): void => {
    let share = shares.at(-1) ?? open();
    const names = to - from > most ? listed(root, path) : undefined;
    if (names !== undefined) {
      if (share.whole.length > 0) share = open();
      share.alone.push(path);
      let at = from;
      for (const name of names) {
        const child = path === '' ? name : `${path}/${name}`;
        const range = cache.rangeOf(child, at);
        at = range[1];
        add(child, range);
      }
      return;
    }
    if (weight + to - from > most || share.whole.length >= mostNames) share = open();
    share.whole.push(path);
    weight += to - from;
  };
  add('', [0, cache.size]);
  return shares;
}
