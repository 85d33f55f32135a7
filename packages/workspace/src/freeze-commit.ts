import { type ByteStream, OpencodeToolsError } from '@opencode-tools/core';
import { smallFileBytes } from './blob-reader.ts';
import { ByteSource } from './byte-source.ts';
import { type BytePath, canonicalPath } from './byte-path.ts';
import { storeSmall } from './store-contents.ts';
import { storeContent } from './freeze-volume.ts';
import { createPacer } from './pacer.ts';
import type { Collect } from './store-parts.ts';
import type { TreeEntry } from './tree-entry.ts';

/** One path of a commit. */
export interface ListedPath {
  readonly path: BytePath;
  readonly mode: number;
  readonly type: string;
  readonly object: string;
}

/** What `git cat-file --batch` is asked for a commit and the paths in it. */
export function objectsToRead(commit: string, paths: readonly ListedPath[]): Buffer {
  const wanted = paths.filter(({ type }) => type === 'blob');
  return Buffer.from([commit, ...wanted.map(({ object }) => object), ''].join('\n'), 'latin1');
}

/**
 * Reads a commit into a pack as git has it, which is what a checkout writes where no attributes say otherwise. All is as old as the
 * commit.
 *
 * @param paths as `listedPaths` gives them
 * @param objects what git answers to `objectsToRead`
 * @returns entries in no particular order, without the top directory
 */
export async function freezeCommit(
  paths: readonly ListedPath[],
  objects: ByteStream,
  store: Parameters<Collect>[0],
  options: {
    readonly owner: { readonly uid: number; readonly gid: number };
    readonly signal?: AbortSignal | undefined;
  },
): Promise<readonly TreeEntry[]> {
  const { uid, gid } = options.owner;
  const pacer = createPacer(options.signal);
  const source = new ByteSource(objects);
  try {
    const mtimeNs = timeOf(await wholeObject(source, sizeIn(await source.line())));
    const entries: TreeEntry[] = [];
    for (const { path, mode, type } of paths) {
      const base = { path: canonicalPath(path), uid, gid, mtimeNs, size: 0, digest: '', target: '' };
      if (type === 'tree') entries.push({ ...base, type: 'directory', mode: 0o755 });
      if (type !== 'blob') continue;
      // Nearly all is at hand when its turn comes: waiting for each would cost more than reading it.
      const size = sizeIn(source.lineAtHand() ?? (await source.line()));
      if ((mode & kinds) === symbolicLink) {
        const target = (await wholeObject(source, size)).toString('latin1');
        entries.push({ ...base, type: 'symlink', mode: 0o777, target });
      } else {
        const permissions = (mode & 0o100) === 0 ? 0o644 : 0o755;
        const small = size <= smallFileBytes ? source.takeAtHand(size + 1) : undefined;
        const stored =
          small === undefined ? await storeObject(source, size, store) : storeSmall(contentOf(small, size), store);
        entries.push({ ...base, type: 'file', mode: permissions, ...stored });
      }
      if (pacer.due()) await pacer.rest();
    }
    // Git says at its end whether it could read all.
    await source.line();
    return entries;
  } finally {
    await source.close();
  }
}

const lineFeed = 0x0a;
const kinds = 0o170_000;
const symbolicLink = 0o120_000;

/** What is in a commit, of what `listTree` says. */
export function listedPaths(tree: Buffer): readonly ListedPath[] {
  const lines = tree.toString('latin1').split('\0');
  lines.pop();
  return lines.map((line) => {
    const tab = line.indexOf('\t');
    const object = line.lastIndexOf(' ', tab) + 1;
    return {
      path: line.slice(tab + 1),
      mode: Number.parseInt(line, 8),
      type: line.slice(line.indexOf(' ') + 1, object - 1),
      object: line.slice(object, tab),
    };
  });
}

/** An object is a line `id type size`, its content, and a line feed. */
function sizeIn(said = 'nothing more'): number {
  const size = Number(/^[0-9a-f]+ (?:blob|commit) (\d+)$/.exec(said)?.[1] ?? Number.NaN);
  if (!Number.isSafeInteger(size)) throw unreadable(said);
  return size;
}

async function wholeObject(source: ByteSource, size: number): Promise<Buffer> {
  return contentOf(await source.take(size + 1), size);
}

function contentOf(bytes: Buffer, size: number): Buffer {
  if (bytes.length <= size || bytes[size] !== lineFeed) throw unreadable('an object ended early');
  return bytes.subarray(0, size);
}

async function storeObject(source: ByteSource, size: number, store: Parameters<Collect>[0]) {
  if (size <= smallFileBytes) return storeSmall(await wholeObject(source, size), store);
  const cut = () => unreadable('an object ended early');
  const stored = await storeContent(size, source.content(size, cut), store);
  await wholeObject(source, 0);
  return stored;
}

/** Nanoseconds since 1970 of a commit; 0 where it says nothing that git takes for a time. */
function timeOf(commit: Buffer): bigint {
  const seconds = /^committer .*> (\d+) /m.exec(commit.toString('latin1'))?.[1];
  return BigInt(seconds ?? 0) * 1_000_000_000n;
}

function unreadable(said: string): OpencodeToolsError {
  return new OpencodeToolsError('OCT_INVALID_ARGUMENT', `git cannot read what the commit has: ${said}`, {
    remedy: 'Check the repository with `git fsck`.',
  });
}
