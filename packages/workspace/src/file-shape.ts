import { createHash } from 'node:crypto';
import { closeSync, fstatSync, readSync } from 'node:fs';
import type { BytePath } from './byte-path.ts';
import { openUnfollowed } from './open-unfollowed.ts';
import { kindOf } from './review-work.ts';
import { type DiskNode, findNode } from './scan-directory.ts';
import type { TreeEntry } from './tree-entry.ts';

const chunkBytes = 1024 ** 2;

/** What counts of a file or a symbolic link when work is brought to somebody. */
export interface FileShape {
  readonly type: 'file' | 'symlink';
  readonly size: number;
  readonly executable: boolean;
  /** SHA-256 of a file; empty for a link. */
  readonly digest: string;
  /** Of a link; empty for a file. */
  readonly target: BytePath;
}

export function shapeOf(entry: TreeEntry): FileShape {
  const isLink = kindOf(entry) === 'symlink';
  const { size, digest, target, mode } = entry;
  return isLink
    ? { type: 'symlink', size: 0, executable: false, digest: '', target }
    : { type: 'file', size, executable: (mode & 0o100) !== 0, digest, target: '' };
}

/** The shape of what is at a path; undefined for nothing, a directory, or what is neither. */
export function findShape(root: BytePath, path: BytePath): FileShape | undefined {
  const node = findNode(root, path);
  if (node?.type === 'symlink') return { type: 'symlink', size: 0, executable: false, digest: '', target: node.target };
  return node?.type === 'file' ? { ...plain(node), digest: digestAt(`${root}/${path}`) } : undefined;
}

/** Compares cheap facts first: content is only read when all else is equal. */
export function hasShape(root: BytePath, path: BytePath, shape: FileShape): boolean {
  const node = findNode(root, path);
  if (node?.type !== shape.type) return false;
  if (node.type === 'symlink') return node.target === shape.target;
  const { size, executable } = plain(node);
  return size === shape.size && executable === shape.executable && digestAt(`${root}/${path}`) === shape.digest;
}

function plain(node: DiskNode): Omit<FileShape, 'digest'> {
  return { type: 'file', size: node.size, executable: (node.mode & 0o100) !== 0, target: '' };
}

function digestAt(path: BytePath): string {
  const file = openUnfollowed(path);
  try {
    if (!fstatSync(file).isFile()) return '';
    const sum = createHash('sha256');
    const buffer = Buffer.allocUnsafe(chunkBytes);
    for (let length = readSync(file, buffer); length > 0; length = readSync(file, buffer))
      sum.update(buffer.subarray(0, length));
    return sum.digest('hex');
  } finally {
    closeSync(file);
  }
}
