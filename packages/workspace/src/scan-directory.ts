import { lstatSync, readdirSync, readlinkSync } from 'node:fs';
import { type BytePath, toFs } from './byte-path.ts';
import { errnoOf, treeFailure } from './failures.ts';
import type { Pacer } from './pacer.ts';

type NodeType = 'file' | 'directory' | 'symlink' | 'other';

/** One name found on disk, as `lstat` describes it. */
export interface DiskNode {
  readonly path: BytePath;
  readonly type: NodeType;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly mtimeNs: bigint;
  /** Device and inode: equal for hard links of one file. */
  readonly identity: string;
  readonly links: number;
  /** Changes whenever the content may have changed. */
  readonly signature: string;
  readonly changedNs: bigint;
  readonly target: BytePath;
}

/**
 * Lists a directory of the host and everything below in the order of a walk, without following a symbolic link.
 *
 * @param root absolute path
 * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` naming the path that cannot be read
 */
export async function scanDirectory(root: BytePath, pacer: Pacer): Promise<readonly DiskNode[]> {
  const nodes: DiskNode[] = [];
  const waiting: BytePath[] = [''];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const node = nodeAt(root, path);
    nodes.push(node);
    if (pacer.due()) await pacer.rest();
    if (node.type !== 'directory') continue;
    const below = path === '' ? '' : `${path}/`;
    const names = namesIn(root, path);
    for (let index = names.length - 1; index >= 0; index -= 1) waiting.push(`${below}${names[index] ?? ''}`);
  }
  return nodes;
}

/** Describes one path below the root, itself never followed. */
export function nodeAt(root: BytePath, path: BytePath): DiskNode {
  const full = path === '' ? root : `${root}/${path}`;
  try {
    const facts = lstatSync(toFs(full), { bigint: true });
    const type = facts.isFile()
      ? 'file'
      : facts.isDirectory()
        ? 'directory'
        : facts.isSymbolicLink()
          ? 'symlink'
          : 'other';
    return {
      path,
      type,
      mode: type === 'symlink' ? 0o777 : Number(facts.mode) & 0o7777,
      uid: Number(facts.uid),
      gid: Number(facts.gid),
      size: Number(facts.size),
      mtimeNs: facts.mtimeNs,
      identity: `${facts.dev}:${facts.ino}`,
      links: Number(facts.nlink),
      signature: `${facts.size}:${facts.mtimeNs}:${facts.ctimeNs}:${facts.ino}`,
      changedNs: facts.mtimeNs > facts.ctimeNs ? facts.mtimeNs : facts.ctimeNs,
      target: type === 'symlink' ? readlinkSync(toFs(full), { encoding: 'latin1' }) : '',
    };
  } catch (error) {
    throw treeFailure(full, error);
  }
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
