import type { ByteStream, Logger, VolumeNode, VolumePort } from '@opencode-tools/core';
import type { BlobIndex } from './blob-index.ts';
import { type BytePath, canonicalPath } from './byte-path.ts';
import { type FrozenTree, frozenTree, reportOmitted } from './freeze-directory.ts';
import { freezeStream, storeContent } from './freeze-volume.ts';
import { addKnown, isKnown } from './known-lines.ts';
import type { PackWriter } from './pack-writer.ts';
import { createPacer } from './pacer.ts';
import type { DiskNode } from './scan-directory.ts';
import { type StatCache, loadStatCache } from './stat-cache.ts';
import { type FileContent, type Found, changed } from './store-contents.ts';
import type { StoreLayout } from './store-files.ts';
import { readTar } from './tar-reader.ts';
import { walkKey } from './tree-entry.ts';

interface Store {
  readonly layout: StoreLayout;
  readonly index: BlobIndex;
  readonly pack: PackWriter;
}

interface Options {
  readonly logger: Logger;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Reads a volume into a pack. Where the engine can list it, only files are read that changed since the last time: what has the size,
 * inode and times that it had then, and is in the store, is not read again.
 *
 * @param work gets what has to end before the volume is free again
 */
export async function freezeVolume(
  volumes: VolumePort,
  volume: string,
  store: Store,
  work: AsyncDisposableStack,
  options: Options,
): Promise<FrozenTree> {
  const place = `volume ${volume}`;
  // Read while the engine lists.
  const loading = loadStatCache(store.layout, place);
  const listing = await volumes.listTree(volume, options.signal);
  if (listing === null)
    return { tree: await freezeStream(await volumes.readTree(volume, options.signal), store, options) };
  work.use(listing);
  const cache = await loading;
  const isStored = store.index.keepsAll(cache.packs);
  const found = recall(inOrder(listing.nodes).map(asDiskNode), cache, isStored, store);
  const wanted = new Map<BytePath, DiskNode>();
  const contents = new Map<string, FileContent>();
  const asked = new Set<string>();
  for (const node of found) {
    if (isKnown(node) || node.type !== 'file' || node.digest !== undefined || asked.has(node.identity)) continue;
    asked.add(node.identity);
    wanted.set(node.path, node);
  }
  if (wanted.size > 0) await readWanted(listing.read([...wanted.keys()]), wanted, contents, store, options);
  // What has read the volume goes away while the tree is kept.
  const closing = Promise.resolve(listing[Symbol.asyncDispose]());
  closing.catch(() => undefined);
  work.defer(async () => closing);
  reportOmitted(found, place, options.logger);
  const ofNodes = found.map((one) => (isKnown(one) ? undefined : contents.get(one.identity)));
  const startedMs = Number(listing.startedNs / 1_000_000n);
  return frozenTree(found, ofNodes, { cache, isStored, layout: store.layout, place, startedMs });
}

/** What looks as it did the last time and is in the store is given as what is known of it; a file with several names has its digest. */
function recall(nodes: readonly DiskNode[], cache: StatCache, isStored: boolean, { index, pack }: Store) {
  const found: Found[] = [];
  for (const node of nodes) {
    const at = node.path === '' ? undefined : cache.recall(node.path, node);
    const digest = at === undefined ? '' : cache.digestAt(at);
    const isKept = isStored || digest === '' || index.has(digest) || pack.has(digest);
    if (at === undefined || !isKept) found.push(node);
    else if (node.links === 1 || node.type === 'directory') addKnown(found, cache, at);
    else found.push({ ...node, digest });
  }
  return found;
}

/** Every file that is asked for comes, or the volume is not as it was listed. */
async function readWanted(
  stream: ByteStream,
  wanted: Map<BytePath, DiskNode>,
  contents: Map<string, FileContent>,
  store: Store,
  { signal }: Options,
): Promise<void> {
  const pacer = createPacer(signal);
  for await (const [member, content] of readTar(stream)) {
    const path = canonicalPath(member.name);
    const node = wanted.get(path);
    if (node === undefined || member.type !== 'file' || member.size !== node.size) throw changed(path);
    contents.set(node.identity, { ...(await storeContent(member.size, content, store)), stable: true });
    wanted.delete(path);
    if (pacer.due()) await pacer.rest();
  }
  for (const path of wanted.keys()) throw changed(path);
}

/** In the order of a walk. */
function inOrder(nodes: readonly VolumeNode[]): readonly VolumeNode[] {
  const keyed = nodes.map((node) => [walkKey(node.path), node] as const);
  return keyed.sort(([one], [other]) => (one < other ? -1 : 1)).map(([, node]) => node);
}

function asDiskNode({ modifiedNs, changedNs, ...node }: VolumeNode): DiskNode {
  const [dev = 0, ino = 0] = node.identity.split(':').map(Number);
  return {
    ...node,
    dev,
    ino,
    mode: node.type === 'symlink' ? 0o777 : node.mode,
    size: node.type === 'file' ? node.size : 0,
    mtimeNs: modifiedNs,
    mtimeMs: Number(modifiedNs) / 1e6,
    ctimeMs: Number(changedNs) / 1e6,
  };
}
