import { constants, lstatSync, readdirSync, readlinkSync } from 'node:fs';
import { longestPathBytes } from '@opencode-tools/core';
import { type BytePath, toFs } from './byte-path.ts';
import { errnoOf, treeFailure } from './failures.ts';
import { inUnfollowed } from './open-unfollowed.ts';
import type { Pacer } from './pacer.ts';
import { walkUnfollowed } from './walk-unfollowed.ts';

type NodeType = 'file' | 'directory' | 'symlink' | 'other';

/** What tells whether something changed: who owns a file sets all of it but the time of the last change. */
export interface Look {
  /** Of a file. */
  readonly size: number;
  readonly mtimeMs: number;
  readonly ctimeMs: number;
  readonly ino: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** One name found on disk. */
export interface FoundName extends Look {
  readonly path: BytePath;
  readonly type: NodeType;
  readonly mtimeNs: bigint;
  /** Device and inode: equal for hard links of one file. */
  readonly identity: string;
  readonly links: number;
  readonly target: BytePath;
  /** What was read when it looked as it does now: the digest of a file, empty for what is none. */
  readonly digest?: string | undefined;
  /** As of a `TreeEntry`, once they were read. */
  readonly attributes?: string | undefined;
}

/** One name found on disk, as `lstat` describes it. */
export interface DiskNode extends FoundName {
  readonly dev: number;
}

/**
 * Lists a directory of the host and everything below in the order of a walk, without following a symbolic link. What has too long a path is
 * given as `tooDeep`, without what is below it.
 *
 * @param root real path
 * @param tell told of each name while more are looked for
 * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` naming the path that cannot be read
 */
export async function scanDirectory(
  root: BytePath,
  pacer: Pacer,
  tell?: (node: DiskNode) => void,
): Promise<readonly DiskNode[]> {
  const nodes: DiskNode[] = [];
  const longest = longestBelow(root);
  await walkUnfollowed<DiskNode>(root, pacer, {
    look: (at, path) => (path.length > longest ? tooDeep(path) : nodeFrom(at, path)),
    take: (node) => {
      nodes.push(node);
      tell?.(node);
      return node.type === 'directory';
    },
  });
  return nodes;
}

/**
 * Walks over names and everything below them.
 *
 * @param visit called for each name in order; says whether it is a directory, to go on with what is in it
 * @param tops where to begin
 * @param list gives the names in a directory
 */
export async function walk(
  root: BytePath,
  pacer: Pacer,
  visit: (path: BytePath) => boolean,
  tops: readonly BytePath[],
  list: typeof namesIn,
): Promise<void> {
  const waiting = tops.toReversed();
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const isDirectory = visit(path);
    if (pacer.due()) await pacer.rest();
    if (!isDirectory) continue;
    const below = path === '' ? '' : `${path}/`;
    const names = list(root, path);
    for (let index = names.length - 1; index >= 0; index -= 1) waiting.push(`${below}${names[index] ?? ''}`);
  }
}

/**
 * How long a path below a directory may be: `longestPathBytes`, or what the system leaves. What is restored lies a little deeper
 * meanwhile.
 */
export function longestBelow(root: BytePath): number {
  const systemLongest = process.platform === 'linux' ? 4_095 : 1_023;
  return Math.min(longestPathBytes, systemLongest - root.length - restoreRoom);
}

const restoreRoom = 64;

/** What is at a path that is too long to look at, with all below it: none of what a tree holds. */
export function tooDeep(path: BytePath): DiskNode {
  const numbers = { mode: 0, uid: 0, gid: 0, size: 0, mtimeNs: 0n, mtimeMs: 0, ctimeMs: 0, ino: 0, dev: 0, links: 1 };
  return { ...numbers, path, type: 'other', identity: '', target: '' };
}

export function isTooDeep({ type, identity }: FoundName): boolean {
  return type === 'other' && identity === '';
}

/** Describes one path below the root, itself never followed. */
export function nodeAt(root: BytePath, path: BytePath): DiskNode {
  return guarded(root, path, () => nodeFrom(path === '' ? root : `${root}/${path}`, path));
}

/** Describes what is at a place, itself never followed, as a path. @throws what `lstat` throws */
export function nodeFrom(place: BytePath, path: BytePath): DiskNode {
  const full = toFs(place);
  const facts = lstatSync(full, { bigint: true });
  const rawMode = Number(facts.mode);
  return {
    path,
    type: typeOf(rawMode),
    mode: permissionsOf(rawMode),
    uid: Number(facts.uid),
    gid: Number(facts.gid),
    size: typeOf(rawMode) === 'file' ? Number(facts.size) : 0,
    mtimeNs: facts.mtimeNs,
    mtimeMs: millisecondsOf(facts.mtimeNs),
    ctimeMs: millisecondsOf(facts.ctimeNs),
    ino: Number(facts.ino),
    dev: Number(facts.dev),
    identity: `${facts.dev}:${facts.ino}`,
    links: Number(facts.nlink),
    target: targetAt(full, rawMode),
  };
}

/** @throws as `scanDirectory` */
export function guarded<T>(root: BytePath, path: BytePath, look: () => T): T {
  try {
    return look();
  } catch (error) {
    throw treeFailure(path === '' ? root : `${root}/${path}`, error);
  }
}

const typeNames: Readonly<Record<number, NodeType>> = {
  [constants.S_IFREG]: 'file',
  [constants.S_IFDIR]: 'directory',
  [constants.S_IFLNK]: 'symlink',
};

function typeOf(rawMode: number): NodeType {
  return typeNames[rawMode & constants.S_IFMT] ?? 'other';
}

function permissionsOf(rawMode: number): number {
  return (rawMode & constants.S_IFMT) === constants.S_IFLNK ? 0o777 : rawMode & 0o7777;
}

function targetAt(full: string | Buffer, rawMode: number): BytePath {
  return typeOf(rawMode) === 'symlink' ? readlinkSync(full, { encoding: 'latin1' }) : '';
}

/** A time as `lstat` gives it when asked for numbers, rounded in the same way. */
function millisecondsOf(ns: bigint): number {
  const rest = ns % 1_000_000_000n;
  const isBefore = rest < 0n;
  const seconds = Number(ns / 1_000_000_000n) - (isBefore ? 1 : 0);
  return seconds * 1_000 + (Number(rest) + (isBefore ? 1_000_000_000 : 0)) / 1_000_000;
}

export function fullPath(root: BytePath, path: BytePath): string | Buffer {
  return toFs(path === '' ? root : `${root}/${path}`);
}

/** As `nodeAt`, undefined when there is nothing. */
export function findNode(root: BytePath, path: BytePath): DiskNode | undefined {
  try {
    return nodeAt(root, path);
  } catch (error) {
    const errno = errnoOf(error instanceof Error ? error.cause : undefined);
    if (errno === 'ENOENT' || errno === 'ENOTDIR') return undefined;
    throw error;
  }
}

/** Names in a directory in the order of their bytes. */
export function namesIn(root: BytePath, directory: BytePath): readonly string[] {
  return guarded(root, directory, () => readdirSync(fullPath(root, directory), { encoding: 'latin1' }).sort());
}

/** As `namesIn`, for a real path: neither the directory nor one above it is a link. */
export function namesInUnfollowed(root: BytePath, directory: BytePath): readonly string[] {
  const full = directory === '' ? root : `${root}/${directory}`;
  return guarded(root, directory, () => inUnfollowed(full, (opened) => namesIn(opened, '')));
}
