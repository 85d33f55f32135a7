import { createHash, hash } from 'node:crypto';
import { closeSync, fstatSync, readSync } from 'node:fs';
import type { BlobIndex } from './blob-index.ts';
import { smallFileBytes } from './blob-reader.ts';
import { type BytePath, toText } from './byte-path.ts';
import { invalid, treeFailure } from './failures.ts';
import { type KnownLines, isKnown } from './known-lines.ts';
import { openUnfollowed } from './open-unfollowed.ts';
import type { PackWriter } from './pack-writer.ts';
import { packBlob, partBytes } from './packed-blob.ts';
import type { Pacer } from './pacer.ts';
import type { DiskNode } from './scan-directory.ts';

/** What was found on disk: names, and those that are as they were. */
export type Found = DiskNode | KnownLines;

/** What a file holds, as it was read. */
export interface FileContent {
  readonly digest: string;
  readonly size: number;
  /** False when the file changed while it was read. */
  readonly stable: boolean;
}

interface StoreWork {
  readonly index: BlobIndex;
  readonly pack: PackWriter;
  readonly pacer: Pacer;
}

/**
 * Stores what files hold, unless the store has it.
 *
 * @param read what was stored already
 * @returns what each file holds that was read, by the node's place
 */
export async function storeContents(
  root: BytePath,
  nodes: readonly Found[],
  read: ReadonlyMap<DiskNode, FileContent>,
  work: StoreWork,
): Promise<readonly (FileContent | undefined)[]> {
  const contents: (FileContent | undefined)[] = [];
  const linked = new Map<string, FileContent | undefined>();
  for (const node of nodes) {
    if (isKnown(node)) {
      contents.push(undefined);
      continue;
    }
    const isLinked = node.type === 'file' && node.links > 1;
    let content = read.get(node);
    if (isLinked && linked.has(node.identity)) content = linked.get(node.identity);
    else if (content === undefined && !isStored(node, work)) content = await storeFile(root, node, work);
    if (isLinked) linked.set(node.identity, content);
    contents.push(content);
    if (work.pacer.due()) await work.pacer.rest();
  }
  return contents;
}

function isStored(
  { type, digest = '' }: Found & { readonly digest?: string | undefined },
  { index, pack }: StoreWork,
): boolean {
  return type !== 'file' || (digest !== '' && (index.has(digest) || pack.has(digest)));
}

async function storeFile(root: BytePath, node: DiskNode, work: StoreWork): Promise<FileContent> {
  const full = `${root}/${node.path}`;
  const file = openFile(full);
  try {
    if (node.size > smallFileBytes) return await storeOpened(file, full, node, work);
    const from = work.pack.position;
    const bytes = readAt(file, full, 0, work.pack.room(node.size));
    if (!isStill(file, full, node)) return await storeOpened(file, full, node, work);
    const digest = hash('sha256', bytes, 'hex');
    if (!work.index.has(digest) && !work.pack.has(digest)) {
      work.pack.keep(bytes);
      work.pack.record(digest, from);
    }
    return { digest, size: bytes.length, stable: true };
  } finally {
    closeSync(file);
  }
}

/** Reads a file that is large, or that changed since it was scanned, from its start. */
async function storeOpened(file: number, full: BytePath, node: DiskNode, work: StoreWork): Promise<FileContent> {
  const before = fstatSync(file, { bigint: true });
  const content =
    before.size <= BigInt(smallFileBytes)
      ? storeSmall(readAt(file, full, 0, Buffer.allocUnsafe(Number(before.size))), work)
      : await storeLarge(file, full, isSparse(before), work);
  return { ...content, stable: isStill(file, full, node) };
}

/** @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` when it is not the file that was scanned */
function isStill(file: number, full: BytePath, node: DiskNode): boolean {
  const facts = fstatSync(file);
  if (!facts.isFile() || facts.dev !== node.dev || facts.ino !== node.ino) throw changed(full);
  return facts.size === node.size && facts.mtimeMs === node.mtimeMs && facts.ctimeMs === node.ctimeMs;
}

/** Puts a blob into the pack unless the store has it. */
export function storeSmall(
  bytes: Buffer,
  { index, pack }: { readonly index: BlobIndex; readonly pack: PackWriter },
): { readonly digest: string; readonly size: number } {
  const digest = hash('sha256', bytes, 'hex');
  if (!index.has(digest) && !pack.has(digest)) {
    const from = pack.position;
    pack.append(bytes);
    pack.record(digest, from);
  }
  return { digest, size: bytes.length };
}

async function storeLarge(
  file: number,
  full: BytePath,
  isSparse: boolean,
  { index, pack, pacer }: StoreWork,
): Promise<{ readonly digest: string; readonly size: number }> {
  const sum = createHash('sha256');
  const from = pack.position;
  let size = 0;
  function* read(): Generator<Buffer> {
    const buffer = Buffer.allocUnsafe(partBytes);
    for (;;) {
      const bytes = readAt(file, full, size, buffer);
      if (bytes.length === 0) return;
      sum.update(bytes);
      size += bytes.length;
      yield bytes;
    }
  }
  for (const bytes of isSparse ? packBlob(read()) : read()) {
    pack.append(bytes);
    await pacer.rest();
  }
  const digest = sum.digest('hex');
  if (index.has(digest) || pack.has(digest)) await pack.rewind(from);
  else if (isSparse) pack.recordPacked(digest, from, pack.position, size);
  else pack.record(digest, from);
  return { digest, size };
}

/** @returns what of the buffer was filled; less than all of it where the file ends */
function readAt(file: number, full: BytePath, position: number, buffer: Buffer): Buffer {
  let done = 0;
  while (done < buffer.length) {
    const count = guarded(full, () => readSync(file, buffer, done, buffer.length - done, position + done));
    if (count === 0) break;
    done += count;
  }
  return buffer.subarray(0, done);
}

/** A file with holes takes less on disk than it is long. */
function isSparse({ size, blocks }: { readonly size: bigint; readonly blocks: bigint }): boolean {
  return blocks * 512n < size;
}

function openFile(full: BytePath): number {
  return guarded(full, () => openUnfollowed(full));
}

function guarded<T>(full: BytePath, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw treeFailure(full, error);
  }
}

/** For a tree that does not stay as it was listed. */
export function changed(full: BytePath) {
  return invalid(`Changed while it was read: ${toText(full)}`, 'Keep the tree unchanged meanwhile, then try again.', {
    path: toText(full),
  });
}
