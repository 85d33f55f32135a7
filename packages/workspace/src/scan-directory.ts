import { type Stats, constants, lstatSync, readdirSync, readlinkSync } from 'node:fs';
import { type BytePath, toFs } from './byte-path.ts';
import { errnoOf, treeFailure } from './failures.ts';
import type { Pacer } from './pacer.ts';
import { type Recalled, type StatCache, emptyStatCache } from './stat-cache.ts';
import type { KeptLine, TreeEntry } from './tree-entry.ts';

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

/** One name found on disk, as `lstat` describes it. */
export interface DiskNode extends Look {
  readonly path: BytePath;
  readonly type: NodeType;
  readonly mtimeNs: bigint;
  readonly dev: number;
  /** Device and inode: equal for hard links of one file. */
  readonly identity: string;
  readonly links: number;
  readonly target: BytePath;
  /** What was read when it looked as it does now: the digest of a file, empty for what is none. */
  readonly digest?: string | undefined;
}

/**
 * Lists a directory of the host and everything below in the order of a walk, without following a symbolic link.
 *
 * @param root absolute path
 * @param cache what is known from the last time
 * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` naming the path that cannot be read
 */
export async function scanDirectory(
  root: BytePath,
  pacer: Pacer,
  cache: StatCache = emptyStatCache,
): Promise<readonly DiskNode[]> {
  const nodes: DiskNode[] = [];
  const waiting: BytePath[] = [''];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const node = cache.size === 0 ? nodeAt(root, path) : scanned(root, path, cache);
    nodes.push(node);
    if (pacer.due()) await pacer.rest();
    if (node.type !== 'directory') continue;
    const below = path === '' ? '' : `${path}/`;
    const names = namesIn(root, path);
    for (let index = names.length - 1; index >= 0; index -= 1) waiting.push(`${below}${names[index] ?? ''}`);
  }
  return nodes;
}

/** Times in nanoseconds cost more than the rest, so they are asked for only when the name does not look as it did. */
function scanned(root: BytePath, path: BytePath, cache: StatCache): DiskNode {
  const full = fullPath(root, path);
  try {
    const facts = lstatSync(full);
    const recalled = facts.nlink === 1 || facts.isDirectory() ? cache.recall(path, facts) : undefined;
    if (recalled !== undefined) return new KnownNode(path, facts, recalled, targetAt(full, facts.mode));
  } catch (error) {
    throw treeFailure(path === '' ? root : `${root}/${path}`, error);
  }
  const node = nodeAt(root, path);
  const digest = cache.recall(path, node)?.digest;
  return digest === undefined ? node : { ...node, digest };
}

/** A node whose numbers are good enough: it has no other name. */
class KnownNode implements DiskNode {
  readonly path: BytePath;
  readonly type: NodeType;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly mtimeMs: number;
  readonly ctimeMs: number;
  readonly ino: number;
  readonly dev: number;
  readonly links: number;
  readonly target: BytePath;
  readonly digest: string;
  readonly #recalled: Recalled;

  constructor(path: BytePath, facts: Stats, recalled: Recalled, target: BytePath) {
    this.path = path;
    this.type = typeOf(facts.mode);
    this.mode = permissionsOf(facts.mode);
    this.uid = facts.uid;
    this.gid = facts.gid;
    this.size = this.type === 'file' ? facts.size : 0;
    this.mtimeMs = facts.mtimeMs;
    this.ctimeMs = facts.ctimeMs;
    this.ino = facts.ino;
    this.links = facts.nlink;
    this.target = target;
    this.digest = recalled.digest;
    this.#recalled = recalled;
    this.dev = facts.dev;
  }

  get mtimeNs(): bigint {
    return this.#recalled.mtimeNs;
  }

  get line(): KeptLine {
    return this.#recalled.line;
  }

  get identity(): string {
    return `${this.dev}:${this.ino}`;
  }
}

/** The node as an entry of a tree, when it looks as it did. */
export function asEntry(node: DiskNode): TreeEntry | undefined {
  return node instanceof KnownNode && isEntry(node) ? node : undefined;
}

function isEntry(node: KnownNode): node is KnownNode & TreeEntry {
  return node.type !== 'other' && node.path !== '';
}

/** Describes one path below the root, itself never followed. */
export function nodeAt(root: BytePath, path: BytePath): DiskNode {
  const full = fullPath(root, path);
  try {
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

function fullPath(root: BytePath, path: BytePath): string | Buffer {
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
function namesIn(root: BytePath, directory: BytePath): readonly string[] {
  const full = directory === '' ? root : `${root}/${directory}`;
  try {
    return readdirSync(toFs(full), { encoding: 'latin1' }).sort();
  } catch (error) {
    throw treeFailure(full, error);
  }
}
