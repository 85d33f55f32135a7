import { type FileHandle, open, realpath } from 'node:fs/promises';
import { toBytePath, toFs, toText } from './byte-path.ts';
import { invalid, treeFailure } from './failures.ts';
import { liesAt, movedAway, noFollow } from './open-unfollowed.ts';
import { createPacer } from './pacer.ts';
import { type DiskNode, findNode, scanDirectory } from './scan-directory.ts';
import { encodeHeader, endOfArchive } from './tar-header.ts';
import { paddingOf } from './tar-member.ts';

const chunkBytes = 1024 ** 2;

/** Packs a path of the host. What a file has beyond the size it was found with is left out; one that shrinks is an error. */
export async function* packHost(
  path: string,
  name: string,
  signal?: AbortSignal,
  leaveOut: (path: string) => boolean = () => false,
): AsyncGenerator<Buffer> {
  const root = toBytePath(path);
  const real = await realpath(toFs(root), { encoding: 'latin1' }).catch(() => root);
  const isLink = findNode(root, '')?.type === 'symlink';
  for (const node of await scanDirectory(isLink ? root : real, createPacer(signal))) {
    if (node.type === 'other' || (node.path !== '' && leaveOut(toText(node.path)))) continue;
    const { type, mode, mtimeNs, target } = node;
    const member = node.path === '' ? toBytePath(name) : `${toBytePath(name)}/${node.path}`;
    const size = type === 'file' ? node.size : 0;
    yield encodeHeader({ name: member, type, mode, uid: 0, gid: 0, mtimeNs, size, target });
    if (size > 0) yield* content(node.path === '' ? root : `${real}/${node.path}`, node);
    signal?.throwIfAborted();
  }
  yield endOfArchive();
}

async function* content(path: string, { size, identity, path: below }: DiskNode): AsyncGenerator<Buffer> {
  const file = await openFile(path);
  try {
    const facts = await file.stat({ bigint: true });
    if (`${facts.dev}:${facts.ino}` !== identity) throw changed(path);
    if (below !== '' && !liesAt(file.fd, path)) throw movedAway(path);
    for (let left = size; left > 0;) {
      const buffer = Buffer.allocUnsafe(Math.min(left, chunkBytes));
      const { bytesRead } = await file.read(buffer, 0, buffer.length);
      if (bytesRead === 0) throw changed(path);
      left -= bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
  yield Buffer.alloc(paddingOf(size));
}

async function openFile(path: string): Promise<FileHandle> {
  try {
    return await open(toFs(path), noFollow);
  } catch (error) {
    throw treeFailure(path, error);
  }
}

function changed(path: string) {
  return invalid(`Changed while it was copied: ${toText(path)}`, 'Copy it again when nothing writes to it.');
}
