import { createHash, hash } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import type { Logger } from '@opencode-tools/core';
import type { BlobIndex } from './blob-index.ts';
import { smallFileBytes } from './blob-reader.ts';
import { type BytePath, toFs, toText } from './byte-path.ts';
import { invalid, treeFailure } from './failures.ts';
import type { PackWriter } from './pack-writer.ts';
import { packBlob, partBytes } from './packed-blob.ts';
import { type Pacer, createPacer } from './pacer.ts';
import { type DiskNode, scanDirectory } from './scan-directory.ts';
import { type StatCache, loadStatCache, saveStatCache } from './stat-cache.ts';
import type { StoreLayout } from './store-files.ts';
import { type TreeEntry, canonicalTree } from './tree-entry.ts';

const noFollow = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

export interface FreezeDirectoryOptions {
  /** Given to every entry instead of the owner on disk. */
  readonly owner?: { readonly uid: number; readonly gid: number };
  /** False for directories that are read once, such as temporary ones. */
  readonly useStatCache: boolean;
  readonly logger: Logger;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Reads a directory of the host into a pack: what the stat cache proves unchanged and the store already has is not read
 * again.
 *
 * @param root real path of the directory
 * @returns the canonical tree
 */
export async function freezeDirectory(
  root: BytePath,
  store: { readonly layout: StoreLayout; readonly index: BlobIndex; readonly pack: PackWriter },
  options: FreezeDirectoryOptions,
): Promise<readonly TreeEntry[]> {
  const pacer = createPacer(options.signal);
  const startedNs = BigInt(Date.now()) * 1_000_000n;
  const cache = options.useStatCache ? await loadStatCache(store.layout, root) : emptyCache;
  const nodes = await scanDirectory(root, pacer);
  const digests = await digestFiles(root, nodes, { ...store, cache, pacer });
  reportOmitted(nodes, root, options.logger);
  const tree = canonicalTree(toEntries(nodes, digests, options.owner));
  const isAllKnown = nodes.every((node) => node.type !== 'file' || cache.find(node) !== undefined);
  if (options.useStatCache && !isAllKnown) {
    const files = nodes.flatMap((node) => {
      const content = digests.get(node.identity);
      return node.type === 'file' && content?.stable === true ? [[node, content.digest] as const] : [];
    });
    await saveStatCache(store.layout, root, files, startedNs);
  }
  return tree;
}

interface Content {
  readonly digest: string;
  readonly size: number;
  /** False when the file changed while it was read. */
  readonly stable: boolean;
}

const emptyCache: StatCache = { find: () => undefined };

async function digestFiles(
  root: BytePath,
  nodes: readonly DiskNode[],
  work: { readonly index: BlobIndex; readonly pack: PackWriter; readonly cache: StatCache; readonly pacer: Pacer },
): Promise<ReadonlyMap<string, Content>> {
  const { index, pack, cache, pacer } = work;
  const contents = new Map<string, Content>();
  const buffer = Buffer.allocUnsafe(smallFileBytes);
  for (const node of nodes) {
    if (node.type !== 'file' || contents.has(node.identity)) continue;
    const known = cache.find(node);
    if (known !== undefined && (index.has(known) || pack.has(known))) {
      contents.set(node.identity, { digest: known, size: node.size, stable: true });
    } else {
      contents.set(node.identity, await storeFile(root, node, { index, pack, pacer, buffer }));
    }
    if (pacer.due()) await pacer.rest();
  }
  return contents;
}

async function storeFile(
  root: BytePath,
  node: DiskNode,
  work: { readonly index: BlobIndex; readonly pack: PackWriter; readonly pacer: Pacer; readonly buffer: Buffer },
): Promise<Content> {
  const full = `${root}/${node.path}`;
  const file = openFile(full);
  try {
    const before = fstatSync(file, { bigint: true });
    if (!before.isFile() || `${before.dev}:${before.ino}` !== node.identity) throw changed(full);
    const content =
      before.size <= BigInt(smallFileBytes)
        ? storeSmall(readWhole(file, full, Number(before.size), work.buffer), work)
        : await storeLarge(file, full, isSparse(before), work);
    const after = fstatSync(file, { bigint: true });
    return { ...content, stable: `${after.size}:${after.mtimeNs}:${after.ctimeNs}:${after.ino}` === node.signature };
  } finally {
    closeSync(file);
  }
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
  { index, pack, pacer }: { readonly index: BlobIndex; readonly pack: PackWriter; readonly pacer: Pacer },
): Promise<{ readonly digest: string; readonly size: number }> {
  const sum = createHash('sha256');
  const from = pack.position;
  let size = 0;
  function* read(): Generator<Buffer> {
    const buffer = Buffer.allocUnsafe(partBytes);
    for (;;) {
      const bytes = readWhole(file, full, partBytes, buffer);
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
  if (index.has(digest) || pack.has(digest)) pack.rewind(from);
  else if (isSparse) pack.recordPacked(digest, from, pack.position, size);
  else pack.record(digest, from);
  return { digest, size };
}

/** Reads a file into the buffer that the work shares; the bytes are good until the next file. */
function readWhole(file: number, full: BytePath, size: number, buffer: Buffer): Buffer {
  let done = 0;
  while (done < size) {
    const count = guarded(full, () => readSync(file, buffer, done, size - done, null));
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
  return guarded(full, () => openSync(toFs(full), noFollow));
}

function guarded<T>(full: BytePath, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw treeFailure(full, error);
  }
}

function toEntries(
  nodes: readonly DiskNode[],
  contents: ReadonlyMap<string, Content>,
  owner: FreezeDirectoryOptions['owner'],
): readonly TreeEntry[] {
  const firstPaths = new Map<string, BytePath>();
  const entries: TreeEntry[] = [];
  for (const node of nodes) {
    const { path, type, mode, identity, target } = node;
    if (type === 'other') continue;
    const { uid, gid } = owner ?? node;
    const mtimeNs = path === '' ? 0n : node.mtimeNs;
    const content = type === 'file' ? contents.get(identity) : undefined;
    const { size, digest } = content ?? { size: 0, digest: '' };
    const base = { path, mode, uid, gid, mtimeNs, size, digest };
    const first = type === 'file' && node.links > 1 ? firstPaths.get(identity) : undefined;
    if (first === undefined) entries.push({ ...base, type, target });
    else entries.push({ ...base, type: 'link', target: first });
    if (type === 'file' && node.links > 1 && first === undefined) firstPaths.set(identity, path);
  }
  return entries;
}

function reportOmitted(nodes: readonly DiskNode[], root: BytePath, logger: Logger): void {
  const omitted = nodes.filter(({ type }) => type === 'other');
  if (omitted.length === 0) return;
  logger.info('Sockets, pipes and devices are not part of a snapshot', {
    directory: toText(root),
    omitted: omitted.length,
    first: toText(omitted[0]?.path ?? ''),
  });
}

function changed(full: BytePath) {
  return invalid(`Changed while it was read: ${toText(full)}`, 'Keep the tree unchanged meanwhile, then try again.', {
    path: toText(full),
  });
}
